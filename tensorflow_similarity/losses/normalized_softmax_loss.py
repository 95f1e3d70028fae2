"""Normalised softmax loss."""

from typing import Any

import keras

from tensorflow_similarity.losses.class_loss import Classes, ClassLoss, check_positive
from tensorflow_similarity.types import FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class NormalizedSoftmaxLoss(ClassLoss):
    """Classifies by the cosine of an embedding and one vector of each class.

    loss_i = -log softmax_c(cos_ic / temperature) at c = y_i

    A row with label -1 has value 0 and weight 0: it leaves the mean. With one class the
    loss is 0. A zero embedding has the cosine 0 with every class: value
    log(num_classes), gradient 0.

    Args:
        num_classes: int >= 1. Labels are 0, ..., num_classes - 1.
        temperature: float > 0. The lower, the more the hardest classes count. Defaults
            to 0.05, as in the paper.
        **kwargs: `learning_rate_multiplier`, `dim`, `reduction` and `name` of
            `TrainedLoss`. The paper trains vectors and network at one rate.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), -1 for unknown.
        y_pred: embeddings, shape (batch, dim). Need not be normalised. The paper lays
            a layer normalisation without scale and centre before the embedding.
        sample_weight: weight of each row, shape (batch,).

    Returns:
        One loss a row, shape (batch,), before the reduction.

    Raises:
        ValueError: if an argument is out of its range; on a call, for a label that is
            no class, or, within `fit`, at the end of the epoch.

    Example:

    >>> loss = NormalizedSoftmaxLoss(num_classes=3)
    >>> loss.build(2)
    >>> value = loss([0, 2, 1], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])

    Reference:
        Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning",
        BMVC 2019.
    """

    def __init__(self, num_classes: int, temperature: float = 0.05, **kwargs: Any):
        super().__init__(num_classes, **kwargs)
        check_positive(temperature=temperature)
        self.temperature = temperature

    def compute_classes(self, classes: Classes) -> FloatTensor:
        return classes.cross_entropy(classes.cosines / self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
