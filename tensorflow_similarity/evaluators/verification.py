"""Same or not: verification metrics of pairs, given or all there are."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.class_codes import NO_CLASS, class_codes
from tensorflow_similarity.evaluators.pair_histograms import count_pairs
from tensorflow_similarity.evaluators.verification_results import VerificationResults
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.search.kernels import Kernel, kernel_of

# So many pairs are measured one by one, in about a second; more are counted by bins.
_MEASURED_PAIRS = 500_000
# Floats of differences held at a time (16 MB).
_TILE_FLOATS = 4 * 1024 * 1024


def evaluate_pairs(distances: Any, same: Any) -> VerificationResults:
    """Verification metrics of pairs whose distances are known.

    Exact: the thresholds are the distinct distances, and pairs at one distance are
    accepted together. O(n log n) time, O(n) memory.

    Args:
        distances: finite numbers, smaller is closer, shape (n_pairs,).
        same: whether a pair is of one class, n_pairs booleans, or 0 and 1.

    Returns:
        `VerificationResults`: ROC and DET curves, AUC, EER, TAR at a FAR, accuracy.

    Raises:
        ValueError: for arrays of another shape or of unequal lengths, distances that
            are not finite, or no pair of one of the two kinds.
        TypeError: for `same` that is neither booleans nor 0 and 1.

    Example:
        >>> found = evaluate_pairs([0.1, 0.4, 0.2, 0.9], [True, True, False, False])
        >>> found.auc, found.best_accuracy, found.tar_at_far(0.5)
        (0.75, 0.75, 1.0)
    """
    values, is_same = as_pairs(distances, same)
    return _by_distance(values, is_same)


def evaluate_verification(
    embeddings: Any,
    labels: Any,
    query_embeddings: Any = None,
    query_labels: Any = None,
    *,
    distance: Any = "cosine",
    verbose: int = 0,
) -> VerificationResults:
    """Verification metrics of all pairs of labelled embeddings.

    Without query arrays the pairs are all i < j of the items, else each query with each
    item. A pair is "same" when both have the same label; items without a label (None)
    are in no pair, the label -1 is a class like any other.

    Up to 500,000 pairs are measured one by one, and the numbers are exact. More are
    counted in 131,072 bins, from distances by float32 matrix products; every number
    then has a bound (`auc_error`, `eer_error`, `tar_error`), in which bins and rounding
    are counted in, and `repr` shows it. Rows more than 4 times as far out as nine in
    ten are measured apart, in float64 and in bins that widen with the distance: a few
    outliers cost the others no digits. Memory is one tile of pairs and the bins, never
    items by items.

    For a distance that is not symmetric (SNR, your own) the earlier item, or the query,
    is the first of the two.

    Args:
        embeddings: shape (n, dim).
        labels: n integers or strings.
        query_embeddings: shape (n_queries, dim). Defaults to None: pairs among the
            items.
        query_labels: n_queries integers or strings, given with `query_embeddings`.
        distance: name of a distance or a `Distance`. Defaults to "cosine", the default
            of the losses; pass the one the model was trained with.
        verbose: 1 shows progress.

    Returns:
        `VerificationResults`: ROC and DET curves, AUC, EER, TAR at a FAR, accuracy.

    Raises:
        ValueError: for embeddings that are ragged, not finite, or of unequal widths;
            labels of another number; or no pair of the same class, or of different
            classes.
        TypeError: for labels that are neither integers nor strings, or strings on one
            side and integers on the other.

    Example:
        >>> found = evaluate_verification(
        ...     [[0.0], [1.0], [5.0], [7.0]], ["a", "a", "b", "b"], distance="euclidean"
        ... )
        >>> found.n_same, found.n_different, found.auc, found.eer_threshold
        (2, 4, 1.0, 2.0)
    """
    items = doors.as_embeddings(embeddings, None)
    item_labels = doors.as_labels(labels, len(items))
    if query_embeddings is None and query_labels is None:
        (codes,), _ = class_codes(item_labels)
        items, codes = _labelled(items, codes)
        queries, query_codes = None, None
    elif query_embeddings is None or query_labels is None:
        given = "query_labels" if query_embeddings is None else "query_embeddings"
        raise ValueError(
            "`query_embeddings` and `query_labels` belong together. Received only "
            f"`{given}`."
        )
    else:
        queries = doors.as_embeddings(
            query_embeddings, items.shape[1], "query_embeddings"
        )
        asked = doors.as_labels(query_labels, len(queries), "query_labels")
        (codes, query_codes), _ = class_codes(item_labels, asked)
        items, codes = _labelled(items, codes)
        queries, query_codes = _labelled(queries, query_codes)
    n_pairs = _check_numbers(codes, query_codes)
    if n_pairs <= _MEASURED_PAIRS:
        kernel = kernel_of(LinearSearch(distance, items.shape[1]).distance)
        measured = _measured(kernel, items, codes, queries, query_codes)
        return _by_distance(*measured)
    return count_pairs(distance, items, codes, queries, query_codes, verbose)


def as_pairs(distances: Any, same: Any) -> tuple[np.ndarray, np.ndarray]:
    """Distances as floats and `same` as booleans, both (n_pairs,), or a refusal."""
    try:
        values = doors.as_array(distances)
    except ValueError:
        raise ValueError(
            "`distances` must be numbers, shape (n_pairs,). Received nested sequences "
            "of unequal length."
        ) from None
    if values.dtype.kind not in "fiu" and "float" not in values.dtype.name:
        raise ValueError(
            f"`distances` must be numbers, shape (n_pairs,). Received: "
            f"dtype={values.dtype}."
        )
    values = values.astype(np.float64)
    is_same = doors.as_array(same)
    if values.ndim != 1 or is_same.shape != values.shape:
        raise ValueError(
            "`distances` and `same` must hold one value for each pair, both of shape "
            f"(n_pairs,). Received: distances {values.shape}, same {is_same.shape}."
        )
    if is_same.dtype.kind not in "biuf" or not np.isin(is_same, (0, 1)).all():
        raise TypeError(
            "`same` must be booleans, or 0 and 1: whether the pair is of one class. "
            f"Received: dtype={is_same.dtype}."
        )
    finite = np.isfinite(values)
    if not finite.all():
        raise ValueError(
            "`distances` must be finite. Received NaN or infinity in "
            f"{int((~finite).sum())} of {len(values)} pairs, first at "
            f"{int((~finite).argmax())}."
        )
    is_same = is_same.astype(bool)
    n_same = int(is_same.sum())
    check_kinds(n_same, len(is_same) - n_same)
    return values, is_same


def check_kinds(n_same: int, n_different: int) -> None:
    """Refuses pairs that are all of one kind.

    Raises:
        ValueError: with the number of pairs of both kinds.
    """
    if n_same and n_different:
        return
    raise ValueError(
        "Verification needs pairs of the same class and pairs of different classes. "
        f"Received: {n_same} of the same and {n_different} of different classes."
    )


def _by_distance(values: np.ndarray, same: np.ndarray) -> VerificationResults:
    """Results with one threshold for each distinct distance."""
    order = np.argsort(values)
    values, same = values[order], same[order]
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    same_within = np.cumsum(same)[last]
    return VerificationResults(
        np.concatenate([[-np.inf], values[last]]),
        np.concatenate([[0], same_within]),
        np.concatenate([[0], last + 1 - same_within]),
    )


def _labelled(rows: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    has_label = codes != NO_CLASS
    return (rows, codes) if has_label.all() else (rows[has_label], codes[has_label])


def _check_numbers(codes: np.ndarray, query_codes: np.ndarray | None) -> int:
    """The number of pairs, if there are some of both kinds."""
    if query_codes is None:
        sizes = np.bincount(codes)
        n_pairs = len(codes) * (len(codes) - 1) // 2
        n_same = int((sizes * (sizes - 1) // 2).sum())
    else:
        n_classes = 1 + max(codes.max(initial=0), query_codes.max(initial=0))
        sizes = np.bincount(codes, minlength=n_classes)
        n_pairs = len(codes) * len(query_codes)
        n_same = int(sizes[query_codes].sum())
    check_kinds(n_same, n_pairs - n_same)
    return n_pairs


def _measured(
    kernel: Kernel,
    items: np.ndarray,
    codes: np.ndarray,
    queries: np.ndarray | None,
    query_codes: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all pairs, measured accurately, and whether they are "same"."""
    alone = queries is None
    if queries is None or query_codes is None:
        queries, query_codes = items, codes
    step = max(1, _TILE_FLOATS // items.size)
    distances, same = [], []
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        rows = np.broadcast_to(items, (len(part), *items.shape))
        measured = kernel.measure(part, rows)
        equal = query_codes[start : start + step, None] == codes
        if alone:
            places = start + np.arange(len(part))[:, None]
            kept = np.arange(len(items)) > places
            measured, equal = measured[kept], equal[kept]
        distances.append(measured.ravel())
        same.append(equal.ravel())
    # Distances are of float32; the arithmetic of their curves is of float64.
    return np.concatenate(distances).astype(np.float64), np.concatenate(same)
