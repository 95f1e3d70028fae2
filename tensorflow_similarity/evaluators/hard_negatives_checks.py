"""What `mine_hard_negatives` refuses."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors

_SAMPLINGS = ("top", "random")
# Ranks looked through for each negative asked for, where some may be refused.
_RANKS_PER_NEGATIVE = 10


def as_pairs(positives: Any, n_anchors: int, n_items: int, alone: bool) -> np.ndarray:
    """Pairs [anchor, positive], int64, shape (n_pairs, 2)."""
    given = doors.as_array(positives)
    if given.ndim == 1 and len(given) == n_anchors:
        given = np.stack([np.arange(n_anchors), given], axis=1)
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iu":
        raise ValueError(
            f"`positives` must be rows of `embeddings`: {n_anchors} integers, one for "
            "each anchor, or pairs [anchor, positive] of shape (n_pairs, 2). Received: "
            f"shape={given.shape}, dtype={given.dtype}."
        )
    pairs = given.astype(np.int64)
    for name, column, n in (("anchor", 0, n_anchors), ("positive", 1, n_items)):
        wrong = (pairs[:, column] < 0) | (pairs[:, column] >= n)
        if wrong.any():
            raise ValueError(
                f"`positives` must hold rows from 0 to {n - 1} as {name}s. Received: "
                f"{pairs[wrong.argmax(), column]}."
            )
    if alone and (pairs[:, 0] == pairs[:, 1]).any():
        raise ValueError(
            "`positives` must not pair an item with itself. Received: row "
            f"{pairs[(pairs[:, 0] == pairs[:, 1]).argmax(), 0]}."
        )
    return pairs


def checked_range(
    n_negatives: Any, range_min: Any, range_max: Any, filters: bool
) -> tuple[int, int]:
    """First and last rank, the last not included."""
    for name, value, least in (
        ("n_negatives", n_negatives, 1),
        ("range_min", range_min, 0),
        ("range_max", 1 if range_max is None else range_max, 1),
    ):
        doors.as_count(value, name, least)
    if range_max is None:
        return range_min, range_min + n_negatives * (_RANKS_PER_NEGATIVE**filters)
    if range_max < range_min + n_negatives:
        raise ValueError(
            "`range_max` must be at least range_min + n_negatives, or there are too "
            f"few ranks to choose from. Received: range_max={range_max}, "
            f"range_min={range_min}, n_negatives={n_negatives}."
        )
    return range_min, range_max


def check_choices(
    relative_margin: Any,
    absolute_margin: Any,
    min_score: Any,
    max_score: Any,
    sampling: Any,
) -> None:
    """Raises ValueError for margins, scores or a sampling that cannot be."""
    for name, value in (
        ("relative_margin", relative_margin),
        ("absolute_margin", absolute_margin),
    ):
        if value is not None:
            expected = "a number of at least 0, or None"
            doors.as_number(value, name, expected, lambda given: 0 <= given < np.inf)
    for name, value in (("min_score", min_score), ("max_score", max_score)):
        if value is not None:
            expected = "a number, not NaN, or None"
            doors.as_number(value, name, expected, lambda given: not np.isnan(given))
    if min_score is not None and max_score is not None and not min_score <= max_score:
        raise ValueError(
            "`min_score` must not exceed `max_score`. Received: "
            f"min_score={min_score!r}, max_score={max_score!r}."
        )
    if sampling not in _SAMPLINGS:
        raise ValueError(
            f"`sampling` must be one of {_SAMPLINGS}. Received: sampling={sampling!r}."
        )
