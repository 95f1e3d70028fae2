"""The contract of losses that compare each row with a vector of each class."""

import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
from keras import ops

from tensorflow_similarity import distances
from tensorflow_similarity._core.numerics import inner_products, l2_normalize
from tensorflow_similarity.losses.label_note import LabelNote
from tensorflow_similarity.losses.pairs import UNKNOWN_LABEL, Keys, Pairs
from tensorflow_similarity.losses.trained_loss import TrainedLoss
from tensorflow_similarity.types import BoolTensor, FloatTensor, IntTensor, Tensor


@dataclass(frozen=True, eq=False)
class Classes:
    """The rows of a batch and the vectors of the classes.

    Args:
        embeddings: float, shape (batch, dim), each row of length 1 or 0.
        vectors: float, shape (vectors_per_class * num_classes, dim), each of length 1
            or 0: the first of every class, then the second of every class, and so on.
            Also called proxies, centres, class weights.
        labels: int, shape (batch,); 0 where the label is not known.
        known: bool, shape (batch,): whether the label is that of a class.
        own: bool, shape (batch, num_classes): the class of each row; nothing in a row
            whose label is not known.
    """

    embeddings: FloatTensor
    vectors: FloatTensor
    labels: IntTensor
    known: BoolTensor
    own: BoolTensor

    @cached_property
    def cosines(self) -> FloatTensor:
        """Of each row and each vector, shape (batch, number of vectors)."""
        return inner_products(self.embeddings, self.vectors)

    @property
    def cosines_by_class(self) -> FloatTensor:
        """The same, shape (batch, vectors_per_class, num_classes)."""
        # Reducing the middle axis is several times as fast as the last, which is short.
        n_classes = self.own.shape[1]
        n_each = self.vectors.shape[0] // n_classes
        return ops.reshape(self.cosines, (-1, n_each, n_classes))

    def cross_entropy(self, logits: FloatTensor) -> FloatTensor:
        """-log softmax(logits) at the own class, (batch, num_classes) to (batch,)."""
        return ops.sparse_categorical_crossentropy(
            self.labels, logits, from_logits=True
        )


class ClassLoss(LabelNote, TrainedLoss):
    """Compares each row with trained vectors of the classes, by their cosine.

    Where pair losses compare the rows of a batch with each other, here each class has
    `vectors_per_class` vectors, trained along with the model. So a row needs no partner
    in the batch, and a batch need not be sampled by class; but all classes must be
    known beforehand, and labels are numbers from 0 to `num_classes` - 1.

    A subclass writes `compute_classes(classes) -> values`, of shape (batch,), and how
    its vectors start, `initializer(dim)`.

    A row with label -1 has weight 0. Any other label that is no class is an error,
    raised at once where labels can be read, as in NumPy and in eager code. Within a
    graph nothing can be raised: such a row has weight 0, the label is remembered, and
    `check_notes` raises. The models of this package call it after each epoch of `fit`,
    after `evaluate`, `train_on_batch` and `test_on_batch`.

    Args:
        num_classes: int >= 1. Labels are 0, ..., num_classes - 1.
        **kwargs: `learning_rate_multiplier` and `dim` of `TrainedLoss`, `reduction` and
            `name` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), -1 for unknown.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row, shape (batch,).

    Raises:
        ValueError: for `num_classes` below 1, another distance than cosine, another
            kind of `targets` than labels, a `miner`; on a call, for a label that is no
            class.
    """

    vectors_per_class = 1

    def __init__(self, num_classes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_classes = as_count("num_classes", num_classes)
        if self.distance != distances.get("cosine"):
            raise ValueError(
                f"{type(self).__name__} compares by the cosine, and `distance` must be "
                f"'cosine'. Received: distance={self.distance.name!r}."
            )
        if self.targets != "labels":
            raise ValueError(
                f'{type(self).__name__} needs one class id a row, targets="labels". '
                f"Received: targets={self.targets!r}."
            )
        if self.miner is not None:
            raise ValueError(
                f"{type(self).__name__} compares rows with classes and has no pairs to "
                f"mine. Received: miner={kwargs['miner']!r}."
            )

    def compute_classes(self, classes: Classes) -> FloatTensor:
        """One value a row, shape (batch,); rows that are not known do not count."""
        raise NotImplementedError(
            f"{type(self).__name__} must write `compute_classes(classes)`."
        )

    def initializer(self, dim: int) -> Any:
        """How the vectors start, as `keras.initializers` make it.

        By default normal, of length about 1, so that a step of the optimizer turns
        them by about as much.
        """
        return keras.initializers.RandomNormal(stddev=dim**-0.5)

    def add_weights(self, dim: int) -> None:
        self.add_weight(
            "proxies",
            (self.vectors_per_class * self.num_classes, dim),
            self.initializer(dim),
        )
        self.add_label_note()

    def between(self, *args: Any, **kwargs: Any) -> FloatTensor:
        raise ValueError(
            f"{type(self).__name__} compares rows with classes, not with keys. Call it "
            "on each alone, `loss(targets, embeddings)`, or take a loss on pairs."
        )

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, Tensor]:
        return self._compared(pairs.query_labels, pairs.query_embeddings)

    def _values_and_weights(
        self, targets: Tensor, embeddings: FloatTensor, keys: Keys | None = None
    ) -> tuple[FloatTensor, FloatTensor]:
        # Without the pairs: they cost O(batch^2), and a row needs none.
        return self._compared(ops.reshape(targets, (-1,)), embeddings)

    def _compared(
        self, labels: IntTensor, embeddings: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        vectors = ops.cast(self.weight("proxies"), embeddings.dtype)
        self.note(labels)
        known = ops.logical_and(labels >= 0, labels < self.num_classes)
        names = ops.arange(self.num_classes, dtype=labels.dtype)[None, :]
        own = ops.where(known, labels, UNKNOWN_LABEL)[:, None] == names
        classes = Classes(
            embeddings=l2_normalize(embeddings),
            vectors=_unit(vectors),
            labels=ops.where(known, labels, 0),
            known=known,
            own=own,
        )
        values = self.compute_classes(classes)
        weights = ops.cast(known, values.dtype)
        return ops.where(known, values, 0.0), weights

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}


def _unit(vectors: FloatTensor) -> FloatTensor:
    """Rows of length 1, 0 for a row of 0.

    There are many, and none is so long or short that it needs `l2_normalize`'s care.
    """
    squares = ops.sum(ops.square(vectors), axis=1, keepdims=True)
    return vectors * ops.rsqrt(ops.where(squares > 0, squares, 1.0))


def as_count(name: str, value: Any) -> int:
    """`value` as an int of at least 1.

    Raises:
        ValueError: if it is not.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or isinstance(value, bool):
        raise ValueError(
            f"`{name}` must be an integer of at least 1. Received: {name}={value!r}."
        )
    return count


def check_positive(**values: Any) -> None:
    """Raises ValueError unless each number is above 0 and finite."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"`{name}` must be above 0. Received: {name}={value!r}.")
