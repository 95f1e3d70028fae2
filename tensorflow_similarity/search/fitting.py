"""What the engines with lists share: their sizes, and how they fit them to the rows."""

from collections.abc import Callable
from typing import Any

import numpy as np

# Fewer floats than this are searched exactly: measured, one query over 31,000 x 64
# takes 0.1 ms that way.
EXACT_FLOATS = 2_000_000
# Rows taken out of the vectors and given to an engine at a time.
STEP = 65_536
# Of the neighbours of sampled rows, the lists searched by default hold this share.
TARGET = 0.995
N_NEIGHBOURS = 10
_N_SAMPLED = 256
# Lists are searched that hold so many rows on average for each neighbour asked for.
_ROWS_PER_NEIGHBOUR = 16
# Rows whose squared lengths differ by no more than this, relatively, are of one length.
_SAME_LENGTH = 0.01


def spaced(n_rows: int, n: int = _N_SAMPLED) -> np.ndarray:
    """Positions of n of the rows, evenly spaced; all of fewer."""
    return np.linspace(0, n_rows - 1, min(n, n_rows)).astype(np.int64)


def least(limit: int, is_enough: Callable[[int], bool]) -> int:
    """The least of 1, 2, 3, 5, 8, ... that is enough, or `limit`, not tried."""
    n = 1
    while n < limit and not is_enough(n):
        n += -(-n // 2)
    return min(n, limit)


def n_searched(default: int, n_lists: int, n_rows: int, k: int) -> int:
    """How many lists to search for k neighbours: `default`, or more for a large k."""
    wanted = _ROWS_PER_NEIGHBOUR * k * n_lists // max(n_rows, 1) + 1
    return min(max(default, wanted), n_lists)


def are_of_one_length(rows: np.ndarray) -> bool:
    """Whether rows (n, dim) have about the same length, as normalised ones have."""
    squares = np.einsum("nd,nd->n", rows, rows)
    return bool(squares.std() <= _SAME_LENGTH * squares.mean())


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """The value of an argument, checked to be an integer within bounds.

    Raises:
        ValueError: for anything else.
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(
            f"`{name}` must be an integer {bounds}. Received: {name}={value!r}."
        )
    return int(value)


def whole_or_none(name: str, value: Any, least: int = 1) -> int | None:
    """As `whole`; None stays."""
    return None if value is None else whole(name, value, least)
