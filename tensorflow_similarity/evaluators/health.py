"""Whether a set of embeddings is fit for searching: one function, one table."""

import contextlib
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators import health_spread as spread
from tensorflow_similarity.evaluators.class_codes import NO_CLASS, class_codes
from tensorflow_similarity.evaluators.health_faults import faults_of
from tensorflow_similarity.evaluators.health_neighbours import (
    NearDuplicate,
    Neighbours,
    SuspectLabel,
    votes,
)
from tensorflow_similarity.evaluators.health_report import EmbeddingHealth
from tensorflow_similarity.evaluators.hubness import hubness
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.search.kernels import unit_rows

# Near-duplicates are closer than a tenth of the usual way to a neighbour; the cosine
# and the squared distance go with the square of the way.
_DUPLICATE_SHARE = {
    "cosine": 0.01,
    "squared_euclidean": 0.01,
    "euclidean": 0.1,
    "manhattan": 0.1,
}


def embedding_health(
    embeddings: Any,
    labels: Any = None,
    *,
    ids: Any = None,
    distance: Any = "cosine",
    k: int = 10,
    near_duplicate_distance: float | None = None,
    label_vote: float = 0.7,
    seed: int = 0,
) -> EmbeddingHealth:
    """Looks for what makes embeddings unfit for searching, and says it in words.

    - Rows with NaN, infinity or numbers beyond 1e16, by id; the rest is about the other
      rows. Zero rows. Rows that repeat an earlier one.
    - Collapse: `relative_std`, the standard deviation of the rows made 1 long, mean
      over dimensions, times sqrt(dim): 1 where directions are spread evenly, 0 where
      all are one. `effective_rank`, exp of the entropy of the singular values over
      their sum. Dimensions that hardly vary.
    - `uniformity`, log of the mean of exp(-2 |x - y|^2) over pairs of rows made 1 long:
      all pairs of up to 10,000 rows, 1,000,000 drawn ones of more. `alignment`, mean of
      |x - y|^2 over all pairs of one class.
    - Hubness: skewness of how often an item is among the k neighbours of the others,
      and the share of items that never are.
    - With labels: sizes of classes; near-duplicates across labels, for each item the
      nearest one of another label within `near_duplicate_distance`; labels that the
      neighbours doubt: `label_vote` of the voters are of one other class. The voters
      are the min(k, n - 1) nearest labelled neighbours of an item of a class of n;
      classes of fewer than 4 are not judged.

    Exact search by blocks: O(n^2) time, O(n k) memory.

    Args:
        embeddings: shape (n, dim), at least two finite rows.
        labels: n integers or strings, None for an item without one. Defaults to None:
            nothing is said of labels.
        ids: n integers or strings that name the items. Defaults to None: positions.
        distance: "cosine", "euclidean", "squared_euclidean" or "manhattan", by any name
            or as a `Distance`: one that is 0 between equal items. Defaults to "cosine",
            the default of the losses.
        k: neighbours of each item, at most the number of others. Defaults to 10, as in
            the literature on hubness.
        near_duplicate_distance: in the unit of the distance. Defaults to None: a tenth
            of the median way to the nearest neighbour (of its square where the distance
            goes with the square), which few unrelated items are within.
        label_vote: above 0.5 and at most 1. Defaults to 0.7: with 10 voters, 7 of one
            other class.
        seed: of the drawn pairs.

    Returns:
        `EmbeddingHealth`: `numbers`, `warnings`, and the items by id.

    Raises:
        ValueError: for embeddings that are ragged, fewer than two finite rows, labels
            or ids of another number, another distance, or numbers out of range.
        TypeError: for labels or ids that are neither integers nor strings.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(100, 8))
        >>> found = embedding_health(rows, np.arange(100) % 2)
        >>> round(found.numbers["relative_std"], 1), found.numbers["n_zero"]
        (1.0, 0)

    Reference:
        Garrido et al., "RankMe", ICML 2023 (effective rank); Wang, Isola,
        "Understanding Contrastive Representation Learning through Alignment and
        Uniformity on the Hypersphere", ICML 2020; Radovanovic et al., "Hubs in Space",
        JMLR 2010.
    """
    distance, share = _check(distance, near_duplicate_distance, label_vote)
    rows, kept, n_rows = _finite(embeddings)
    names = _names(ids, n_rows)
    labels = doors.as_labels(labels, n_rows)
    k = min(doors.as_k(k), len(rows) - 1)

    unit = unit_rows(rows)
    has_direction = np.count_nonzero(unit, axis=1) > 0
    (codes,), classes = class_codes(labels[kept])
    flat = spread.flat_dimensions(rows)
    numbers: dict[str, Any] = {
        "n_items": len(rows),
        "dim": rows.shape[1],
        "n_not_finite": n_rows - len(rows),
        "n_zero": int((~has_direction).sum()),
        "share_of_repeats": spread.share_of_repeats(rows),
        "relative_std": _relative_std(unit),
        "effective_rank": spread.effective_rank(rows),
        "n_flat_dimensions": len(flat),
    }
    if has_direction.sum() > 1:
        directions = unit[has_direction]
        numbers["uniformity"] = spread.uniformity(directions, seed)
        aligned = spread.alignment(directions, codes[has_direction])
        if aligned is not None:
            numbers["alignment"] = aligned

    neighbours = Neighbours(distance, rows)
    positions, distances = neighbours.nearest(np.arange(len(rows)), k)
    hubs = hubness(rows, k, distance=distance)
    numbers["hubness_skewness"] = hubs["skewness"]
    numbers["share_of_anti_hubs"] = hubs["anti_hub_share"]
    lists: dict[str, Any] = {
        "not_finite": names[~kept].tolist(),
        "zero": names[kept][~has_direction].tolist(),
        "flat_dimensions": flat.tolist(),
    }
    if len(classes):
        if near_duplicate_distance is None:
            near_duplicate_distance = share * float(np.median(distances[:, 0]))
        duplicates = sorted(
            (gap, i, j)
            for i, j, gap in neighbours.nearest_of_others(
                codes, positions, distances, near_duplicate_distance
            )
        )
        texts = classes[codes].tolist()
        named = names[kept].tolist()
        lists["near_duplicates"] = [
            NearDuplicate(named[i], named[j], texts[i], texts[j], gap)
            for gap, i, j in duplicates
        ]
        lists["suspect_labels"] = [
            SuspectLabel(named[i], texts[i], classes[[code]].tolist()[0], *shares)
            for i, code, *shares in _doubted(codes, positions, label_vote)
        ]
        sizes = np.bincount(codes[codes != NO_CLASS])
        lists["singletons"] = classes[sizes == 1].tolist()
        numbers |= {
            "n_classes": len(classes),
            "n_unlabelled": int((codes == NO_CLASS).sum()),
            "smallest_class": int(sizes.min()),
            "largest_class": int(sizes.max()),
            "n_singletons": int((sizes == 1).sum()),
            "near_duplicate_distance": float(near_duplicate_distance),
            "n_near_duplicates": len({i for _, *pair in duplicates for i in pair}),
            "n_suspect_labels": len(lists["suspect_labels"]),
        }
    return EmbeddingHealth(numbers, dict(faults_of(numbers)), **lists)


