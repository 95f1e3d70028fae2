"""Negatives drawn evenly over distances."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tensorflow_similarity._core.numerics import (
    l2_normalize,
    largest_of,
    pairwise_squared,
)
from tensorflow_similarity.miners.miner import Candidates, Miner
from tensorflow_similarity.types import BoolTensor, FloatTensor, IntTensor

_LEAST_SQUARE = 1e-8
"""Of 1 - d^2 / 4, so that opposite rows have a finite weight."""

_STEPS = 2.0**20
"""Into how many steps a component of 1 is cut before it is hashed."""

_LARGEST_STEP = 2.0**30


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class DistanceWeightedMiner(Miner):
    """As many negatives of each anchor as it has positives, drawn against density.

    On a sphere of many dimensions nearly all negatives are near sqrt(2) away. Drawing
    each with log probability

    -log q(d) = (2 - dim) log d - (dim - 3) / 2 log(1 - d^2 / 4)

    gives every distance the same chance; d is Euclidean between rows of length 1,
    whatever distance the loss uses, and is taken as `cutoff` where it is less. All
    positives are kept. No negative is drawn twice for one anchor.

    The chance comes from the embeddings themselves, hashed with the seed: the same
    batch gives the same draw in any order, and the next step, whose embeddings differ,
    another one. So the miner has no state to save.

    Args:
        cutoff: float above 0. Defaults to 0.5, as in the paper: nearer negatives have
            gradients of much noise.
        nonzero_loss_cutoff: float above `cutoff`. Negatives beyond it are never drawn.
            Defaults to 1.4, where the paper's margin loss is 0.
        seed: int. Defaults to 0.

    Raises:
        ValueError: for cutoffs out of order.

    Reference:
        Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017.
    """

    def __init__(
        self, cutoff: float = 0.5, nonzero_loss_cutoff: float = 1.4, seed: int = 0
    ):
        if not 0 < cutoff < nonzero_loss_cutoff:
            raise ValueError(
                "`cutoff` must be above 0 and below `nonzero_loss_cutoff`. Received: "
                f"cutoff={cutoff!r}, nonzero_loss_cutoff={nonzero_loss_cutoff!r}."
            )
        self.cutoff = cutoff
        self.nonzero_loss_cutoff = nonzero_loss_cutoff
        self.seed = int(seed)

    def mine(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        dim = pairs.query_embeddings.shape[1]
        query = ops.stop_gradient(l2_normalize(pairs.query_embeddings))
        key = ops.stop_gradient(l2_normalize(pairs.key_embeddings))
        squared = pairwise_squared(query, key)
        near = squared < self.nonzero_loss_cutoff**2
        drawable = ops.logical_and(pairs.negatives, near)
        d2 = ops.clip(squared, self.cutoff**2, 4.0)
        weight = (2.0 - dim) / 2.0 * ops.log(d2)
        weight -= (dim - 3.0) / 2.0 * ops.log(ops.clip(1 - d2 / 4, _LEAST_SQUARE, 1.0))
        # The n largest of weight + Gumbel noise are a draw of n without repeats.
        chance = ops.cast(self._chance(pairs), weight.dtype)
        noise = -ops.log(-ops.log(chance))
        score = ops.where(drawable, weight + noise, -largest_of(weight.dtype))
        rank = ops.argsort(ops.argsort(-score, axis=1), axis=1)
        n_positives = ops.sum(ops.cast(pairs.positives, rank.dtype), axis=1)
        drawn = ops.logical_and(drawable, rank < n_positives[:, None])
        return pairs.positives, drawn

    def _chance(self, pairs: Candidates) -> FloatTensor:
        """A number in (0, 1) for each pair."""
        query = _row_hash(pairs.query_embeddings) + (self.seed * 7919) % 2**20
        bits = ops.bitwise_xor(
            _mixed(query)[:, None], _row_hash(pairs.key_embeddings)[None, :]
        )
        # 23 bits and a half: what a float32 holds without reaching 1.
        return (ops.cast(ops.right_shift(_mixed(bits), 8), "float32") + 0.5) / 2.0**23

    def get_config(self) -> dict[str, Any]:
        return {
            "cutoff": self.cutoff,
            "nonzero_loss_cutoff": self.nonzero_loss_cutoff,
            "seed": self.seed,
        }


def _row_hash(embeddings: FloatTensor) -> IntTensor:
    """An integer for each row, shape (n,), from its components alone."""
    # Scaling by a power of two and summing integers is exact: no order of the batch
    # and no other row changes the result.
    scaled = ops.clip(embeddings * _STEPS, -_LARGEST_STEP, _LARGEST_STEP)
    parts = _mixed(ops.cast(ops.stop_gradient(scaled), "int32"))
    factors = 2 * np.arange(embeddings.shape[1], dtype="int32") + 1
    return ops.sum(parts * ops.convert_to_tensor(factors)[None, :], axis=1)


def _mixed(bits: IntTensor) -> IntTensor:
    """Integers of 31 bits that look random; equal for equal ones."""
    for factor in (0x2C1B3C6D, 0x297A2D39):
        bits = ops.bitwise_and(bits, 0x7FFFFFFF)
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, 15)) * factor
    bits = ops.bitwise_and(bits, 0x7FFFFFFF)
    return ops.bitwise_xor(bits, ops.right_shift(bits, 15))
