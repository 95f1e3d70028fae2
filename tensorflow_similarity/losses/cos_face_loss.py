"""CosFace: a margin on the cosine of the own class."""

import math
from typing import Any, Literal

import keras
from keras import ops

from tensorflow_similarity.losses.class_loss import Classes, ClassLoss, check_positive
from tensorflow_similarity.types import FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class CosFaceLoss(ClassLoss):
    """Classifies by the cosine, the own class handicapped by a margin.

    loss_i = -log softmax_c(scale * (cos_ic - margin * [c = y_i])) at c = y_i

    Also known as AM-softmax and large margin cosine loss. A row with label -1 has value
    0 and weight 0: it leaves the mean. With one class the loss is 0. A zero embedding
    has the cosine 0 with every class, and gradient 0.

    Args:
        num_classes: int >= 1. Labels are 0, ..., num_classes - 1.
        margin: float from 0 to 2, in units of the cosine. Defaults to 0.35, as in the
            paper.
        scale: float > 0, or "auto", the fixed scale of AdaCos, sqrt(2) *
            log(num_classes - 1), for 3 classes or more. Defaults to 64.0, as in the
            paper; around 30 trains more easily on small data.
        **kwargs: `learning_rate_multiplier`, `dim`, `reduction` and `name` of
            `TrainedLoss`. The paper trains vectors and network at one rate.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), -1 for unknown.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row, shape (batch,).

    Returns:
        One loss a row, shape (batch,), before the reduction.

    Raises:
        ValueError: if an argument is out of its range; on a call, for a label that is
            no class, or, within `fit`, at the end of the epoch.

    Reference:
        Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR
        2018. Zhang et al., "AdaCos: Adaptively Scaling Cosine Logits for Effectively
        Learning Deep Face Representations", CVPR 2019.
    """

    def __init__(
        self,
        num_classes: int,
        margin: float = 0.35,
        scale: float | Literal["auto"] = 64.0,
        **kwargs: Any,
    ):
        super().__init__(num_classes, **kwargs)
        if not 0 <= margin <= 2:
            raise ValueError(
                "`margin` must be from 0 to 2, in units of the cosine. Received: "
                f"margin={margin!r}."
            )
        self.margin = margin
        self.scale = scale
        self._scale = scale_of(scale, self.num_classes)

    def compute_classes(self, classes: Classes) -> FloatTensor:
        own = ops.cast(classes.own, classes.cosines.dtype)
        return classes.cross_entropy(
            self._scale * (classes.cosines - self.margin * own)
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "scale": self.scale}


def scale_of(scale: float | str, num_classes: int) -> float:
    """The number that `scale` stands for.

    Raises:
        ValueError: if it is neither above 0 nor "auto", or "auto" has no value.
    """
    if scale == "auto":
        if num_classes < 3:
            raise ValueError(
                'scale="auto" is sqrt(2) * log(num_classes - 1) and needs 3 classes. '
                f"Received: num_classes={num_classes}. Give a number."
            )
        return math.sqrt(2.0) * math.log(num_classes - 1)
    if isinstance(scale, str):
        raise ValueError(
            f'`scale` must be a number above 0, or "auto". Received: scale={scale!r}.'
        )
    check_positive(scale=scale)
    return float(scale)
