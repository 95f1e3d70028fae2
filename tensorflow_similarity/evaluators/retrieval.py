"""How well embeddings retrieve their own class: exact, blocked, without a model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators import retrieval_relevance as relevances
from tensorflow_similarity.evaluators.bootstrap import (
    bootstrap_interval,
    check_confidence,
)
from tensorflow_similarity.evaluators.class_table import ClassTable, class_sums
from tensorflow_similarity.evaluators.retrieval_blocks import RetrievalTask
from tensorflow_similarity.evaluators.retrieval_ranking import Ranking
from tensorflow_similarity.evaluators.retrieval_values import metric_names


def evaluate_retrieval(
    embeddings: Any,
    labels: Any = None,
    query_embeddings: Any = None,
    query_labels: Any = None,
    *,
    distance: Any = "cosine",
    k: int | Sequence[int] = (1, 5, 10),
    average: str = "micro",
    relevance: Any | Callable[[np.ndarray], Any] = None,
    ids: Any = None,
    query_ids: Any = None,
    whole_ranking: bool = False,
    per_class: bool = False,
    intervals: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int | None = None,
    verbose: int = 0,
) -> dict[str, Any]:
    """Retrieval metrics of labelled embeddings, by exact search.

    Each query ranks the indexed items by distance, equal distances by position. An item
    is relevant when it has the label of the query; R is how many are. Over the queries
    with R > 0 the function takes the mean of

        precision_at_k                  = relevant among the k nearest / k
        recall_at_k                     = 1 if one of the k nearest is relevant, else 0
        r_precision                     = relevant among the R nearest / R
        mean_average_precision_at_r     = sum over i <= R of
                                          precision_at_i * (the i-th is relevant) / R
        ndcg_at_k                       = sum over i <= k of gain_i / log2(i + 1), by
                                          the same sum of the best order
        mean_reciprocal_rank            = 1 / place of the first relevant item
        mean_average_precision          = sum over all i of
                                          precision_at_i * (the i-th is relevant) / R

    Without query arrays, every item is a query to all the others: it is left out of
    its own answer by its position, so a duplicate elsewhere still counts. Queries of
    their own that are indexed too are left out of their own answer by `ids` and
    `query_ids`. With fewer than k other items, precision is over those there are.

    Queries with R = 0 (a class of one, an unlabelled query, a class that is not
    indexed) can neither succeed nor fail: they are left out of every mean and counted
    in `n_lone_queries`. Items without a label (None) stay in the ranking and are
    relevant to nothing; the label -1 is a class like any other.

    Distances are compared as float32. Down to 64 neighbours they are measured from the
    differences; deeper ones are float64 products rounded to float32. Memory is blocks
    of queries by the largest k or R, or by the items, never items by items.

    Args:
        embeddings: indexed items, shape (n, dim).
        labels: n integers or strings; or several for each item, a matrix of 0 and 1 of
            shape (n, n_classes): an item is relevant if it shares a label. Defaults to
            None, with `relevance` alone.
        query_embeddings: shape (n_queries, dim). Defaults to None: the items are the
            queries.
        query_labels: n_queries integers or strings, or a matrix (n_queries,
            n_classes), given with `query_embeddings`.
        distance: name of a distance or a `Distance`. Defaults to "cosine", the default
            of the losses; pass the one the model was trained with.
        k: integer or integers of at least 1.
        average: "micro", the mean over queries, or "macro", the mean over classes of
            the mean over their queries. Defaults to "micro".
        relevance: graded relevance in place of labels: numbers of at least 0, shape
            (n_queries, n), or a function that gives the rows of an array of query
            numbers. They are the gains of `ndcg_at_k`; items above 0 are relevant.
            Defaults to None: gains are 1 and 0, by the labels.
        ids: n distinct integers or strings, given with `query_ids`. Defaults to None.
        query_ids: n_queries of them: an item with the id of the query is left out.
        whole_ranking: True adds "mean_average_precision" and orders all items for
            each query, which takes several times as long. Defaults to False.
        per_class: True adds "per_class", a `ClassTable`. Defaults to False.
        intervals: True adds "{name}_low" and "{name}_high" for each metric, by
            `bootstrap_interval` over the queries. Defaults to False.
        confidence: of the intervals, between 0 and 1. Defaults to 0.95.
        seed: of the intervals, an int.
        batch_size: queries in a block. Defaults to None: as many as keep a block's
            neighbours under about 60 MB.
        verbose: 1 shows progress.

    Returns:
        Floats by name: "precision_at_{k}", "recall_at_{k}" and "ndcg_at_{k}" for each k
        and for 1, "r_precision", "mean_average_precision_at_r",
        "mean_reciprocal_rank", "n_queries" and "n_lone_queries", and what was asked
        for besides.

    Raises:
        ValueError: for embeddings that are ragged, not finite, or of unequal widths;
            labels of another number; k or batch_size below 1; an unknown average;
            nothing to search; or no query with a relevant item.
        TypeError: for labels that are neither integers nor strings, or strings on one
            side and integers on the other; so for ids.

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
    _check_options(batch_size, average)
    check_confidence(confidence)
    doors.as_count(seed, "seed", 0)
    items = doors.as_embeddings(embeddings, None)
    queries, alone = items, query_embeddings is None
    if alone or relevance is None:
        _check_together(alone, query_labels is None)
    if not alone:
        queries = doors.as_embeddings(
            query_embeddings, items.shape[1], "query_embeddings"
        )
    judge = relevances.as_relevance(
        labels, query_labels, relevance, len(items), len(queries), alone
    )
    if len(items) <= alone or not len(queries):
        raise ValueError(
            f"There is nothing to search: {len(items)} items and {len(queries)} queries"
            f"{', and no item is its own neighbour' if alone else ''}."
        )
    own = _own_positions(ids, query_ids, len(items), len(queries), alone)
    n_relevant = judge.counts(own)
    judged = np.flatnonzero(n_relevant > 0)
    if not len(judged):
        raise ValueError(
            "No query has a relevant item, so there is nothing to measure. Expected at "
            "least one label that "
            + ("two items share." if alone else "a query and an item share.")
        )
    by_class = average == "macro" or per_class
    members = judge.members(judged) if by_class else None
    task = RetrievalTask(
        ranking=Ranking(distance, items, queries, own),
        relevance=judge,
        own=own,
        n_relevant=n_relevant,
        ks=ks,
        whole_ranking=whole_ranking,
        batch_size=batch_size,
        verbose=verbose,
    )
    found = task.values_of(judged)

    names = metric_names(ks, whole_ranking)
    weights = table = None
    if members is not None:
        sums, n_of_class = class_sums(found, *members, len(judge.classes))
        if average == "macro":
            share = 1.0 / (np.maximum(n_of_class, 1) * np.count_nonzero(n_of_class))
            weights = np.bincount(members[0], share[members[1]], len(judged))
        with np.errstate(invalid="ignore"):
            columns = (sums / n_of_class[:, None]).T
        table = ClassTable(
            judge.classes, n_of_class, dict(zip(names, columns, strict=True))
        )
    means = found.mean(axis=0) if weights is None else weights @ found
    metrics: dict[str, Any] = dict(zip(names, means.tolist(), strict=True))
    metrics["n_queries"] = float(len(queries))
    metrics["n_lone_queries"] = float(len(queries) - len(judged))
    if intervals:
        ends = bootstrap_interval(found, weights, confidence=confidence, seed=seed)
        for word, end in zip(("low", "high"), ends, strict=True):
            keys = [f"{name}_{word}" for name in names]
            metrics |= dict(zip(keys, end.tolist(), strict=True))
    if per_class:
        metrics["per_class"] = table
    return metrics


