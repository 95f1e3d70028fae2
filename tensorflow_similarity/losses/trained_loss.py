"""Losses with weights of their own: proxies, class weights, learnable scalars."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Keys
from tensorflow_similarity.types import FloatTensor, Tensor


class LossWeights(keras.layers.Layer):
    """Holds the weights of one loss, where a model can track, train and save them.

    Always float32: a proxy moves by less than a float16 can tell.
    """

    def __init__(self, name: str):
        super().__init__(name=name, dtype="float32")
        self.built = True


class TrainedLoss(MetricLoss):
    """A loss that learns something itself, beside the model.

    Keras does not train the variables of a loss. So they live in a layer, `layer`,
    which `SimilarityModel.compile` makes from the width of the output and tracks: they
    are trained, saved, loaded and compiled with the model. In a training loop of your
    own, call `build(dim)` first and train `trainable_variables` too.

    A subclass makes its weights in `add_weights(dim)` by `add_weight`, and says by
    `has_weights` if it can do without.

    Args:
        learning_rate_multiplier: float > 0. Multiplies each step of these weights
            under SGD, Adam and their like, since proxies learn well at up to 100
            times the rate of the network. Defaults to 1.0. Weights are kept divided by
            it, so saved ones can be read only with the same multiplier.
        dim: int, width of the embeddings, for a model whose output shape is not known
            when it is compiled. Defaults to None: as the model says.
        **kwargs: as `MetricLoss` takes them.

    Raises:
        ValueError: for a multiplier of 0 or less.
        RuntimeError: on a call, if nobody has made the weights.
    """

    def __init__(
        self,
        *args: Any,
        learning_rate_multiplier: float = 1.0,
        dim: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        if not learning_rate_multiplier > 0:
            raise ValueError(
                "`learning_rate_multiplier` must be above 0. Received: "
                f"learning_rate_multiplier={learning_rate_multiplier!r}."
            )
        self.learning_rate_multiplier = float(learning_rate_multiplier)
        self.dim = dim
        self.layer: LossWeights | None = None
        self._variables: dict[str, Any] = {}
        self._scales: dict[str, float] = {}

    @property
    def has_weights(self) -> bool:
        """Whether this loss, as it was made, learns anything."""
        return True

    def add_weights(self, dim: int) -> None:
        """Makes the weights for embeddings of width `dim`, by `add_weight`."""
        raise NotImplementedError(
            f"{type(self).__name__} must write `add_weights(dim)`."
        )

    def build(self, dim: int) -> None:
        """Makes the weights, once. Another width later is an error.

        Raises:
            ValueError: if they were made for embeddings of another width.
        """
        if self.layer is not None and self.dim == dim:
            return
        if self.layer is not None or self.dim not in (None, dim):
            raise ValueError(
                f"The weights of {self.name!r} are for embeddings of width {self.dim}. "
                f"Received embeddings of width {dim}. Make a new loss for them."
            )
        self.dim = dim
        self.layer = LossWeights(f"{self.name}_weights")
        self.add_weights(dim)

    def add_weight(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: Any,
        multiplied: bool = True,
        constraint: Callable[[FloatTensor], FloatTensor] | None = None,
    ) -> None:
        """Makes one weight, read by `weight(name)`. Within `add_weights` only.

        Args:
            multiplied: whether `learning_rate_multiplier` applies to it.
            constraint: maps the weight to the nearest allowed one; Keras' optimizers
                do so after each step. Defaults to None: all values are allowed.
        """
        scale = self.learning_rate_multiplier if multiplied else 1.0
        self._scales[name] = scale
        make = keras.initializers.get(initializer)

        def scaled(shape: tuple[int, ...], dtype: Any = None) -> FloatTensor:
            return make(shape, dtype=dtype) / scale

        def constrained(value: FloatTensor) -> FloatTensor:
            return constraint(value * scale) / scale if constraint else value

        variable = self._built_layer().add_weight(
            name=name,
            shape=shape,
            initializer=scaled,
            constraint=constrained if constraint else None,
        )
        self._variables[name] = variable

    def weight(self, name: str) -> FloatTensor:
        """A weight as the loss computes with it."""
        self._built_layer()
        value = ops.convert_to_tensor(self._variables[name])
        scale = self._scales[name]
        if scale == 1.0:
            return value
        # The value is multiplied and the gradient is not, so that SGD and Adam alike
        # move the weight by `learning_rate_multiplier` times their step.
        return value + ops.stop_gradient((scale - 1.0) * value)

    def layer_weights(self) -> dict[str, Any]:
        """The variables by name, each divided by its learning rate multiplier."""
        return dict(self._variables)

    def check_notes(self) -> None:
        """Raises for what a graph, which cannot raise, has noted since the last call.

        The models of this package call it after each epoch of `fit`.
        """

    @property
    def trainable_variables(self) -> list[Any]:
        """The weights' variables, for a training loop of your own."""
        return [] if self.layer is None else list(self.layer.trainable_variables)

    def _values_and_weights(
        self, targets: Tensor, embeddings: FloatTensor, keys: Keys | None = None
    ) -> tuple[FloatTensor, FloatTensor]:
        # Not in `__call__`: AutoGraph cannot follow `super().__call__` in a callable.
        if self.has_weights:
            self._built_layer()
        return super()._values_and_weights(targets, embeddings, keys)

    def trained_parts(self, dim: int | None) -> list[tuple["TrainedLoss", int | None]]:
        return [(self, dim)] if self.has_weights else []

    def _built_layer(self) -> LossWeights:
        if self.layer is None:
            raise RuntimeError(
                f"The loss {self.name!r} has weights of its own, and nobody trains "
                "them: `keras.Model` does not see them. Compile a `SimilarityModel`, "
                "or a class with `SimilarityMixin`, with it; in a training loop of "
                "your own call `loss.build(dim)` and train `loss.trainable_variables`."
            )
        return self.layer

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "learning_rate_multiplier": self.learning_rate_multiplier,
            "dim": self.dim,
        }
