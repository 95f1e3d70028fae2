"""Cross-batch memory: a loss on pairs whose keys are older batches too."""

import operator
from typing import Any

import keras
import numpy as np
from keras import ops

from tensorflow_similarity._core.concrete import concrete, is_state
from tensorflow_similarity._core.phase import is_training
from tensorflow_similarity.losses.class_loss import ClassLoss, as_count
from tensorflow_similarity.losses.info_nce_loss import InfoNCELoss
from tensorflow_similarity.losses.matryoshka_loss import MatryoshkaLoss
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import (
    UNKNOWN_LABEL,
    Keys,
    to_targets,
    widest_integer,
)
from tensorflow_similarity.losses.sum_of_losses import SumOfLosses
from tensorflow_similarity.losses.trained_loss import LossWeights, TrainedLoss
from tensorflow_similarity.types import FloatTensor, IntTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class XBM(TrainedLoss):
    """Compares each batch with rows of the batches before it too.

    loss = loss of the batch's rows as queries, against the batch and the memory as keys

    Embeddings move slowly after a while, so that those of some steps ago are still of
    use: a small batch then meets as many negatives as a large one. The memory holds the
    last `memory_size` rows that were trained on, first in, first out, without gradient.
    The loss may be any loss on pairs, with its own miner, distance and targets. Only
    rows of the batch are anchors.

    Each step of training adds its batch after the loss was taken; under a
    `tf.distribute` strategy the batches of all replicas. An evaluation neither adds nor
    reads: its batches are compared with themselves alone. A slot not yet filled and a
    row with the label -1 form no pair; nor, with targets="labels_ids", does an older
    copy of an item with it. A row that is not finite enters as unknown.

    The memory is saved and loaded with the model, and trains on where it was. It is a
    weight of the loss, as `TrainedLoss` says: in a training loop of your own call
    `build(dim)` first. On JAX a function that is compiled moves the memory only if it
    is handed `layer.variables` as state, as Keras' own training is.

    Args:
        loss: MetricLoss on pairs, or its serialized dict.
        memory_size: int of at least the rows of a batch: how many rows are kept. The
            paper's gain grows with it up to the size of the data. Memory and time are
            O(batch * (batch + memory_size)).
        warmup_steps: int of at least 0. For the first so many steps of training the
            memory stays empty, while embeddings still move fast. Defaults to 0; the
            paper takes 1000.
        reduction: as `MetricLoss` takes it. Defaults to "auto": that of the loss.
        name: str. Defaults to "xbm_loss".
        num_classes: int, the width of targets="multi_hot", needed by these and refused
            by others. Defaults to None: the loss's own `num_classes`, if it has them.
        dim: int, width of the embeddings, as `TrainedLoss` takes it.

    Call arguments:
        y_true: as the `targets` of the loss say; not of a relation.
        y_pred: embeddings, shape (batch, dim).
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        The loss, scalar, or of shape (batch,) without reduction, on each call.

    Raises:
        TypeError: if `loss` is not a `MetricLoss`.
        ValueError: for a loss that has no pairs to compare, one made of losses, a
            relation, a size out of range; on a call, for a batch of more rows than
            `memory_size`.
        RuntimeError: on a call, if nobody has made the memory.

    Example:

    >>> from tensorflow_similarity.losses import ContrastiveLoss
    >>> loss = XBM(ContrastiveLoss(), memory_size=4)
    >>> loss.build(dim=2)
    >>> float(loss([0], [[1.0, 0.0]]))
    0.0
    >>> float(loss([0], [[0.0, 1.0]]))
    1.0

    The second row meets the first, which the memory kept, at a distance of 1.

    Reference:
        Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020.
    """

    def __init__(
        self,
        loss: MetricLoss | dict[str, Any],
        memory_size: int,
        warmup_steps: int = 0,
        reduction: str | None = "auto",
        name: str | None = "xbm_loss",
        num_classes: int | None = None,
        dim: int | None = None,
    ):
        loss = _checked(loss)
        super().__init__(
            distance=loss.distance,
            targets=loss.targets,
            reduction=loss.reduction if reduction == "auto" else reduction,
            name=name,
            dim=dim,
        )
        self.loss = loss
        self.memory_size = as_count("memory_size", memory_size)
        self.warmup_steps = _as_steps(warmup_steps)
        self.num_classes = self._checked_classes(num_classes)
        self._memory: dict[str, Any] = {}

    def _checked_classes(self, num_classes: int | None) -> int | None:
        if self.targets != "multi_hot":
            if num_classes is not None:
                raise ValueError(
                    '`num_classes` is the width of targets="multi_hot". Received: '
                    f"num_classes={num_classes!r}, a loss with targets="
                    f"{self.targets!r}."
                )
            return None
        if num_classes is None:
            num_classes = getattr(self.loss, "num_classes", None)
        if num_classes is None:
            raise ValueError(
                'With targets="multi_hot" the memory must know how wide they are. Give '
                "`num_classes`. Received: num_classes=None."
            )
        return as_count("num_classes", num_classes)

    def add_weights(self, dim: int) -> None:
        size, integer = self.memory_size, widest_integer()
        width = {"labels": (), "labels_ids": (2,)}.get(
            self.targets, (self.num_classes,)
        )
        for name, shape, dtype, start in (
            ("embeddings", (size, dim), "float32", 0.0),
            ("targets", (size, *width), integer, self._empty),
            ("pointer", (), integer, 0),
            ("n_rows", (), integer, 0),
            ("steps", (), integer, 0),
            ("largest_batch", (), integer, 0),
        ):
            self._memory[name] = self._built_layer().add_weight(
                name=f"memory_{name}",
                shape=shape,
                dtype=dtype,
                initializer=keras.initializers.Constant(start),
                trainable=False,
                # Every replica sees the rows of all.
                aggregation="only_first_replica",
            )

    def build(self, dim: int) -> None:
        super().build(dim)
        for part, width in self.loss.trained_parts(dim):
            if width is not None:
                part.build(width)

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of the loss, for a training loop of your own."""
        parts = [part for part, _ in self.loss.trained_parts(self.dim)]
        return [variable for part in parts for variable in part.trainable_variables]

    def trained_parts(self, dim: int | None) -> list[tuple[TrainedLoss, int | None]]:
        dim = self.dim if dim is None else dim
        return [(self, dim), *self.loss.trained_parts(dim)]

    def between(self, *args: Any, **kwargs: Any) -> FloatTensor:
        raise ValueError(
            f"{type(self).__name__} takes its keys from its memory, and no others. "
            "Call it, `loss(targets, embeddings)`, or `between` of the loss in it."
        )

    def _values_and_weights(
        self, targets: Tensor, embeddings: FloatTensor, keys: Keys | None = None
    ) -> tuple[FloatTensor, FloatTensor]:
        self._built_layer()
        if not is_training():
            return self.loss._values_and_weights(targets, embeddings)
        targets = self._integers(targets)
        n_rows = embeddings.shape[0]
        if n_rows is not None and n_rows > self.memory_size:
            raise self._error_of(n_rows)
        older = ops.convert_to_tensor(self._memory["embeddings"])
        older_targets = ops.convert_to_tensor(self._memory["targets"])
        keys = Keys(
            targets=ops.concatenate([targets, older_targets]),
            embeddings=ops.concatenate([embeddings, ops.cast(older, embeddings.dtype)]),
            start_with_queries=True,
        )
        answer = self.loss._values_and_weights(targets, embeddings, keys)
        detached = ops.stop_gradient(embeddings)
        if is_state(self._memory["embeddings"]) or concrete(detached) is not None:
            self._push(targets, detached)
        return answer

    def _integers(self, targets: Tensor) -> IntTensor:
        """The targets as the memory holds them."""
        targets = to_targets(targets, self.targets)
        if self.targets == "labels":
            targets = ops.reshape(targets, (-1,))
        elif self.targets == "multi_hot":
            if targets.shape[1] not in (None, self.num_classes):
                raise ValueError(
                    f"The memory was made for num_classes={self.num_classes}, and "
                    "`y_true` must be as wide. Received: y_true of shape "
                    f"{tuple(targets.shape)}."
                )
            targets = targets > 0
        return ops.cast(targets, widest_integer())

    def _push(self, targets: IntTensor, embeddings: FloatTensor) -> None:
        """Adds the rows, over the oldest ones, unless this is a step of the warm-up."""
        # One row that is not finite would make every later loss so.
        rows = ops.cast(embeddings, "float32")
        finite = ops.all(ops.isfinite(rows), axis=1)
        rows = ops.where(finite[:, None], rows, 0.0)
        if len(targets.shape) == 2:
            finite = finite[:, None]
        targets = ops.where(finite, targets, self._empty)

        size, integer = self.memory_size, widest_integer()
        n = ops.cast(ops.shape(rows)[0], integer)
        pointer, n_rows, steps = (
            ops.convert_to_tensor(self._memory[name])
            for name in ("pointer", "n_rows", "steps")
        )
        largest = ops.convert_to_tensor(self._memory["largest_batch"])
        self._memory["largest_batch"].assign(ops.maximum(largest, n))
        warm = steps >= self.warmup_steps
        # Of each slot the row that falls into it first, and last where a batch longer
        # than the memory goes round. What is gathered needs no order, as what is
        # scattered would.
        slots = ops.arange(size, dtype=integer)
        first = ops.mod(slots - pointer, size)
        last = first + size * ops.floor_divide(n - 1 - first, size)
        added = ops.logical_and(warm, first < n)
        source = ops.where(added, last, n + slots)
        for name, new in (("embeddings", rows), ("targets", targets)):
            variable = self._memory[name]
            table = ops.concatenate([new, ops.convert_to_tensor(variable)])
            filled = ops.take(table, source, axis=0)
            variable.assign(ops.reshape(filled, tuple(variable.shape)))

        total = ops.where(n_rows + n < size, n_rows + n, size)
        moved = ops.mod(pointer + n, size)
        self._memory["pointer"].assign(ops.where(warm, moved, pointer))
        self._memory["n_rows"].assign(ops.where(warm, total, n_rows))
        self._memory["steps"].assign(steps + 1)

    def check_notes(self) -> None:
        """Raises for a batch larger than the memory that a graph has met, once.

        Raises:
            ValueError: naming the rows of the largest batch.
        """
        if not self._memory:
            return
        n_rows = int(self._array("largest_batch"))
        if n_rows > self.memory_size:
            self._memory["largest_batch"].assign(0)
            raise self._error_of(n_rows)

    def _error_of(self, n_rows: int) -> ValueError:
        return ValueError(
            "`memory_size` must be at least the number of rows in a batch. Received: "
            f"memory_size={self.memory_size}, a batch of {n_rows} rows."
        )

    @property
    def _empty(self) -> int:
        """What stands in the targets of a row that forms no pair."""
        return 0 if self.targets == "multi_hot" else UNKNOWN_LABEL

    def _built_layer(self) -> LossWeights:
        if self.layer is None:
            raise RuntimeError(
                f"The loss {self.name!r} has a memory, and nobody has made it. Compile "
                "a `SimilarityModel`, or a class with `SimilarityMixin`, with it; in a "
                "training loop of your own call `loss.build(dim)` first."
            )
        return self.layer

    # As TF Similarity named them.

    @property
    def _y_pred_memory(self) -> np.ndarray:
        """The rows in the memory, newest first, (n, dim)."""
        return self._newest_first("embeddings")

    @property
    def _y_true_memory(self) -> np.ndarray:
        """Their targets, newest first."""
        return self._newest_first("targets")

    @property
    def _total_steps(self) -> int:
        """Steps of training so far, those of the warm-up included."""
        return int(self._array("steps")) if self._memory else 0

    def _newest_first(self, name: str) -> np.ndarray:
        if not self._memory:
            return np.zeros((0,), "float32" if name == "embeddings" else "int64")
        pointer, n_rows = int(self._array("pointer")), int(self._array("n_rows"))
        order = (pointer - 1 - np.arange(n_rows)) % self.memory_size
        return self._array(name)[order]

    def _array(self, name: str) -> np.ndarray:
        # The sum is a plain tensor, where variables of `tf.distribute` are no arrays.
        tensor = ops.convert_to_tensor(self._memory[name]) + 0
        if keras.backend.backend() == "torch":
            # Keras 3.15 goes through `__array__`, at which NumPy 2 warns.
            tensor = tensor.cpu().numpy()
        return np.asarray(tensor)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "loss": keras.saving.serialize_keras_object(self.loss),
            "memory_size": self.memory_size,
            "warmup_steps": self.warmup_steps,
            "reduction": self.reduction,
            "num_classes": self.num_classes,
            "dim": self.dim,
        }


_REFUSED: tuple[tuple[type, str], ...] = (
    (
        SumOfLosses,
        "Give a memory to each part that is to have one: `SumOfLosses([XBM(a, "
        "memory_size), b], weights=[...])`.",
    ),
    (
        MatryoshkaLoss,
        "Give each width its own memory: `MatryoshkaLoss(XBM(loss, memory_size), "
        "dims)`.",
    ),
    (ClassLoss, "It compares rows with classes, not with other rows: take it alone."),
    (
        InfoNCELoss,
        "It knows its pairs by their rows, not by labels: give it more keys, or take "
        "`NTXentLoss` or `SupConLoss`, which know them by labels.",
    ),
)
"""Losses that a memory does not fit, and the cure."""


def _checked(loss: Any) -> MetricLoss:
    """The loss, if a memory can stand around it."""
    if isinstance(loss, dict):
        loss = keras.saving.deserialize_keras_object(loss)
    if not isinstance(loss, MetricLoss):
        raise TypeError(
            "`loss` must be a loss of this package, a `MetricLoss`. Received: "
            f"loss={loss!r}."
        )
    refused = (*_REFUSED, (XBM, "It has a memory already."))
    for kind, cure in refused:
        if isinstance(loss, kind):
            raise ValueError(
                "`loss` must be a loss on pairs. Received: a "
                f"{type(loss).__name__}. {cure}"
            )
    if loss.targets == "relation":
        raise ValueError(
            "A memory has no relation to the next batch: `loss` must have another kind "
            'of `targets`, such as "labels". Received: a loss with targets="relation".'
        )
    return loss


def _as_steps(warmup_steps: Any) -> int:
    try:
        steps = operator.index(warmup_steps)
    except TypeError:
        steps = -1
    if steps < 0 or isinstance(warmup_steps, bool):
        raise ValueError(
            "`warmup_steps` must be an integer of at least 0. Received: "
            f"warmup_steps={warmup_steps!r}."
        )
    return steps
