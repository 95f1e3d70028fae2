"""The contract of every metric that looks at a batch of embeddings."""

from typing import Any, Self

import keras
from keras import ops

from tensorflow_similarity._core import replicas
from tensorflow_similarity._core.numerics import compute_dtype, to_float
from tensorflow_similarity.losses.metric_loss import to_anchor_weights
from tensorflow_similarity.losses.pairs import (
    TARGETS,
    Targets,
    check_targets,
    to_targets,
)
from tensorflow_similarity.types import FloatTensor, Tensor


class BatchMetric(keras.metrics.Metric):
    """A number of each batch, averaged over the epoch.

    A subclass writes `measure(targets, embeddings, weights) -> (value, weight)`: the
    batch's number and how much it counts. The result is sum(weight * value) /
    sum(weight) since the last reset, 0 before any batch counted. A batch that has
    nothing to measure has weight 0 and leaves the mean. Embeddings that are not finite
    make it NaN until the reset: a run that has diverged must not look well.

    Labels are never cast to float, embeddings are measured in float32 at least under
    every dtype policy, and under a `tf.distribute` strategy the rows of all replicas
    are one batch, as for `MetricLoss`.

    Args:
        name: str. Defaults to None: made from the name of the class.
        targets: what `y_true` holds, as for `MetricLoss`; None: it is not looked at.
        dtype: of the running sums. Defaults to None: float32, or float64 if that is
            Keras' `floatx`.

    Call arguments:
        y_true: shape as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: how much each row counts, at least 0, shape (batch,) or
            (batch, 1). Defaults to None: 1 for all. Keras passes it to metrics that
            are compiled as `weighted_metrics`.

    Raises:
        ValueError: for unknown targets; on a call, for shapes that do not fit.
        TypeError: on a call, if labels are not integers.
    """

    # Which way is better, "up" or "down": Keras' checkpoints and early stopping look.
    _direction: str

    def __init__(
        self,
        name: str | None = None,
        targets: Targets | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=compute_dtype(dtype or keras.config.floatx()))
        if targets is not None and targets not in TARGETS:
            raise ValueError(
                f"`targets` must be one of {list(TARGETS)}. Received: "
                f"targets={targets!r}."
            )
        self.targets: Any = targets
        self.total = self.add_variable((), "zeros", dtype=self.dtype, name="total")
        self.count = self.add_variable((), "zeros", dtype=self.dtype, name="count")

    def measure(
        self, targets: Tensor, embeddings: FloatTensor, weights: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        """The batch's number and its weight, two finite scalars.

        Args:
            targets: as `y_true`, integers uncast; None if the metric has none.
            embeddings: float and finite, shape (batch, dim).
            weights: of the rows, at least 0, shape (batch,).
        """
        raise NotImplementedError(
            f"{type(self).__name__} must write `measure(targets, embeddings, weights)`."
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        embeddings = ops.stop_gradient(to_float(y_pred))
        targets = None
        if self.targets is not None:
            targets = to_targets(y_true, self.targets)
            check_targets(targets, embeddings, self.targets, "y_true", "y_pred")
        elif len(embeddings.shape) != 2:
            raise ValueError(
                "`y_pred` must be embeddings of shape (batch, dim). Received: y_pred "
                f"of shape {tuple(embeddings.shape)}."
            )
        if sample_weight is None:
            weights = ops.ones_like(embeddings[:, 0])
        else:
            weights = ops.relu(to_anchor_weights(sample_weight, embeddings))
        if replicas.n_replicas() > 1:
            # Each replica adds the same: sums over replicas keep their ratio.
            embeddings, weights = replicas.gather(embeddings, weights)
            if targets is not None:
                (targets,) = replicas.gather(targets)

        finite = ops.isfinite(embeddings)
        value, weight = self.measure(
            targets, ops.where(finite, embeddings, 0.0), weights
        )
        value, weight = ops.cast(value, self.dtype), ops.cast(weight, self.dtype)
        good = ops.all(finite)
        self.total.assign_add(ops.where(good, value * weight, float("nan")))
        self.count.assign_add(ops.where(good, weight, 1.0))

    def result(self) -> FloatTensor:
        count = ops.convert_to_tensor(self.count)
        some = count > 0
        return ops.where(some, self.total / ops.where(some, count, 1.0), 0.0)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The metric that `get_config` described."""
        return cls(**config)
