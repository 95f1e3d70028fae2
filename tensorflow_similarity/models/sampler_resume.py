"""A sampler goes on where the optimizer left off."""

from typing import Any

import keras

from tensorflow_similarity.models.fingerprint import steps_taken


class SamplerResume(keras.callbacks.Callback):
    """Sets a sampler to the pass that an uninterrupted run would be in.

    The last of the callbacks when training begins, after those that restore a model.

    Args:
        sampler: a `Sampler`, read from when the first epoch begins.
        steps_per_epoch: what `fit` was told, or None.
    """

    def __init__(self, sampler: Any, steps_per_epoch: int | None):
        super().__init__()
        self.sampler = sampler
        self.steps_per_epoch = steps_per_epoch

    def on_train_begin(self, logs: Any = None) -> None:
        self.sampler.resume(steps_taken(self.model), self.steps_per_epoch)

    def among(self, callbacks: Any) -> Any:
        """The `callbacks` of `fit` with this one at their end."""
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(self)
            self.set_model(callbacks.model)
            return callbacks
        return [*keras.tree.flatten([] if callbacks is None else callbacks), self]
