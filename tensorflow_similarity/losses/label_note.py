"""Labels that are no class: refused where they are seen, noted where they are not."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.concrete import concrete, is_state
from tensorflow_similarity.losses.pairs import UNKNOWN_LABEL, widest_integer
from tensorflow_similarity.types import IntTensor


class LabelNote:
    """For a `TrainedLoss` with `num_classes`.

    Graphs cannot raise for a value. They write the label into a weight that is saved
    with the others, and `check_notes` reads it.
    """

    name: str
    num_classes: Any  # an integer, or None where there are no classes
    _strange_label: Any = None

    def add_label_note(self) -> None:
        """Makes the weight. Within `add_weights` only."""
        self._strange_label = self._built_layer().add_weight(  # type: ignore[attr-defined]
            name="strange_label",
            shape=(),
            dtype=widest_integer(),
            initializer=keras.initializers.Constant(UNKNOWN_LABEL),
            trainable=False,
            # Every replica sees the labels of all.
            aggregation="only_first_replica",
        )

    def note(self, labels: IntTensor) -> None:
        """Raises for a label that is no class, or remembers it where that cannot be."""
        values = concrete(labels)
        if values is not None:
            strange = values[(values < UNKNOWN_LABEL) | (values >= self.num_classes)]
            if strange.size:
                raise self._error_of(strange.max())
            return
        noted = self._strange_label
        if not is_state(noted):
            return
        labels = ops.cast(labels, noted.dtype)
        largest, smallest = ops.max(labels), ops.min(labels)
        found = ops.where(
            largest >= self.num_classes,
            largest,
            ops.where(smallest < UNKNOWN_LABEL, smallest, UNKNOWN_LABEL),
        )
        before = ops.convert_to_tensor(noted)
        news = ops.logical_and(
            found != UNKNOWN_LABEL,
            ops.logical_or(before == UNKNOWN_LABEL, found > before),
        )
        noted.assign(ops.where(news, found, before))

    def check_notes(self) -> None:
        """Raises for a label that graphs have met and that is no class, once.

        Raises:
            ValueError: naming the largest such label.
        """
        if self._strange_label is None:
            return
        # The sum is a plain tensor, where variables of `tf.distribute` are no numbers.
        label = int(ops.convert_to_tensor(self._strange_label) + 0)
        if label != UNKNOWN_LABEL:
            self._strange_label.assign(UNKNOWN_LABEL)
            raise self._error_of(label)

    def _error_of(self, label: Any) -> ValueError:
        if label < 0:
            cure = f"Only {UNKNOWN_LABEL} says that the class of a row is unknown."
        else:
            cure = (
                f"Make the loss with `num_classes` of at least {int(label) + 1}, or "
                "number the classes from 0 by `numpy.unique(labels, "
                "return_inverse=True)`. A row of an unknown class has the label -1."
            )
        return ValueError(
            f"The loss {self.name!r} was made for num_classes={self.num_classes}, so "
            f"`y_true` must be from 0 to {self.num_classes - 1}. Received: a label "
            f"{int(label)}. {cure}"
        )
