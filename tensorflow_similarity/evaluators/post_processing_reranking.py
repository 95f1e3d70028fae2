"""k-reciprocal re-ranking, sparse by neighbours."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.k_reciprocal import (
    BLOCK_FLOATS,
    Neighbours,
    averaged,
    overlaps,
)
from tensorflow_similarity.evaluators.lookup_arrays import as_lookups
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.search.kernels import Kernel, kernel_of
from tensorflow_similarity.types import Lookups


def rerank(
    embeddings: Any,
    query_embeddings: Any = None,
    *,
    lookups: Any = None,
    labels: Any = None,
    ids: Any = None,
    k: int = 100,
    k1: int = 20,
    k2: int = 6,
    lmda: float = 0.3,
    distance: Any = "cosine",
    scale: float | None = None,
) -> Lookups:
    """k-reciprocal re-ranking: neighbours that are each other's neighbours come first.

    With N(x, k) the k nearest items of x other than x, and d divided by `scale`:

        R(x, k) = {x} and the g of N(x, k) with d(x, g) <= distance from g to its k-th
        R*(x)   = R(x, k1) with every R(g, k1 / 2), g in R(x, k1), of which at least
                  two thirds lie in R(x, k1)
        V_x[g]  = exp(-d(x, g)) for g in R*(x), else 0
        V'_x    = mean of V over x and its k2 - 1 nearest items
        d_J     = 1 - sum of min(V'_x, V'_g) / sum of max(V'_x, V'_g)
        d*      = (1 - lmda) * d_J + lmda * d

    Each query joins the items alone: its answer does not depend on the other queries.
    Only its first `k` neighbours, or those in `lookups`, are put in a new order; equal
    ones keep theirs. The distances of the answer are d*, not those of the index:
    thresholds found for these do not hold for it.

    Memory is O(n * k1): sparse rows of neighbours, never items by items.

    Args:
        embeddings: the items, shape (n, dim).
        query_embeddings: shape (n_queries, dim). Defaults to None: every item is a
            query to the others.
        lookups: `Lookups` of the queries, or a list of lists of `Lookup`, to put in a
            new order. Defaults to None: the k nearest, by exact search.
        labels: of the n items, integers or strings; for a new search.
        ids: of the n items, integers or strings. Defaults to None: their rows.
        k: neighbours to answer with, where no `lookups` are given. Defaults to 100;
            what is re-ranked beyond a few k1 hardly moves.
        k1: at least 1. Defaults to 20, the paper's.
        k2: at least 1; 1 leaves V as it is. Defaults to 6, the paper's.
        lmda: share of the original distance, from 0 to 1. Defaults to 0.3, the paper's.
        distance: one where d(a, b) = d(b, a) and d(a, a) = 0 is the least, a name or a
            `Distance`. Defaults to "cosine".
        scale: above 0. Defaults to None: the largest distance between items i and
            i + n / 2, so that d is about 1 between strangers, as in the paper's
            program.

    Returns:
        `Lookups`, by d*, with ids and labels kept; where `lookups` were given, they
        still know embeddings and user data.

    Raises:
        ValueError: for wrong shapes, numbers out of range, lookups of another number
            of queries or with ids that no item has, or a distance that is not
            symmetric.

    Example:
        >>> items = [[0.0], [1.0], [1.2], [5.0]]
        >>> rerank(items, [[0.9]], distance="euclidean", k1=2, k2=1, k=3).ids.tolist()
        [[1, 2, 0]]

    Reference:
        Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding",
        CVPR 2017.
    """
    items = doors.as_embeddings(embeddings, None)
    alone = query_embeddings is None
    queries = items
    if not alone:
        queries = doors.as_embeddings(
            query_embeddings, items.shape[1], "query_embeddings"
        )
    _check_numbers(k1, k2, lmda, scale)
    if len(items) < 2:
        raise ValueError(
            f"`embeddings` must hold at least two items. Received: {len(items)}."
        )
    search = LinearSearch(distance, items.shape[1])
    _check_symmetric(search.distance.name)
    search.batch_add(items, np.arange(len(items)))
    if lookups is None:
        lookups = _nearest(search, queries, doors.as_k(k), alone, labels, ids)
    lookups = as_lookups(lookups)
    if len(lookups) != len(queries):
        raise ValueError(
            "`lookups` must be those of the queries, one row for each. Received: "
            f"{len(lookups)} rows for {len(queries)} queries."
        )
    if not len(lookups):
        return lookups
    candidates = _rows_of(lookups, ids, len(items))
    kernel = kernel_of(search.distance)
    scale = scale or _largest_distance(kernel, items)

    n_near = max(k1, k2 - 1)
    near, found = _others(search, items, min(n_near, len(items) - 1))
    neighbours = Neighbours(kernel, items, near, found, k1, scale)
    encoded = neighbours.encode(items, near, found, own=True)
    of_items = averaged(encoded, encoded, near, k2, own=True)
    of_queries = of_items
    if not alone:
        near, found = search.batch_lookup(queries, n_near)
        encoded_queries = neighbours.encode(queries, near, found, own=False)
        of_queries = averaged(encoded_queries, encoded, near, k2, own=False)
    ranks = np.full(lookups.distances.shape, np.inf)
    for part, shared in overlaps(of_queries, of_items, candidates):
        jaccard = 1.0 - shared
        original = _measured(kernel, queries[part], items, candidates[part]) / scale
        ranks[part] = (1.0 - lmda) * jaccard + lmda * original
    ranks[~lookups.found] = np.inf
    order = np.argsort(ranks, axis=1, kind="stable")
    columns = (lookups.ids, ranks.astype(np.float32), lookups.labels, lookups.found)
    names, found, classes, is_found = (
        np.take_along_axis(column, order, 1) for column in columns
    )
    return Lookups(names, found, classes, is_found, lookups.records)


def _others(
    search: LinearSearch, items: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each item but itself, with their distances."""
    near, found = search.batch_lookup(items, k + 1)
    keep = near != np.arange(len(items))[:, None]
    # Where duplicates pushed the item out of its answer, the last one goes.
    keep[keep.all(axis=1), -1] = False
    shape = (len(items), -1)
    return near[keep].reshape(shape), found[keep].reshape(shape)


