"""Multi-similarity loss."""

import math
from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_log1p_sum_exp
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.miners import MultiSimilarityMiner
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MultiSimilarityLoss(MetricLoss):
    """Weights each pair by how it compares with the other pairs of its anchor.

    loss_i = log(1 + sum_p exp(alpha * s_ip)) / alpha
           + log(1 + sum_n exp(-beta * s_in)) / beta,  with s = d + lmda - center

    The sums run over the kept pairs: positives with d_ip > min_n d_in - epsilon and
    negatives with d_in < max_p d_ip + epsilon. With the cosine distance and center 1
    that is the paper, whose similarity is 1 - d.

    An anchor without any kept pair has value 0 and weight 0: it leaves the mean. So an
    anchor without a positive or without a negative, which has nothing to compare with,
    and one whose positives are all nearer than its negatives by epsilon.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper. `lmda`, `center` and `epsilon` are in its unit.
        alpha: float > 0. Sharpness on positive pairs. Defaults to 2.0, as in the paper.
        beta: float > 0. Sharpness on negative pairs. Defaults to 40.0, as in the code
            of the authors; the paper says 50.
        epsilon: float. Pairs that are easier than the hardest of the other kind by more
            than this are left out. Defaults to 0.1, as in the paper.
        lmda: float. The similarity around which pairs are pulled and pushed. Defaults
            to 0.5, as in the code of the authors.
        center: float. The distance at which the similarity is 0. Defaults to 1.0, that
            of the cosine distance.
        name: str. Defaults to "multisim_loss".
        **kwargs: `targets`, `reduction` and `miner` of `MetricLoss`; a miner chooses
            before the loss's own mining does.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `alpha` or `beta` is not above 0.

    Example:

    >>> loss = MultiSimilarityLoss()
    >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])), 4)
    0.9066

    Reference:
        Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric
        Learning", CVPR 2019.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        alpha: float = 2.0,
        beta: float = 40.0,
        epsilon: float = 0.1,
        lmda: float = 0.5,
        center: float = 1.0,
        name: str | None = "multisim_loss",
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not all(math.isfinite(number) for number in (epsilon, lmda, center)):
            raise ValueError(
                "`epsilon`, `lmda` and `center` must be finite. Received: "
                f"epsilon={epsilon!r}, lmda={lmda!r}, center={center!r}."
            )
        if not (alpha > 0 and beta > 0):
            raise ValueError(
                "`alpha` and `beta` must be above 0. Received: "
                f"alpha={alpha!r}, beta={beta!r}."
            )
        self.alpha = alpha
        self.beta = beta
        self.epsilon = epsilon
        self.lmda = lmda
        self.center = center

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        positives, negatives = MultiSimilarityMiner(self.epsilon)(pairs)
        s = pairs.distances + self.lmda - self.center
        values = (
            masked_log1p_sum_exp(self.alpha * s, positives) / self.alpha
            + masked_log1p_sum_exp(-self.beta * s, negatives) / self.beta
        )
        return values, ops.any(ops.logical_or(positives, negatives), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "beta": self.beta,
            "epsilon": self.epsilon,
            "lmda": self.lmda,
            "center": self.center,
        }
