"""How embeddings fill their space: numbers of a whole set, by blocks, in float64."""

from collections.abc import Iterator

import numpy as np

# Pairs of which uniformity is the mean over all; above, over so many drawn ones.
_ALL_PAIRS = 50_000_000
_DRAWN_PAIRS = 1_000_000
# Rows held in float64 at a time, and rows and columns of a tile of pairs.
_BLOCK_ROWS = 16_384
_TILE_ROWS = 1_024
# Eigenvalues below so many roundings of the largest are 0.
_NOISE_OF_EIGENVALUES = 8.0
# A dimension that varies less than this share of the median one is flat.
_FLAT = 1e-3


def standard_deviations(rows: np.ndarray) -> np.ndarray:
    """Of each column, shape (dim,)."""
    mean = rows.mean(axis=0, dtype=np.float64)
    squares = sum(np.square(block - mean).sum(axis=0) for block in _blocks(rows))
    return np.sqrt(squares / len(rows))


def flat_dimensions(rows: np.ndarray) -> np.ndarray:
    """Numbers of the columns that hardly vary beside the others."""
    deviations = standard_deviations(rows)
    return np.flatnonzero(deviations <= _FLAT * np.median(deviations))


def effective_rank(rows: np.ndarray) -> float:
    """exp of the entropy of the singular values over their sum; only zero rows: 0."""
    largest = float(np.abs(rows).max())
    if largest == 0.0:
        return 0.0
    scaled = (block / largest for block in _blocks(rows))
    squares = np.linalg.eigvalsh(sum(block.T @ block for block in scaled))
    noise = _NOISE_OF_EIGENVALUES * np.finfo(np.float64).eps * squares.max()
    values = np.sqrt(squares[squares > noise])
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def uniformity(unit: np.ndarray, seed: int) -> float:
    """log of the mean of exp(-2 |x - y|^2) over pairs of unit rows."""
    n_pairs = len(unit) * (len(unit) - 1) // 2
    if n_pairs > _ALL_PAIRS:
        generator = np.random.default_rng(seed)
        left = generator.integers(0, len(unit), _DRAWN_PAIRS)
        # Any other row: the step round is from 1 to n - 1.
        right = left + generator.integers(1, len(unit), _DRAWN_PAIRS)
        right %= len(unit)
        sums = []
        for i in range(0, _DRAWN_PAIRS, _BLOCK_ROWS):
            part = slice(i, i + _BLOCK_ROWS)
            cosines = np.einsum("nd,nd->n", unit[left[part]], unit[right[part]])
            sums.append(_kernel_sum(cosines))
        return float(np.log(sum(sums) / _DRAWN_PAIRS))
    total = 0.0
    for i in range(0, len(unit), _TILE_ROWS):
        rows = unit[i : i + _TILE_ROWS]
        inner = np.triu_indices(len(rows), 1)
        total += _kernel_sum((rows @ rows.T)[inner])
        for j in range(i + _TILE_ROWS, len(unit), _TILE_ROWS):
            total += _kernel_sum(rows @ unit[j : j + _TILE_ROWS].T)
    return float(np.log(total / n_pairs))


def alignment(unit: np.ndarray, codes: np.ndarray) -> float | None:
    """Mean of |x - y|^2 over all pairs of unit rows of one class; None without any.

    The sum over the pairs of a class is n times the sum of the squares less the square
    of the sum, so no pair is formed.
    """
    given = np.flatnonzero(codes >= 0)
    if not len(given):
        return None
    order = given[np.argsort(codes[given], kind="stable")]
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    n_pairs = int((sizes * (sizes - 1) // 2).sum())
    if not n_pairs:
        return None
    rows = unit[order]
    squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    sums = np.add.reduceat(rows, starts, axis=0, dtype=np.float64)
    total = sizes @ np.add.reduceat(squares, starts) - np.square(sums).sum()
    return max(0.0, float(total / n_pairs))


def share_of_repeats(rows: np.ndarray) -> float:
    """Share of rows that equal an earlier one, bit by bit."""
    texts = np.ascontiguousarray(rows + 0.0)  # -0.0 becomes 0.0
    keys = texts.view(np.dtype((np.void, texts.itemsize * texts.shape[1]))).ravel()
    return 1.0 - len(np.unique(keys)) / len(rows)


def _kernel_sum(cosines: np.ndarray) -> float:
    # |x - y|^2 = 2 - 2 cos for unit rows.
    return float(np.exp(4.0 * np.minimum(cosines, 1.0) - 4.0).sum(dtype=np.float64))


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for i in range(0, len(rows), _BLOCK_ROWS):
        yield rows[i : i + _BLOCK_ROWS].astype(np.float64)
