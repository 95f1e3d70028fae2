"""How well the rows of a batch fill the space they live in."""

from keras import ops

from tensorflow_similarity._core.numerics import (
    epsilon_of,
    l2_normalize,
    masked_log_sum_exp,
    pairwise_squared,
    safe_sqrt,
)
from tensorflow_similarity.types import FloatTensor

# Eigenvalues of a rank 1 matrix of 256 columns come out as 0 to within 2 spacings of
# the largest, on TensorFlow with and without XLA, JAX and torch.
_NOISE_OF_EIGENVALUES = 8.0


def batch_std(rows: FloatTensor, weights: FloatTensor | None = None) -> FloatTensor:
    """Mean over columns of the standard deviation over rows, a scalar.

    Args:
        rows: float, shape (n, width).
        weights: how often each row counts, shape (n,). Defaults to None: once.
    """
    shares = _shares(rows, weights)
    mean = ops.sum(shares * rows, axis=0, keepdims=True)
    variances = ops.sum(shares * ops.square(rows - mean), axis=0)
    width = ops.cast(ops.shape(rows)[1], rows.dtype)
    return ops.sum(safe_sqrt(variances)) / width


def embedding_std(
    embeddings: FloatTensor, weights: FloatTensor | None = None
) -> FloatTensor:
    """`batch_std` of the rows made 1 long: 1 / sqrt(dim) if well spread, 0 if equal."""
    return batch_std(l2_normalize(embeddings), weights)


def effective_rank(
    embeddings: FloatTensor, weights: FloatTensor | None = None
) -> FloatTensor:
    """exp of the entropy of the singular values over their sum, a scalar.

    The singular values are square roots of the eigenvalues of the smaller of X'X and
    XX', which every backend finds under `jit_compile` too, where an SVD takes seconds.
    Eigenvalues below their own rounding noise are 0: so are singular values below
    0.001 of the largest in float32. Only zero rows: 0.

    Args:
        embeddings: float and finite, shape (n, dim).
        weights: how often each row counts, shape (n,). Defaults to None: once.
    """
    n_rows, dim = embeddings.shape
    largest = ops.max(ops.abs(embeddings))
    rows = embeddings / ops.where(largest > 0, largest, 1.0)
    if weights is not None:
        rows = rows * safe_sqrt(weights)[:, None]
    columns = ops.transpose(rows)
    is_low = n_rows is not None and n_rows < dim
    squares, _ = ops.linalg.eigh(rows @ columns if is_low else columns @ rows)
    noise = _NOISE_OF_EIGENVALUES * epsilon_of(rows.dtype) * ops.max(squares)
    values = safe_sqrt(ops.where(squares <= noise, 0.0, squares))
    total = ops.sum(values)
    some = total > 0
    shares = values / ops.where(some, total, 1.0)
    logs = ops.log(ops.where(shares > 0, shares, 1.0))
    return ops.where(some, ops.exp(-ops.sum(shares * logs)), 0.0)


def uniformity(
    embeddings: FloatTensor, weights: FloatTensor | None = None, t: float = 2.0
) -> FloatTensor:
    """log of the mean of exp(-t |x - y|^2) over pairs of rows made 1 long, a scalar.

    A row is not paired with itself. A single row: 0.

    Args:
        embeddings: float, shape (n, dim).
        weights: how often each row counts, shape (n,). Defaults to None: once.
        t: how fast far pairs stop to count.
    """
    unit = l2_normalize(embeddings)
    if weights is None:
        weights = ops.ones_like(unit[:, 0])
    counts = weights[:, None] * weights[None, :]
    pairs = ops.logical_and(counts > 0, ops.logical_not(_diagonal(counts)))
    logs = ops.log(ops.where(pairs, counts, 1.0))
    total, _ = masked_log_sum_exp(
        logs - t * pairwise_squared(unit, unit), pairs, axis=None
    )
    count, _ = masked_log_sum_exp(logs, pairs, axis=None)
    return total - count


def _shares(rows: FloatTensor, weights: FloatTensor | None) -> FloatTensor:
    """Each row's part of the mean, shape (n, 1)."""
    if weights is None:
        weights = ops.ones_like(rows[:, 0])
    total = ops.sum(weights)
    return (weights / ops.where(total > 0, total, 1.0))[:, None]


def _diagonal(square: FloatTensor) -> FloatTensor:
    at = ops.arange(ops.shape(square)[0], dtype="int32")
    return at[:, None] == at[None, :]
