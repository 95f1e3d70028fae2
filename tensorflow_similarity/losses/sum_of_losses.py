"""Several losses on one output, added up."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.trained_loss import TrainedLoss
from tensorflow_similarity.types import FloatTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SumOfLosses(MetricLoss):
    """Adds losses on the same embeddings, each with a weight.

    loss = sum_k weight_k * loss_k(y_true, y_pred, sample_weight)

    `loss_a + loss_b` makes one. Each part keeps its own miner, reduction and weights of
    its own; these are trained and saved with the model as if it stood alone. An anchor
    that one part leaves out of its mean still counts in another.

    Args:
        losses: list of `MetricLoss`, or of their serialized dicts. They must agree in
            `targets`. Each compares by its own distance; that of the first is the
            sum's, by which a model indexes.
        weights: list of float of at least 0, one a loss. Defaults to None: 1 for each.
        name: str. Defaults to None: made from the name of the class.

    Call arguments:
        y_true: as the `targets` of the losses say.
        y_pred: embeddings, shape (batch, dim).
        sample_weight: weight of each row as an anchor, shape (batch,), for every loss.

    Returns:
        The loss, scalar, or of shape (batch,) if the losses have no reduction.

    Raises:
        ValueError: without any loss; if the losses differ in targets, or
            only some have a reduction; for weights that do not fit.
        TypeError: if one is not a `MetricLoss`.

    Example:

    >>> from tensorflow_similarity.losses import ContrastiveLoss, TripletLoss
    >>> loss = TripletLoss() + ContrastiveLoss()
    >>> len(loss.losses)
    2
    >>> weighted = SumOfLosses([TripletLoss(), ContrastiveLoss()], weights=[1.0, 0.1])
    """

    def __init__(
        self,
        losses: Sequence[MetricLoss | dict[str, Any]],
        weights: Sequence[float] | None = None,
        name: str | None = None,
    ):
        parts = [_to_loss(loss) for loss in losses]
        if not parts:
            raise ValueError("`losses` must have at least one. Received: none.")
        first = parts[0]
        super().__init__(
            distance=first.distance,
            targets=first.targets,
            reduction=first.reduction,
            name=name,
        )
        _check_equal("targets", [part.targets for part in parts])
        if len({part.reduction is None for part in parts}) > 1:
            raise ValueError(
                "Losses to add must all have a reduction, or none. Received: "
                f"reductions {[part.reduction for part in parts]}."
            )
        if weights is None:
            weights = [1.0] * len(parts)
        if len(weights) != len(parts) or not all(0 <= w < math.inf for w in weights):
            raise ValueError(
                f"`weights` must be {len(parts)} numbers of at least 0, one a loss. "
                f"Received: weights={weights!r}."
            )
        self.losses = parts
        self.weights = [float(weight) for weight in weights]

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> FloatTensor:
        return self._added(
            [loss(y_true, y_pred, sample_weight) for loss in self.losses]
        )

    def between(
        self,
        query_targets: Any,
        query_embeddings: Any,
        key_targets: Any,
        key_embeddings: Any,
        sample_weight: Any = None,
    ) -> FloatTensor:
        queries, keys = (query_targets, query_embeddings), (key_targets, key_embeddings)
        return self._added(
            [loss.between(*queries, *keys, sample_weight) for loss in self.losses]
        )

    def call(self, y_true: Tensor, y_pred: FloatTensor) -> FloatTensor:
        return self._added([loss.call(y_true, y_pred) for loss in self.losses])

    def _added(self, values: list[FloatTensor]) -> FloatTensor:
        total = self.weights[0] * values[0]
        for weight, value in zip(self.weights[1:], values[1:], strict=True):
            total = total + weight * value
        return total

    def trained_parts(self, dim: int | None) -> list[tuple[TrainedLoss, int | None]]:
        return [part for loss in self.losses for part in loss.trained_parts(dim)]

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "losses": [keras.saving.serialize_keras_object(x) for x in self.losses],
            "weights": self.weights,
        }


def add(a: MetricLoss, b: MetricLoss) -> SumOfLosses:
    """a + b, one sum of all parts if they are sums themselves."""
    parts: list[MetricLoss] = []
    weights: list[float] = []
    for loss in (a, b):
        whole = isinstance(loss, SumOfLosses)
        parts += loss.losses if whole else [loss]
        weights += loss.weights if whole else [1.0]
    return SumOfLosses(parts, weights)


def _to_loss(loss: Any) -> MetricLoss:
    if isinstance(loss, dict):
        loss = keras.saving.deserialize_keras_object(loss)
    if not isinstance(loss, MetricLoss):
        raise TypeError(
            "`losses` must be losses of this package, `MetricLoss`. Received: "
            f"{loss!r}. A model adds any others: give each an output of its own."
        )
    return loss


def _check_equal(what: str, values: list[str]) -> None:
    if len(set(values)) > 1:
        raise ValueError(
            f"Losses to add must have the same `{what}`. Received: {values}."
        )
