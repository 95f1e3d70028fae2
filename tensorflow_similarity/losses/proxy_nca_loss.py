"""ProxyNCA++ loss."""

from typing import Any

import keras

from tensorflow_similarity.losses.class_loss import Classes, ClassLoss, check_positive
from tensorflow_similarity.types import FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ProxyNCALoss(ClassLoss):
    """ProxyNCA++: a softmax over the squared distances to one proxy of each class.

    loss_i = -log softmax_c(-d_ic^2 / temperature) at c = y_i,
    d_ic = |embedding_i / |embedding_i| - proxy_c / |proxy_c||

    The own class stands in the denominator, unlike in the first ProxyNCA of 2017, whose
    loss falls without end. Since d^2 = 2 - 2 cos, this is `NormalizedSoftmaxLoss` with
    half the temperature and other proxies to start from.

    A row with label -1 has value 0 and weight 0: it leaves the mean. With one class the
    loss is 0. A zero embedding is as far from every proxy: value log(num_classes),
    gradient 0.

    Args:
        num_classes: int >= 1. Labels are 0, ..., num_classes - 1.
        temperature: float > 0, in the unit of squared distances. Defaults to 1 / 9, as
            in the paper.
        **kwargs: `learning_rate_multiplier`, `dim`, `reduction` and `name` of
            `TrainedLoss`. The paper trains proxies much faster than the network: try a
            multiplier of 100 and more.

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
        Teh et al., "ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood
        Component Analysis", ECCV 2020. Movshovitz-Attias et al., "No Fuss Distance
        Metric Learning using Proxies", ICCV 2017.
    """

    def __init__(self, num_classes: int, temperature: float = 1.0 / 9.0, **kwargs: Any):
        super().__init__(num_classes, **kwargs)
        check_positive(temperature=temperature)
        self.temperature = temperature

    def initializer(self, dim: int) -> Any:
        return keras.initializers.RandomNormal(stddev=1.0 / 8.0)  # as the authors do

    def compute_classes(self, classes: Classes) -> FloatTensor:
        # -d^2 = 2 cos - 2, of which softmax does not see the constant.
        return classes.cross_entropy(classes.cosines * (2.0 / self.temperature))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
