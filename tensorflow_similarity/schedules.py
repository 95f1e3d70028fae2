"""Learning rates that change while a model trains."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from tensorflow_similarity._core.numerics import to_float
from tensorflow_similarity.types import FloatTensor, Tensor

__all__ = ["WarmupCosineDecay"]


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class WarmupCosineDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly, then falls along half a cosine.

    rate = max * step / warmup_steps                                  while warming up
    rate = max * (alpha + (1 - alpha) * (1 + cos(pi * share)) / 2)    afterwards, with
    share = (step - warmup_steps) / (total_steps - warmup_steps)

    After `total_steps` it stays at `alpha * max_learning_rate`. Without warm-up steps
    it starts at the maximum. It is computed in the dtype of `max_learning_rate`:
    float64 for a `numpy.float64`, otherwise float32.

    Args:
        max_learning_rate: float of at least 0, reached at the end of the warm-up.
        total_steps: int, steps of training, those of the warm-up included.
        warmup_steps: int from 0, below `total_steps`.
        alpha: float of at least 0, the last rate as a share of the maximum. Defaults
            to 0.0.
        name: str. Defaults to None.

    Raises:
        ValueError: if `warmup_steps` is not from 0 to below `total_steps`, or a number
            is negative.

    Example:

    >>> schedule = WarmupCosineDecay(0.2, total_steps=100, warmup_steps=20)
    >>> [round(float(schedule(step)), 3) for step in (0, 10, 20, 60, 100, 500)]
    [0.0, 0.1, 0.2, 0.1, 0.0, 0.0]

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        ICLR 2017. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1
        Hour", 2017.
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        warmup_steps: int,
        alpha: float = 0.0,
        name: str | None = None,
    ):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                "`warmup_steps` must be from 0 to below `total_steps`. Received: "
                f"warmup_steps={warmup_steps!r}, total_steps={total_steps!r}."
            )
        for argument, value in (
            ("max_learning_rate", max_learning_rate),
            ("alpha", alpha),
        ):
            if not value >= 0:
                raise ValueError(
                    f"`{argument}` must be a number of at least 0. Received: "
                    f"{argument}={value!r}."
                )
        self.max_learning_rate = max_learning_rate
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.alpha = alpha
        self.name = name or "warmup_cosine_decay"

    def __call__(self, step: Tensor) -> FloatTensor:
        highest: Any = self.max_learning_rate
        if isinstance(highest, np.generic):
            # Keras 3.15 on torch takes a `numpy.float64` for a Python float.
            highest = np.asarray(highest)
        highest = to_float(highest)
        step = ops.cast(step, highest.dtype)
        share = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        share = ops.where(share < 1.0, share, 1.0)
        cosine = 0.5 * (1.0 + ops.cos(math.pi * share))
        falling = highest * (self.alpha + (1.0 - self.alpha) * cosine)
        rising = highest * step / max(self.warmup_steps, 1)
        return ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {
            "max_learning_rate": float(self.max_learning_rate),
            "total_steps": int(self.total_steps),
            "warmup_steps": int(self.warmup_steps),
            "alpha": float(self.alpha),
            "name": self.name,
        }
