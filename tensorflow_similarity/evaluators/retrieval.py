"""How well embeddings retrieve their own class: exact, blocked, without a model."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.types import NO_LABEL

# Neighbours held at a time: with ids, distances and counts about 60 MB.
_BLOCK_NEIGHBOURS = 2_000_000


def evaluate_retrieval(
    embeddings: Any,
    labels: Any,
    query_embeddings: Any = None,
    query_labels: Any = None,
    *,
    distance: Any = "cosine",
    k: int | Sequence[int] = (1, 5, 10),
    batch_size: int | None = None,
    verbose: int = 0,
) -> dict[str, float]:
    """Retrieval metrics of labelled embeddings, by exact search.

    Each query ranks the indexed items by distance, equal distances by position.
    An item is relevant when it has the label of the query; R is how many are. Over
    the queries with R > 0 the function takes the mean of

        precision_at_k                  = relevant among the k nearest / k
        recall_at_k                     = 1 if one of the k nearest is relevant, else 0
        r_precision                     = relevant among the R nearest / R
        mean_average_precision_at_r     = sum over i <= R of
                                          precision_at_i * (the i-th is relevant) / R

    Without query arrays, every item is a query to all the others: it is left out of
    its own answer by its position, so a duplicate elsewhere still counts. With fewer
    than k other items, precision is over those there are.

    Queries with R = 0 (a class of one, an unlabelled query, a class that is not
    indexed) can neither succeed nor fail: they are left out of every mean and counted
    in `n_lone_queries`. Items without a label (None) stay in the ranking and are
    relevant to nothing; the label -1 is a class like any other.

    Memory is one block of queries by the largest k or R, never items by items.

    Args:
        embeddings: indexed items, shape (n, dim).
        labels: n integers or strings.
        query_embeddings: shape (n_queries, dim). Defaults to None: the items are the
            queries.
        query_labels: n_queries integers or strings, given with `query_embeddings`.
        distance: name of a distance or a `Distance`. Defaults to "cosine", the default
            of the losses; pass the one the model was trained with.
        k: integer or integers of at least 1.
        batch_size: queries in a block. Defaults to None: as many as keep a block's
            neighbours under about 60 MB.
        verbose: 1 shows progress.

    Returns:
        Floats by name: "precision_at_{k}" and "recall_at_{k}" for each k and for 1,
        "r_precision", "mean_average_precision_at_r", "n_queries" and
        "n_lone_queries".

    Raises:
        ValueError: for embeddings that are ragged, not finite, or of unequal widths;
            labels of another number; k or batch_size below 1; nothing to search; or
            no query with a relevant item.
        TypeError: for labels that are neither integers nor strings, or strings on one
            side and integers on the other.

    Example:
        >>> metrics = evaluate_retrieval(
        ...     [[0.0], [1.0], [3.0], [7.0]],
        ...     ["a", "a", "b", "b"],
        ...     distance="euclidean",
        ...     k=1,
        ... )
        >>> metrics["precision_at_1"], metrics["n_queries"]
        (0.75, 4.0)

    Reference:
        Musgrave et al., "A Metric Learning Reality Check", ECCV 2020 (R-precision and
        MAP@R).
    """
    ks = _as_ks(k)
    if batch_size is not None:
        _check_batch_size(batch_size)
    items = doors.as_embeddings(embeddings, None)
    item_labels = doors.as_labels(labels, len(items))
    alone = query_embeddings is None
    if alone != (query_labels is None):
        raise ValueError(
            "`query_embeddings` and `query_labels` belong together. Received only "
            f"{'`query_labels`' if alone else '`query_embeddings`'}."
        )
    queries, asked_labels = items, item_labels
    if not alone:
        queries = doors.as_embeddings(
            query_embeddings, items.shape[1], "query_embeddings"
        )
        asked_labels = doors.as_labels(query_labels, len(queries), "query_labels")
    if len(items) <= alone or not len(queries):
        raise ValueError(
            f"There is nothing to search: {len(items)} items and {len(queries)} queries"
            f"{', and no item is its own neighbour' if alone else ''}."
        )

    item_codes, query_codes, class_sizes = _encode(item_labels, asked_labels)
    n_relevant = class_sizes[query_codes] - alone
    judged = np.flatnonzero(n_relevant > 0)
    if not len(judged):
        raise ValueError(
            "No query has a relevant item, so there is nothing to measure. Expected at "
            "least one label that "
            + ("two items share." if alone else "a query and an item share.")
        )

    depth = min(max(ks[-1], int(n_relevant.max())), len(items) - alone)
    step = batch_size or max(1, _BLOCK_NEIGHBOURS // (depth + alone))
    search = LinearSearch(distance, items.shape[1])
    search.batch_add(items, np.arange(len(items)))
    totals = np.zeros(2 * len(ks) + 2)
    for block in _blocks(judged, step, verbose):
        neighbours, _ = search.batch_lookup(queries[block], depth + alone)
        if alone:
            neighbours = _without_self(neighbours, block)
        relevant = item_codes[neighbours] == query_codes[block, None]
        totals += _sums(relevant, n_relevant[block], ks)

    names = [f"precision_at_{i}" for i in ks] + [f"recall_at_{i}" for i in ks]
    names += ["r_precision", "mean_average_precision_at_r"]
    metrics = dict(zip(names, (totals / len(judged)).tolist(), strict=True))
    metrics["n_queries"] = float(len(queries))
    metrics["n_lone_queries"] = float(len(queries) - len(judged))
    return metrics


def _sums(relevant: np.ndarray, n_relevant: np.ndarray, ks: list[int]) -> np.ndarray:
    """The metrics of a block summed over its queries, in the order of their names.

    Args:
        relevant: bool, shape (n, depth), nearest first.
        n_relevant: R of each query, at least 1.
    """
    hits = np.cumsum(relevant, axis=1, dtype=np.int32)
    depth = relevant.shape[1]
    ends = [min(i, depth) for i in ks]
    places = np.arange(1, depth + 1)
    counted = relevant & (places <= n_relevant[:, None])
    rows = np.arange(len(hits))
    average_precision = (hits / places).sum(axis=1, where=counted) / n_relevant
    return np.array(
        [hits[:, end - 1].sum() / end for end in ends]
        + [np.count_nonzero(hits[:, end - 1]) for end in ends]
        + [(hits[rows, n_relevant - 1] / n_relevant).sum(), average_precision.sum()]
    )


def _without_self(neighbours: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Drops each query's own id; where duplicates pushed it out, the last neighbour."""
    keep = neighbours != own[:, None]
    keep[keep.all(axis=1), -1] = False
    return neighbours[keep].reshape(len(neighbours), -1)