def _doubted(
    codes: np.ndarray, positions: np.ndarray, label_vote: float
) -> list[tuple[int, int, float, float]]:
    """Items, classes that win the vote, their shares and the own; surest first."""
    items, winners, shares, own = votes(codes, positions)
    doubted = np.flatnonzero((winners != codes[items]) & (shares >= label_vote))
    order = doubted[np.lexsort((items[doubted], own[doubted], -shares[doubted]))]
    columns = items[order], winners[order], shares[order], own[order]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _relative_std(unit: np.ndarray) -> float:
    return float(spread.standard_deviations(unit).mean() * unit.shape[1] ** 0.5)


def _check(distance: Any, near: Any, vote: Any) -> tuple[Any, float]:
    """The distance, and the share of the way that near-duplicates are within."""
    if near is not None:
        expected = "a distance of at least 0, or None"
        doors.as_number(
            near, "near_duplicate_distance", expected, lambda value: 0 <= value < np.inf
        )
    expected = "above 0.5 and at most 1"
    doors.as_number(vote, "label_vote", expected, lambda value: 0.5 < value <= 1)
    share = None
    with contextlib.suppress(TypeError, ValueError):
        found = LinearSearch(distance, 1).distance
        share = _DUPLICATE_SHARE.get(found.name)
    if share is None:
        raise ValueError(
            "`distance` must be one that is 0 between equal items, one of "
            f"{sorted(_DUPLICATE_SHARE)}. Received: distance={distance!r}."
        )
    return found, share


def _finite(embeddings: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """The finite rows, which of all rows they are, and how many there are in all."""
    try:
        array = doors.as_array(embeddings)
    except ValueError:  # ragged rows: the door says it
        array = doors.as_embeddings(embeddings, None)
    kept = np.ones(array.shape[:1], bool)
    # NumPy has no kind of its own for bfloat16.
    if array.ndim == 2 and "float" in array.dtype.name:
        kept = (np.abs(array) <= doors.LARGEST_COMPONENT).all(axis=1)
        array = array[kept]
    rows = doors.as_embeddings(array, None)
    if len(rows) < 2:
        raise ValueError(
            "`embeddings` must hold at least two finite rows. Received: "
            f"{len(rows)} of {len(kept)}."
        )
    return rows, kept, len(kept)


def _names(ids: Any, n_rows: int) -> np.ndarray:
    if ids is None:
        return np.arange(n_rows)
    return doors.as_labels(ids, n_rows, "ids")
