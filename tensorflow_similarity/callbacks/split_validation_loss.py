"""The validation loss of known and of unknown classes."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tensorflow_similarity._core import doors, label_rows
from tensorflow_similarity._core.embedding import is_stream
from tensorflow_similarity.callbacks._examples import as_arrays
from tensorflow_similarity.callbacks._watched import as_classes, check_every, split


class SplitValidationLoss(keras.callbacks.Callback):
    """Logs the validation loss of classes that were trained on, and of others, apart.

    A loss that falls for known classes and rises for unknown ones is what overfitting
    looks like to an embedding model. The keys are `val_loss_known_classes` and
    `val_loss_unknown_classes`; a part without examples has none. Callbacks that monitor
    them stand behind this one.

    The examples are shuffled once, the same way each time: the loss of a batch depends
    on who is in it.

    Args:
        x: examples, an array, or several in a list or dict.
        y: labels, shape (n,) or (n, 1): integers, as the loss takes them, or strings,
            of which it gets the places among the sorted ones.
        known_classes: labels that the model was trained on.
        batch_size: examples of a batch. Defaults to 256: several of each class, where
            there are not too many classes.
        every_epochs: int, epochs from one evaluation to the next. Defaults to 1.

    Raises:
        ValueError: for labels of another number or missing ones, a part of one class
            (without negatives its loss would be 0, the best there is), or numbers out
            of range.
        TypeError: for a data set.

    Example:

    >>> from tensorflow_similarity.losses import TripletLoss
    >>> x, y = np.random.normal(size=(40, 4)), np.arange(40) % 8
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> model.compile("adam", loss=TripletLoss())
    >>> parts = SplitValidationLoss(x, y, known_classes=range(5))
    >>> history = model.fit(x[y < 5], y[y < 5], callbacks=[parts], verbose=0)
    >>> sorted(history.history)
    ['loss', 'val_loss_known_classes', 'val_loss_unknown_classes']
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        known_classes: Iterable[Any],
        batch_size: int = 256,
        every_epochs: int = 1,
    ):
        super().__init__()
        check_every("batch_size", batch_size)
        check_every("every_epochs", every_epochs)
        if is_stream(x):
            raise TypeError(
                "`x` must be arrays: the examples are shuffled and parted by class. "
                f"Received: {type(x).__name__}. Collect the batches of a data set "
                "with `numpy.concatenate`."
            )
        if y is None:
            raise ValueError("`y` is missing: give one label for each example.")
        self.x = as_arrays(x)
        self.y = doors.as_array(y)
        lengths = {len(part) for part in keras.tree.flatten(self.x)}
        if lengths != {len(self.y)}:
            raise ValueError(
                "`x` and `y` must be of equal length. Received: lengths "
                f"{sorted(lengths)} of `x` and {len(self.y)} of `y`."
            )
        labels = doors.as_labels(y, len(self.y), "y")
        if label_rows.missing(labels).any():
            raise ValueError("`y` must have a label for each example. Received None.")
        if labels.dtype == object:
            self.y = np.unique(labels, return_inverse=True)[1].reshape(-1)
        self.known_classes = as_classes(known_classes)
        self.batch_size = batch_size
        self.every_epochs = every_epochs
        known = split(labels, self.known_classes)
        for name, chosen in (("known", known), ("unknown", ~known)):
            its = set(labels[chosen].tolist())
            if len(its) == 1:
                raise ValueError(
                    f"The examples of {name} classes are all of one class, "
                    f"{its.pop()!r}: without negatives their loss says "
                    "nothing. Give examples of two classes at least, or of none."
                )
        order = np.random.default_rng(0).permutation(len(self.y))
        self._parts = {
            name: order[chosen[order]]
            for name, chosen in (("known", known), ("unknown", ~known))
            if chosen.any()
        }

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every_epochs or logs is None:
            return
        for name, rows in self._parts.items():
            found = self.model.evaluate(
                keras.tree.map_structure(lambda part, rows=rows: part[rows], self.x),
                self.y[rows],
                batch_size=self.batch_size,
                verbose=0,
                return_dict=True,
            )
            logs[f"val_loss_{name}_classes"] = float(found["loss"])