def _encode(
    item_labels: np.ndarray, query_labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class numbers of items and queries, -1 without a label, and items per class."""
    missing = [_missing(labels) for labels in (item_labels, query_labels)]
    labels = [item_labels[~missing[0]], query_labels[~missing[1]]]
    kinds = ["strings" if part.dtype == object else "integers" for part in labels]
    if len(labels[0]) and len(labels[1]) and kinds[0] != kinds[1]:
        raise TypeError(
            "`labels` and `query_labels` must be of one kind. Received: labels are "
            f"{kinds[0]}, query_labels are {kinds[1]}."
        )
    given = [part for part in labels if len(part)] or labels[:1]
    classes, codes = np.unique(np.concatenate(given), return_inverse=True)
    item_codes = np.full(len(item_labels), -1)
    query_codes = np.full(len(query_labels), -1)
    item_codes[~missing[0]] = codes[: len(labels[0])]
    query_codes[~missing[1]] = codes[len(labels[0]) :]
    # The last class is none and has no items: what the code -1 points at.
    sizes = np.bincount(codes[: len(labels[0])], minlength=len(classes) + 1)
    return item_codes, query_codes, sizes


def _missing(labels: np.ndarray) -> np.ndarray:
    if labels.dtype == object:
        return np.array([label is None for label in labels], bool)
    return labels == NO_LABEL


def _as_ks(k: Any) -> list[int]:
    """The distinct k, ascending, 1 among them."""
    given = doors.as_array(k).tolist() if not isinstance(k, int) else [k]
    if not isinstance(given, list):
        given = [given]
    return sorted({1, *(doors.as_k(item) for item in given)})


def _check_batch_size(batch_size: Any) -> None:
    whole = isinstance(batch_size, int | np.integer) and batch_size is not True
    if not whole or batch_size < 1:
        raise ValueError(
            "`batch_size` must be an integer of at least 1, or None. Received: "
            f"batch_size={batch_size!r}."
        )


def _blocks(judged: np.ndarray, step: int, verbose: int) -> Iterator[np.ndarray]:
    """Positions of the queries, some at a time, behind a progress bar if asked."""
    starts: Any = range(0, len(judged), step)
    if verbose:
        from tqdm.auto import tqdm

        starts = tqdm(starts, desc="Evaluating retrieval", unit="block")
    for start in starts:
        yield judged[start : start + step]