def _own_positions(
    ids: Any, query_ids: Any, n_items: int, n_queries: int, alone: bool
) -> np.ndarray:
    """Positions of the items that the queries are themselves, -1 for none."""
    if alone and ids is None and query_ids is None:
        return np.arange(n_items)
    if alone or (ids is None) != (query_ids is None):
        raise ValueError(
            "`ids` and `query_ids` belong together, beside `query_embeddings`: without "
            "those each item is left out of its own answer anyway."
        )
    if ids is None:
        return np.full(n_queries, -1)
    item_ids = doors.as_labels(ids, n_items, "ids")
    asked = doors.as_labels(query_ids, n_queries, "query_ids")
    if item_ids.dtype != asked.dtype:
        kinds = [
            "strings" if x.dtype == object else "integers" for x in (item_ids, asked)
        ]
        raise TypeError(
            "`ids` and `query_ids` must be of one kind, or no query is left out of its "
            f"own answer. Received: ids are {kinds[0]}, query_ids are {kinds[1]}."
        )
    positions = {item: i for i, item in enumerate(item_ids.tolist())}
    if len(positions) < n_items:
        raise ValueError(
            f"`ids` must be distinct. Received: {n_items} ids, {len(positions)} of "
            "them different."
        )
    return np.array([positions.get(item, -1) for item in asked.tolist()])


def _check_together(no_embeddings: bool, no_labels: bool) -> None:
    if no_embeddings != no_labels:
        raise ValueError(
            "`query_embeddings` and `query_labels` belong together. Received only "
            f"{'`query_labels`' if no_embeddings else '`query_embeddings`'}."
        )


def _as_ks(k: Any) -> list[int]:
    """The distinct k, ascending, 1 among them."""
    given = doors.as_array(k).tolist() if not isinstance(k, int) else [k]
    if not isinstance(given, list):
        given = [given]
    return sorted({1, *(doors.as_k(item) for item in given)})


def _check_options(batch_size: Any, average: Any) -> None:
    whole = isinstance(batch_size, int | np.integer) and batch_size is not True
    if batch_size is not None and (not whole or batch_size < 1):
        raise ValueError(
            "`batch_size` must be an integer of at least 1, or None. Received: "
            f"batch_size={batch_size!r}."
        )
    if average not in ("micro", "macro"):
        raise ValueError(
            f"`average` must be 'micro' or 'macro'. Received: average={average!r}."
        )