def _nearest(
    search: LinearSearch,
    queries: np.ndarray,
    k: int,
    alone: bool,
    labels: Any,
    ids: Any,
) -> Lookups:
    """Lookups of a new search, exact."""
    n = len(search)
    if alone:
        near, found = _others(search, queries, min(k, n - 1))
    else:
        near, found = search.batch_lookup(queries, k)
    names = np.arange(n) if ids is None else doors.as_labels(ids, n, "ids")
    return Lookups(names[near], found, doors.as_labels(labels, n)[near])


def _rows_of(lookups: Lookups, ids: Any, n: int) -> np.ndarray:
    """Rows of the neighbours among the items; 0 where none was found."""
    rows = np.zeros(lookups.ids.shape, np.int64)
    asked = lookups.ids[lookups.found]
    if ids is None:
        if asked.dtype == object or (
            len(asked) and not 0 <= asked.min() <= asked.max() < n
        ):
            raise ValueError(
                "`lookups` have ids that are not rows of `embeddings`. Give `ids`, the "
                f"ids of its {n} rows."
            )
        rows[lookups.found] = asked
        return rows
    places = {name: i for i, name in enumerate(doors.as_labels(ids, n, "ids").tolist())}
    if len(places) < n:
        raise ValueError("`ids` must be distinct. Received an id more than once.")
    found = [places.get(name, -1) for name in asked.tolist()]
    if -1 in found:
        raise ValueError(
            f"`lookups` have the id {asked[found.index(-1)]!r}, which is not in `ids`. "
            "Give the ids and embeddings of all items of the index."
        )
    rows[lookups.found] = found
    return rows


def _measured(
    kernel: Kernel, queries: np.ndarray, items: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Distances of queries to rows of their own, some at a time."""
    values = np.empty(rows.shape)
    step = max(1, BLOCK_FLOATS // max(1, rows.shape[1] * items.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        values[part] = kernel.measure(queries[part], items[rows[part]])
    return values


def _largest_distance(kernel: Kernel, items: np.ndarray) -> float:
    """The largest distance between items i and i + n / 2; 1 where all are 0."""
    n = len(items)
    opposite = (np.arange(n) + n // 2) % n
    return float(_measured(kernel, items, items, opposite[:, None]).max()) or 1.0


def _check_symmetric(name: str) -> None:
    if name in ("snr", "inner_product"):
        raise ValueError(
            "Re-ranking needs a distance that is the same both ways and least between "
            f"equals. Received: distance={name!r}. Use 'cosine' or 'euclidean'."
        )


def _check_numbers(k1: Any, k2: Any, lmda: Any, scale: Any) -> None:
    doors.as_count(k1, "k1")
    doors.as_count(k2, "k2")
    doors.as_number(lmda, "lmda", "from 0 to 1", lambda value: 0 <= value <= 1)
    if scale is not None:
        doors.as_number(
            scale, "scale", "a number above 0", lambda value: 0 < value < np.inf
        )
