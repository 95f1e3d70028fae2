"""ArcFace: a margin on the angle to the own class."""

import math
from typing import Any, Literal

import keras
from keras import ops

from tensorflow_similarity._core.numerics import safe_sqrt
from tensorflow_similarity.losses.class_loss import Classes, ClassLoss
from tensorflow_similarity.losses.cos_face_loss import scale_of
from tensorflow_similarity.types import FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ArcFaceLoss(ClassLoss):
    """Classifies by the cosine, the angle to the own class widened by a margin.

    loss_i = -log softmax_c(scale * t_ic) at c = y_i, where t_ic = cos_ic for c != y_i,
    t_iy = cos(theta_iy + margin) for theta_iy < pi - margin,
           cos_iy - margin * sin(margin) beyond, so that it goes on falling

    A row with label -1 has value 0 and weight 0: it leaves the mean. With one class the
    loss is 0. A zero embedding is at a right angle to every class and has gradient 0.
    Where an embedding lies on its vector, the angle's part of the gradient is 0.

    Args:
        num_classes: int >= 1. Labels are 0, ..., num_classes - 1.
        margin: float from 0 to below pi, in radians. Defaults to 0.5, as in the paper;
            0.2 to 0.3 trains more easily on small data.
        scale: float > 0, or "auto", the fixed scale of AdaCos, sqrt(2) *
            log(num_classes - 1), for 3 classes or more. Defaults to 64.0, as in the
            paper; around 30 trains more easily on small data.
        margin_degrees: float, the margin in degrees, in place of `margin`. Defaults to
            None.
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
        Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
        CVPR 2019. The part beyond pi - margin is that of the authors' code.
    """

    def __init__(
        self,
        num_classes: int,
        margin: float = 0.5,
        scale: float | Literal["auto"] = 64.0,
        margin_degrees: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_classes, **kwargs)
        if margin_degrees is not None:
            margin = math.radians(margin_degrees)
        if not 0 <= margin < math.pi:
            raise ValueError(
                "`margin` must be from 0 to below pi, in radians. Received: "
                f"margin={margin!r}, margin_degrees={margin_degrees!r}. Give degrees "
                "as `margin_degrees=`."
            )
        self.margin = margin
        self.margin_degrees = margin_degrees
        self.scale = scale
        self._scale = scale_of(scale, self.num_classes)

    def compute_classes(self, classes: Classes) -> FloatTensor:
        cosines = self.class_cosines(classes)
        own = ops.sum(ops.where(classes.own, cosines, 0.0), axis=1)
        sines = safe_sqrt((1.0 - own) * (1.0 + own))
        widened = own * math.cos(self.margin) - sines * math.sin(self.margin)
        beyond = own - self.margin * math.sin(self.margin)
        target = ops.where(own > -math.cos(self.margin), widened, beyond)
        return classes.cross_entropy(
            self._scale * ops.where(classes.own, target[:, None], cosines)
        )

    def class_cosines(self, classes: Classes) -> FloatTensor:
        """Of each row and class, shape (batch, num_classes)."""
        return classes.cosines

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "margin": self.margin,
            "scale": self.scale,
            "margin_degrees": self.margin_degrees,
        }
