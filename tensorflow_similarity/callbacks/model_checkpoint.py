"""Keras' checkpoints, with or without the index."""

import inspect
from pathlib import Path
from typing import Any

import keras


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):
    """`keras.callbacks.ModelCheckpoint` that can leave the index out.

    With a `SimilarityModel` each checkpoint holds the index too, if there is one. In a
    training the items of an index are soon embedded by older weights than the model
    has; `save_index=False` writes smaller files without it.

    Args:
        filepath: str or path in ".keras", or in ".weights.h5" with
            `save_weights_only=True`; may hold `{epoch}` and keys of `logs`.
        save_index: whether the index goes with the model.
        **kwargs: those of `keras.callbacks.ModelCheckpoint`.

    Raises:
        ValueError: from Keras, for other suffixes; in `fit`, with `save_index=False`
            for a model that has no index, and in ".h5" for one that has.

    Example:

    >>> checkpoint = ModelCheckpoint(
    ...     "best.keras", save_index=False, monitor="loss", save_best_only=True
    ... )
    """

    def __init__(self, filepath: str | Path, save_index: bool = True, **kwargs: Any):
        super().__init__(filepath, **kwargs)
        self.save_index = save_index

    def set_model(self, model: Any) -> None:
        has_index = "save_index" in inspect.signature(model.save).parameters
        if not self.save_index and not has_index:
            raise ValueError(
                "`save_index=False` is for a `SimilarityModel`. Received: a "
                f"{type(model).__name__}, which has no index to leave out."
            )
        if has_index and not self.save_weights_only and self.filepath.endswith(".h5"):
            raise ValueError(
                "A model with an index is saved under a name in '.keras'. Received: "
                f"filepath={self.filepath!r}."
            )
        # Keras 3.15 calls `self.model.save(filepath, overwrite=True)`, deep within.
        super().set_model(model if self.save_index else _WithoutIndex(model))


class _WithoutIndex:
    """A model whose `save` leaves the index out; in all else the model."""

    def __init__(self, model: Any):
        self._whole = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def save(self, filepath: str, **kwargs: Any) -> None:
        self._whole.save(filepath, save_index=False, **kwargs)
