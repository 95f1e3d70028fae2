"""Miners that choose by rank: the hardest, the easiest, the nearest beyond."""

from typing import Any, Literal

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_max, masked_min
from tensorflow_similarity.miners.miner import Candidates, Miner
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class BatchHardMiner(Miner):
    """The farthest positive and the nearest negative of each anchor; all that tie.

    Reference:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification",
        2017.
    """

    def mine(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        return (
            _farthest(pairs.distances, pairs.positives),
            _nearest(pairs.distances, pairs.negatives),
        )


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SemiHardMiner(Miner):
    """The farthest positive of each anchor, and negatives just beyond it.

    Without a margin that is the nearest negative farther than the positive, or, if
    there is none, the farthest negative: what `TripletLoss` does by default. With a
    margin it is every negative with d_ap < d_an < d_ap + margin, which may be none.

    Args:
        margin: float above 0, in the unit of the distance, or None. Defaults to None:
            every anchor keeps a negative.

    Raises:
        ValueError: for a margin of 0 or less.

    Reference:
        Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and
        Clustering", CVPR 2015.
    """

    def __init__(self, margin: float | None = None):
        if margin is not None and not margin > 0:
            raise ValueError(
                f"`margin` must be above 0, or None. Received: margin={margin!r}."
            )
        self.margin = margin

    def mine(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        positive, _ = masked_max(pairs.distances, pairs.positives)
        negatives = beyond(pairs, positive, self.margin)
        return _farthest(pairs.distances, pairs.positives), negatives

    def get_config(self) -> dict[str, Any]:
        return {"margin": self.margin}


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class EasyPositiveMiner(Miner):
    """The nearest positive of each anchor: classes may keep several clusters.

    Args:
        negatives: "hard", the nearest negative; or "semi-hard", the nearest that is
            farther than the positive, or, if there is none, the farthest. Defaults to
            "semi-hard", which the paper found to generalise best.

    Raises:
        ValueError: for another kind of negatives.

    Reference:
        Xuan et al., "Improved Embeddings with Easy Positive Triplet Mining", WACV 2020.
    """

    def __init__(self, negatives: Literal["hard", "semi-hard"] = "semi-hard"):
        if negatives not in ("hard", "semi-hard"):
            raise ValueError(
                "`negatives` must be 'hard' or 'semi-hard'. Received: "
                f"negatives={negatives!r}."
            )
        self.negatives = negatives

    def mine(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        if self.negatives == "hard":
            negatives = _nearest(pairs.distances, pairs.negatives)
        else:
            positive, _ = masked_min(pairs.distances, pairs.positives)
            negatives = beyond(pairs, positive, None)
        return _nearest(pairs.distances, pairs.positives), negatives

    def get_config(self) -> dict[str, Any]:
        return {"negatives": self.negatives}


def beyond(
    pairs: Candidates, positive: FloatTensor, margin: float | None
) -> BoolTensor:
    """Semi-hard negatives: farther than `positive`, shape (n_queries,).

    With a margin those nearer than positive + margin; without, the nearest of them, or
    the farthest negative where none is farther.
    """
    d = pairs.distances
    farther = ops.logical_and(pairs.negatives, d > positive[:, None])
    if margin is not None:
        return ops.logical_and(farther, d < positive[:, None] + margin)
    some = ops.any(farther, axis=1)[:, None]
    return ops.where(some, _nearest(d, farther), _farthest(d, pairs.negatives))


def _farthest(distances: FloatTensor, mask: BoolTensor) -> BoolTensor:
    largest, _ = masked_max(distances, mask)
    return ops.logical_and(mask, distances >= largest[:, None])


def _nearest(distances: FloatTensor, mask: BoolTensor) -> BoolTensor:
    least, _ = masked_min(distances, mask)
    return ops.logical_and(mask, distances <= least[:, None])
