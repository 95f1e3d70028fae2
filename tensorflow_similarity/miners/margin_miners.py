"""Miners that choose by a margin: pairs that some loss would still complain about."""

from typing import Any, Literal

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_max, masked_min
from tensorflow_similarity.miners.miner import Candidates, Miner
from tensorflow_similarity.types import BoolTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class PairMarginMiner(Miner):
    """Positives farther than one margin, negatives nearer than another.

    Args:
        pos_margin: float, in the unit of the distance. Defaults to 0.2, as in
            pytorch-metric-learning.
        neg_margin: float, in the unit of the distance. Defaults to 0.8, likewise.
    """

    def __init__(self, pos_margin: float = 0.2, neg_margin: float = 0.8):
        self.pos_margin = _number("pos_margin", pos_margin)
        self.neg_margin = _number("neg_margin", neg_margin)

    def mine(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        return pairs.distances > self.pos_margin, pairs.distances < self.neg_margin

    def get_config(self) -> dict[str, Any]:
        return {"pos_margin": self.pos_margin, "neg_margin": self.neg_margin}


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class TripletMarginMiner(Miner):
    """Pairs that take part in some triplet of the kind asked for.

    A triplet of anchor, positive and negative is "hard" if d_an < d_ap, "all" (still
    to be learnt from) if d_an < d_ap + margin, and "easy" otherwise. A positive is kept
    if it forms such a triplet with some negative, and the other way round.

    Args:
        margin: float of at least 0, in the unit of the distance. Defaults to 0.2, as
            in FaceNet. Not used by "hard".
        type_of_triplets: "all", "hard" or "easy". Defaults to "all". For semi-hard
            ones see `SemiHardMiner`.

    Raises:
        ValueError: for a negative margin or another kind.
    """

    def __init__(
        self,
        margin: float = 0.2,
        type_of_triplets: Literal["all", "hard", "easy"] = "all",
    ):
        if not margin >= 0:
            raise ValueError(
                f"`margin` must be at least 0. Received: margin={margin!r}."
            )
        if type_of_triplets not in ("all", "hard", "easy"):
            raise ValueError(
                "`type_of_triplets` must be 'all', 'hard' or 'easy'. Received: "
                f"type_of_triplets={type_of_triplets!r}. `SemiHardMiner` keeps the "
                "semi-hard ones."
            )
        self.margin = margin
        self.type_of_triplets = type_of_triplets

    def mine(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        d = pairs.distances
        farthest_positive, has_positive = masked_max(d, pairs.positives)
        nearest_negative, has_negative = masked_min(d, pairs.negatives)
        if self.type_of_triplets == "easy":
            nearest_positive, _ = masked_min(d, pairs.positives)
            farthest_negative, _ = masked_max(d, pairs.negatives)
            positives = d + self.margin <= farthest_negative[:, None]
            negatives = d >= nearest_positive[:, None] + self.margin
        else:
            margin = 0.0 if self.type_of_triplets == "hard" else self.margin
            positives = d + margin > nearest_negative[:, None]
            negatives = d < farthest_positive[:, None] + margin
        both = ops.logical_and(has_positive, has_negative)[:, None]
        return ops.logical_and(positives, both), ops.logical_and(negatives, both)

    def get_config(self) -> dict[str, Any]:
        return {"margin": self.margin, "type_of_triplets": self.type_of_triplets}


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MultiSimilarityMiner(Miner):
    """Pairs that are hard beside the hardest pair of the other kind.

    Positives with d_ip > min_n d_in - epsilon, negatives with d_in < max_p d_ip +
    epsilon; none of an anchor that lacks a positive or a negative.

    Args:
        epsilon: float, in the unit of the distance. Defaults to 0.1, as in the paper.

    Reference:
        Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric
        Learning", CVPR 2019.
    """

    def __init__(self, epsilon: float = 0.1):
        self.epsilon = _number("epsilon", epsilon)

    def mine(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        d = pairs.distances
        farthest_positive, has_positive = masked_max(d, pairs.positives)
        nearest_negative, has_negative = masked_min(d, pairs.negatives)
        both = ops.logical_and(has_positive, has_negative)[:, None]
        positives = d > nearest_negative[:, None] - self.epsilon
        negatives = d < farthest_positive[:, None] + self.epsilon
        return ops.logical_and(positives, both), ops.logical_and(negatives, both)

    def get_config(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon}


def _number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError(f"`{name}` must be a number. Received: {name}={value!r}.")
    return value
