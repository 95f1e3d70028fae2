"""Queries and items moved towards their neighbours."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.search import LinearSearch

# Floats of neighbours gathered at a time: 32 MB.
_GATHER_FLOATS = 8 * 1024 * 1024


def expand_queries(
    query_embeddings: Any,
    embeddings: Any,
    *,
    k: int = 10,
    alpha: float = 0.0,
    distance: Any = "cosine",
) -> np.ndarray:
    """Query expansion: each query becomes the mean of itself and its neighbours.

    q' = (q + sum over the k nearest items x of w(x) * x) / (1 + sum of w),
    w(x) = max(0, cosine similarity of q and x) ** alpha

    `alpha=0` is average query expansion, every neighbour as heavy as the query; larger
    values give far neighbours less weight. By cosine, rows are made unit length before
    and after. The expanded queries are then searched for as any.

    With fewer than k items, all of them count. Memory is that of some blocks.

    Args:
        query_embeddings: shape (n_queries, dim).
        embeddings: items to search among, shape (n, dim).
        k: neighbours of each query, at least 1. Defaults to 10; more only helps where
            classes are larger.
        alpha: at least 0. Defaults to 0.0, average expansion; the paper takes 3.0 with
            50 neighbours.
        distance: by which neighbours are found, a name or a `Distance`. Defaults to
            "cosine". With another one rows keep their lengths and `alpha` must be 0.

    Returns:
        float32, shape (n_queries, dim).

    Raises:
        ValueError: for embeddings that are ragged, not finite or of unequal widths; no
            items; k below 1; a negative `alpha`; or `alpha` with another distance than
            cosine.

    Example:
        >>> expand_queries([[1.0, 0.0]], [[0.0, 1.0], [-1.0, 0.0]], k=1).round(2)
        array([[0.71, 0.71]], dtype=float32)

    Reference:
        Chum et al., "Total Recall: Automatic Query Expansion with a Generative Feature
        Model for Object Retrieval", ICCV 2007 (average); Radenovic et al., "Fine-tuning
        CNN Image Retrieval with No Human Annotation", TPAMI 2019 (alpha).
    """
    items = doors.as_embeddings(embeddings, None)
    queries = doors.as_embeddings(query_embeddings, items.shape[1], "query_embeddings")
    return _expanded(queries, items, k, alpha, distance, alone=False)


def augment_database(
    embeddings: Any, *, k: int = 10, alpha: float = 0.0, distance: Any = "cosine"
) -> np.ndarray:
    """Database augmentation: each item becomes the mean of itself and its neighbours.

    As `expand_queries` with the items for queries; an item is not its own neighbour,
    but a duplicate of it is. Index what comes back in place of the items.

    Args:
        embeddings: items, shape (n, dim).
        k: neighbours of each item, at least 1. Defaults to 10.
        alpha: at least 0. Defaults to 0.0: neighbours are as heavy as the item.
        distance: by which neighbours are found. Defaults to "cosine".

    Returns:
        float32, shape (n, dim).

    Raises:
        ValueError: as `expand_queries`.

    Example:
        >>> augment_database([[1.0, 0.0], [0.0, 1.0]], k=1).round(2)
        array([[0.71, 0.71],
               [0.71, 0.71]], dtype=float32)

    Reference:
        Turcot and Lowe, "Better Matching with Fewer Features", ICCV Workshops 2009.
    """
    items = doors.as_embeddings(embeddings, None)
    return _expanded(items, items, k, alpha, distance, alone=True)


def _expanded(
    queries: np.ndarray,
    items: np.ndarray,
    k: int,
    alpha: float,
    distance: Any,
    alone: bool,
) -> np.ndarray:
    """Queries moved; `alone` where they are the items themselves."""
    k = doors.as_k(k)
    search = LinearSearch(distance, items.shape[1])
    cosine = search.distance.name == "cosine"
    is_number = isinstance(alpha, int | float | np.number) and alpha is not True
    if not is_number or not 0 <= alpha < np.inf:
        raise ValueError(
            f"`alpha` must be a number of at least 0. Received: alpha={alpha!r}."
        )
    if alpha and not cosine:
        raise ValueError(
            "`alpha` weights neighbours by their cosine similarity, so it needs "
            f"`distance='cosine'`. Received: alpha={alpha} and distance="
            f"{search.distance.name!r}. Use `alpha=0` for a plain mean."
        )
    if not len(items):
        raise ValueError("`embeddings` is empty: there are no neighbours to expand by.")
    if cosine:
        queries, items = _unit(queries), _unit(items)
    search.batch_add(items, np.arange(len(items)))
    expanded = np.empty_like(queries)
    step = max(1, _GATHER_FLOATS // ((k + alone) * items.shape[1]))
    for start in range(0, len(queries), step):
        own = queries[start : start + step]
        rows, found = search.batch_lookup(own, k + alone)
        weights = np.ones(rows.shape, np.float32)
        if alpha:
            weights = np.maximum(1.0 - found, 0.0) ** np.float32(alpha)
        if alone:
            # A duplicate may stand before the item: it is known by its row.
            itself = rows == np.arange(start, start + len(own))[:, None]
            itself[~itself.any(axis=1), k:] = True
            weights[itself] = 0.0
        total = own + np.einsum("nk,nkd->nd", weights, items[rows])
        expanded[start : start + step] = total / (1.0 + weights.sum(axis=1))[:, None]
    return _unit(expanded) if cosine else expanded


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a zero row stays zero."""
    wide = rows.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return (wide / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
