"""Neighbourhood components analysis."""

from typing import Any

import keras

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.soft_nearest_neighbor_loss import (
    SoftNearestNeighborLoss,
)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class NCALoss(SoftNearestNeighborLoss):
    """Raises the chance that a neighbour drawn at random classifies the row rightly.

    loss_i = -log(sum_p exp(-c * d_ip) / sum_{k != i} exp(-c * d_ik)), c softmax_scale

    This is the paper's second objective, the expected logarithm of the chance; its
    first is the chance itself. `SoftNearestNeighborLoss` is the same with
    temperature = 1 / softmax_scale, and handles the edges alike: an anchor without a
    positive or without a negative leaves the mean.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to
            "squared_euclidean", as in the paper.
        softmax_scale: float > 0. How sharply near neighbours outweigh far ones.
            Defaults to 1.0, as in the paper.
        name: str. Defaults to "nca_loss".
        **kwargs: as `MetricLoss` takes them.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim).
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `softmax_scale` is not above 0.

    Example:

    >>> round(float(NCALoss()([0, 0, 1], [[0.0], [1.0], [1.0]])), 4)
    1.0032

    Reference:
        Goldberger et al., "Neighbourhood Components Analysis", NIPS 2004.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "squared_euclidean",
        softmax_scale: float = 1.0,
        name: str | None = "nca_loss",
        **kwargs: Any,
    ):
        if not softmax_scale > 0:
            raise ValueError(
                "`softmax_scale` must be above 0. Received: "
                f"softmax_scale={softmax_scale!r}."
            )
        super().__init__(
            distance=distance, temperature=1.0 / softmax_scale, name=name, **kwargs
        )
        self.softmax_scale = softmax_scale

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "softmax_scale": self.softmax_scale}
        del config["temperature"]
        return config
