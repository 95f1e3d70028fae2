"""Masked and safe arithmetic, written once in `keras.ops` for three backends.

Everything here keeps fixed shapes and stays finite, in value and in gradient, for
empty masks, zero vectors and coinciding rows.
"""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity.types import Tensor


def compute_dtype(dtype: Any) -> str:
    """The dtype to compute in: at least float32; float64 stays, whatever the policy."""
    name = keras.backend.standardize_dtype(dtype)
    return "float64" if name == "float64" else "float32"


def to_float(x: Any) -> Tensor:
    """`x` as a tensor of at least float32; integers become float32."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, compute_dtype(x.dtype))


def to_floats(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Both as `to_float` makes them, of one dtype: float64 if either is."""
    a, b = to_float(a), to_float(b)
    if a.dtype != b.dtype:
        a, b = ops.cast(a, "float64"), ops.cast(b, "float64")
    return a, b


def epsilon_of(dtype: Any) -> float:
    """Spacing of the numbers next to 1 in float32 or float64."""
    return 2.0**-52 if compute_dtype(dtype) == "float64" else 2.0**-23


def largest_of(dtype: Any) -> float:
    """A number above every real distance whose square root is still far from inf."""
    return 1e300 if compute_dtype(dtype) == "float64" else 1e37


def safe_sqrt(x: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0 in place of infinity; x <= 0 gives 0."""
    # `where` outside alone would still send NaN back through the square root.
    # NaN is not below 0, and stays NaN.
    zero = x <= 0
    return ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, x)))


def l2_normalize(x: Tensor, axis: int = -1) -> Tensor:
    """Rows of length 1; a zero row stays zero, with gradient zero.

    Each row is divided by its largest component first, so that the squares of very
    long and very short rows neither overflow nor vanish. Rows shorter than 1e-30
    count as zero.
    """
    lengths = ops.stop_gradient(ops.abs(x))
    largest = ops.max(lengths, axis=axis, keepdims=True)
    # A row of NaN must stay NaN and not become zero. On TensorFlow a maximum may pass
    # over NaN, and graphs turn `not (x <= c)` into `x > c`.
    some = ops.logical_or(lengths > 1e-30, ops.isnan(lengths))
    nonzero = ops.any(some, axis=axis, keepdims=True)
    scale = ops.where(largest > 1e-30, largest, 1.0)
    scaled = ops.where(nonzero, x / scale, 0.0)
    squares = ops.sum(ops.square(scaled), axis=axis, keepdims=True)
    return scaled * ops.rsqrt(ops.where(nonzero, squares, 1.0))


def inner_products(query: Tensor, key: Tensor) -> Tensor:
    """Inner products of rows, (q, dim) and (k, dim) of one dtype to (q, k)."""
    # Not `ops.matmul`, nor `ops.mean` and `ops.maximum` elsewhere: on torch they round
    # float64 to float32 (Keras 3.15). `@` is the same product on every backend.
    return query @ ops.transpose(key)


def pairwise_squared(query: Tensor, key: Tensor) -> Tensor:
    """Squared Euclidean distances of rows, (q, dim) and (k, dim) to (q, k).

    |q|^2 + |k|^2 - 2 q.k, so memory stays O(q * k). What the subtraction leaves below
    its own rounding noise carries no digit: it is 0, with gradient 0, so that equal
    rows are at distance 0 and square roots of the result have finite gradients.
    """
    lengths = (
        ops.sum(ops.square(query), axis=1)[:, None]
        + ops.sum(ops.square(key), axis=1)[None, :]
    )
    squared = lengths - 2.0 * inner_products(query, key)
    # A sum of `dim` rounded products errs by about sqrt(dim) / 2 spacings.
    noise = epsilon_of(query.dtype) * max(4.0, query.shape[1] ** 0.5 / 2.0)
    return ops.where(squared <= noise * lengths, 0.0, squared)


def masked_max(values: Tensor, mask: Tensor, axis: int = 1) -> tuple[Tensor, Tensor]:
    """Largest value under the mask, 0 where there is none, and whether there is one."""
    some = ops.any(mask, axis=axis)
    lowest = -largest_of(values.dtype)
    return ops.where(
        some, ops.max(ops.where(mask, values, lowest), axis=axis), 0.0
    ), some


def masked_min(values: Tensor, mask: Tensor, axis: int = 1) -> tuple[Tensor, Tensor]:
    """Least value under the mask, 0 where there is none, and whether there is one."""
    largest, some = masked_max(-values, mask, axis=axis)
    return -largest, some


def masked_log1p_sum_exp(values: Tensor, mask: Tensor, axis: int = 1) -> Tensor:
    """log(1 + sum of exp(values) under the mask); 0 for an empty mask."""
    kept = ops.where(mask, values, 0.0)
    # The 1 is one more term with exponent 0, so the largest exponent is at least 0.
    largest = ops.stop_gradient(ops.relu(ops.max(kept, axis=axis, keepdims=True)))
    terms = ops.where(mask, ops.exp(ops.where(mask, values, largest) - largest), 0.0)
    total = ops.exp(-largest) + ops.sum(terms, axis=axis, keepdims=True)
    return ops.squeeze(largest + ops.log(total), axis=axis)


def masked_log_sum_exp(
    values: Tensor, mask: Tensor, axis: int | None = 1
) -> tuple[Tensor, Tensor]:
    """log(sum of exp(values) under the mask), 0 for an empty one, and if any is."""
    some = ops.any(mask, axis=axis)
    # What is left out is so low that its exp is 0, and finite, so that the difference
    # of two such is too. Over an empty mask it sums ones, and the last `where` takes
    # their gradient away again.
    kept = ops.where(mask, values, -largest_of(values.dtype))
    largest = ops.stop_gradient(ops.max(kept, axis=axis, keepdims=True))
    total = ops.sum(ops.exp(kept - largest), axis=axis)
    result = ops.log(total) + ops.squeeze(largest, axis=axis)
    return ops.where(some, result, 0.0), some


def cumulative_log_sum_exp(values: Tensor, width: Any) -> Tensor:
    """log(sum of exp(values[: m + 1])) for each m; a gradient does not go through.

    It takes `width` steps over all blocks of `width` values at once, then joins the
    blocks: right for any range of values, where a running sum of exp(values - max)
    would lose all that is far below the one largest value.

    Args:
        values: shape (n_blocks * width,).
        width: values in a block, an int or a scalar tensor.
    """
    steps = ops.transpose(ops.reshape(ops.stop_gradient(values), (-1, width)))

    def step(state: Any, x: Tensor) -> tuple[Any, Any]:
        # The sum is kept as largest + log(total): its logarithm alone would lose
        # digits at each of thousands of steps.
        largest, total = state
        higher = ops.where(x > largest, x, largest)
        total = total * ops.exp(largest - higher) + ops.exp(x - higher)
        return (higher, total), (higher, total)

    lowest = ops.full_like(steps[0], -largest_of(values.dtype))
    _, (largest, total) = ops.scan(step, (lowest, ops.zeros_like(lowest)), steps)
    within = ops.transpose(largest + ops.log(total))
    blocks = within[:, -1]
    at = ops.arange(ops.shape(blocks)[0], dtype="int32")
    earlier = at[None, :] < at[:, None]
    before, some = masked_log_sum_exp(blocks[None, :], earlier)
    before = ops.where(some, before, lowest)[:, None]
    above = ops.where(within > before, within, before)
    joined = above + ops.log1p(ops.exp(-ops.abs(within - before)))
    return ops.reshape(joined, (-1,))
