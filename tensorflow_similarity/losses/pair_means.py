"""Means over pairs, handed out to the anchors they belong to."""

from keras import ops

from tensorflow_similarity.types import BoolTensor, FloatTensor


def shares_of_mean(values: FloatTensor, mask: BoolTensor) -> FloatTensor:
    """What each row adds to the mean of the values under the mask; 0 if none.

    Args:
        values: shape (n_queries, n_keys).
        mask: bool, shape (n_queries, n_keys).

    Returns:
        Shape (n_queries,); their sum is the mean over all pairs under the mask.
    """
    sums = ops.sum(ops.where(mask, values, 0.0), axis=1)
    return sums / at_least_one(count(mask, values.dtype))


def count(mask: BoolTensor, dtype: str) -> FloatTensor:
    """How many are true, as a float scalar."""
    return ops.sum(ops.cast(mask, dtype))


def at_least_one(number: FloatTensor) -> FloatTensor:
    """A count to divide by: 1 where it is 0."""
    return ops.where(number > 1, number, 1.0)
