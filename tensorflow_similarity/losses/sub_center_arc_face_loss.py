"""ArcFace with several vectors a class."""

from typing import Any, Literal

import keras
from keras import ops

from tensorflow_similarity.losses.arc_face_loss import ArcFaceLoss
from tensorflow_similarity.losses.class_loss import Classes, as_count
from tensorflow_similarity.types import FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SubCenterArcFaceLoss(ArcFaceLoss):
    """ArcFace where each class has several vectors and a row follows the nearest.

    As `ArcFaceLoss`, with cos_ic = max_k cos(embedding_i, vector_ck). On data with
    wrong labels or classes of several looks, one vector gathers the clean rows and the
    others the rest.

    A row with label -1 has value 0 and weight 0: it leaves the mean.

    Args:
        num_classes: int >= 1. Labels are 0, ..., num_classes - 1.
        sub_centers: int >= 1, vectors of each class. Defaults to 3, as in the paper.
        margin, scale, margin_degrees: as `ArcFaceLoss` takes them.
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
        Deng et al., "Sub-center ArcFace: Boosting Face Recognition by Large-scale Noisy
        Web Faces", ECCV 2020.
    """

    def __init__(
        self,
        num_classes: int,
        sub_centers: int = 3,
        margin: float = 0.5,
        scale: float | Literal["auto"] = 64.0,
        margin_degrees: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_classes, margin, scale, margin_degrees, **kwargs)
        self.sub_centers = as_count("sub_centers", sub_centers)
        self.vectors_per_class = self.sub_centers

    def class_cosines(self, classes: Classes) -> FloatTensor:
        return ops.max(classes.cosines_by_class, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sub_centers": self.sub_centers}
