"""Says in words when a training of embeddings goes wrong."""

import logging
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.phase import phase
from tensorflow_similarity.callbacks import faults
from tensorflow_similarity.losses import InfoNCELoss, MetricLoss
from tensorflow_similarity.training_metrics import (
    ActiveFraction,
    Alignment,
    BatchMetric,
    EffectiveRank,
    EmbeddingStd,
    Uniformity,
)

logger = logging.getLogger(__name__)

# A loss below this is 0 but for rounding.
_NO_LOSS = 1e-6
# Fewer classes than this are told apart in so few dimensions that a low rank is right.
_FEW = 4


class TrainingHealth(keras.callbacks.Callback):
    """Says in words when a training of embeddings goes wrong, and what helps.

    At the end of an epoch it embeds a few examples of its own and warns, through
    `logging`, when

    - the model collapses: embeddings are nearly one point, or lie on a line;
    - the loss is pinned, at two checks in a row, to what it is when all embeddings are
      one point: the margin of a hinge, log 2 of a soft margin;
    - nothing is left to learn: the loss is 0;
    - the loss or the embeddings are not finite.

    Each is said once, and again only after it went away. What it looked at is added to
    `logs`, and so to `History`, `EarlyStopping` and TensorBoard: `embedding_std`,
    `effective_rank`, `uniformity` and, with `y`, `alignment`, as the metrics of
    `training_metrics` define them; a metric of the same name that the model is compiled
    with keeps its place. Put it before the callbacks that read them.

    Without `y`, or with a loss that does not compare the rows of a batch by their
    labels, only spread, finiteness and a loss of 0 are watched.

    Args:
        x: some hundred examples, of at least 4 classes with several each: an array
            (n, ...), or arrays in the structure that the model takes.
        y: their targets, n rows as the loss takes them. Defaults to None.
        output: for a model of several outputs, the one to watch, by number or name.
            Defaults to None: the first.
        every: int, epochs from one check to the next. Defaults to 1.
        batch_size: int, examples embedded at a time.
        min_std: float. `embedding_std` below this share of 1 / sqrt(dim) is a collapse.
            Defaults to 0.1: cosine similarities are then about 0.99.
        min_rank: float. `effective_rank` below it is a collapse. Defaults to 2.0.
        tolerance: float. How near, relatively, a pinned loss is. Defaults to 0.01.

    Raises:
        ValueError: for fewer than two examples, `y` of another length, numbers out of
            range, or, in `fit`, an output that the model does not have.

    Example:

    >>> from tensorflow_similarity.layers import MetricEmbedding
    >>> from tensorflow_similarity.losses import TripletLoss
    >>> x, y = np.random.normal(size=(32, 4)), np.arange(32) % 8
    >>> model = keras.Sequential([keras.Input((4,)), MetricEmbedding(2)])
    >>> model.compile("adam", loss=TripletLoss())
    >>> history = model.fit(x, y, callbacks=[TrainingHealth(x, y)], verbose=0)
    >>> sorted(history.history)
    ['alignment', 'effective_rank', 'embedding_std', 'loss', 'uniformity']
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        output: int | str | None = None,
        every: int = 1,
        batch_size: int = 256,
        min_std: float = 0.1,
        min_rank: float = 2.0,
        tolerance: float = 0.01,
    ):
        super().__init__()
        self.x = keras.tree.map_structure(doors.as_array, x)
        self.y = None if y is None else doors.as_array(y)
        lengths = {len(part) for part in keras.tree.flatten(self.x)}
        if len(lengths) != 1 or min(lengths) < 2:
            raise ValueError(
                "`x` must hold at least two examples along the first axis of each "
                f"array. Received: lengths {sorted(lengths)}."
            )
        (self.n_rows,) = lengths
        if self.y is not None and len(self.y) != self.n_rows:
            raise ValueError(
                f"`y` must have one row for each of {self.n_rows} examples. Received: "
                f"y of shape {self.y.shape}."
            )
        for argument, count in (("every", every), ("batch_size", batch_size)):
            if not isinstance(count, int | np.integer) or count < 1:
                raise ValueError(
                    f"`{argument}` must be an integer of at least 1. Received: "
                    f"{argument}={count!r}."
                )
        for argument, number in (
            ("min_std", min_std),
            ("min_rank", min_rank),
            ("tolerance", tolerance),
        ):
            if not number >= 0:
                raise ValueError(
                    f"`{argument}` must be a number of at least 0. Received: "
                    f"{argument}={number!r}."
                )
        self.output = output
        self.every = every
        self.batch_size = batch_size
        self.min_std = min_std
        self.min_rank = min_rank
        self.tolerance = tolerance
        self._said: set[str] = set()
        self._was_pinned = False

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        names = _output_names(model)
        output = 0 if self.output is None else self.output
        if names and not (output in names or output in range(len(names))):
            raise ValueError(
                f"`output` must be a number or one of the model's outputs {names}. "
                f"Received: output={self.output!r}."
            )

    def on_train_begin(self, logs: Any = None) -> None:
        self._said = set()
        self._was_pinned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        logs = {} if logs is None else logs
        embeddings, loss = self._embeddings(), self._loss()
        metrics: list[BatchMetric] = [EmbeddingStd(), EffectiveRank(), Uniformity()]
        if self.y is not None:
            metrics.append(Alignment(targets=loss.targets if loss else "labels"))
        figures = {m.name: _value(m, self.y, embeddings) for m in metrics}
        found = self._found(embeddings, loss, figures, self._epoch_loss(logs))
        for name, text in found.items():
            if name not in self._said:
                logger.warning("Epoch %d: %s", epoch + 1, text)
        self._said = set(found)
        for name, value in figures.items():
            logs.setdefault(name, value)

    def _found(
        self,
        embeddings: np.ndarray,
        loss: MetricLoss | None,
        figures: dict[str, float],
        epoch_loss: float | None,
    ) -> dict[str, str]:
        """What is wrong, by its name, in words."""
        if not (math.isfinite(epoch_loss or 0.0) and np.isfinite(embeddings).all()):
            return {"not finite": faults.not_finite(epoch_loss)}
        found = self._spread_faults(figures, embeddings.shape[1])
        if loss is None or self.y is None:
            if epoch_loss == 0:
                found["nothing to learn"] = faults.nothing_to_learn(0.0)
            return found
        own = _loss_value(loss, self.y, embeddings)
        # The longest row: rows of zeros have distances of their own.
        longest = int(np.square(embeddings).sum(axis=1).argmax())
        same = np.repeat(embeddings[longest : longest + 1], self.n_rows, axis=0)
        at_one_point = _loss_value(loss, self.y, same)
        near = [
            value
            for value in (epoch_loss, own)
            if value is not None
            and abs(at_one_point) > _NO_LOSS
            and math.isclose(value, at_one_point, rel_tol=self.tolerance)
        ]
        if near and self._was_pinned:
            found["pinned"] = faults.pinned(near[0], at_one_point)
        self._was_pinned = bool(near)
        if epoch_loss is not None and (
            abs(epoch_loss) <= _NO_LOSS
            or (
                abs(epoch_loss) <= self.tolerance * abs(at_one_point)
                and self._nothing_is_active(loss, embeddings)
            )
        ):
            found["nothing to learn"] = faults.nothing_to_learn(epoch_loss)
        return found

    def _spread_faults(self, figures: dict[str, float], dim: int) -> dict[str, str]:
        std, rank = figures["embedding_std"], figures["effective_rank"]
        good = 1.0 / math.sqrt(dim)
        if std < self.min_std * good:
            return {"one point": faults.one_point(std, dim, good)}
        n_classes = _FEW
        if self.y is not None and self.y.size == self.n_rows:
            n_classes = len(np.unique(self.y))
        if rank < self.min_rank and min(self.n_rows, dim, n_classes) >= _FEW:
            return {"one line": faults.one_line(rank, dim)}
        return {}

    def _nothing_is_active(self, loss: MetricLoss, embeddings: np.ndarray) -> bool:
        """Whether no example here has a loss, if that can be told."""
        try:
            metric = ActiveFraction(loss)
        except ValueError:
            return False
        return _value(metric, self.y, embeddings) == 0

    def _embeddings(self) -> np.ndarray:
        """The chosen output for `x`, float32, shape (n, dim)."""
        model = self.model
        strategy = getattr(model, "distribute_strategy", None)
        if getattr(strategy, "num_replicas_in_sync", 1) > 1:
            # `predict_on_batch` answers with every replica's copy of the rows.
            answers = [model.predict(self.x, batch_size=self.batch_size, verbose=0)]
        else:
            starts = range(0, self.n_rows, self.batch_size)
            answers = [model.predict_on_batch(self._rows(i)) for i in starts]
        parts = [doors.as_array(self._chosen(answer)) for answer in answers]
        embeddings: np.ndarray = np.concatenate(parts).astype(np.float32)
        return embeddings

    def _rows(self, start: int) -> Any:
        stop = start + self.batch_size
        return keras.tree.map_structure(lambda part: part[start:stop], self.x)

    def _chosen(self, answer: Any) -> Any:
        if isinstance(answer, dict) and self.output in answer:
            return answer[self.output]
        return keras.tree.flatten(answer)[self._number()]

    def _number(self) -> int:
        if isinstance(self.output, str):
            return _output_names(self.model).index(self.output)
        return self.output or 0

    def _name(self) -> str | None:
        """The name of the watched output; None if it is the only one."""
        names = _output_names(self.model)
        return names[self._number()] if len(names) > 1 else None

    def _loss(self) -> MetricLoss | None:
        """The loss of the watched output, if it takes labels and embeddings."""
        loss = getattr(self.model, "loss", None)
        if isinstance(loss, dict):
            loss = loss.get(self._name())
        elif isinstance(loss, list | tuple):
            loss = loss[self._number()] if self._number() < len(loss) else None
        if not isinstance(loss, MetricLoss) or isinstance(loss, InfoNCELoss):
            return None
        return loss

    def _epoch_loss(self, logs: dict[str, Any]) -> float | None:
        loss = logs.get(f"{self._name()}_loss", logs.get("loss"))
        return None if loss is None else float(loss)


def _value(metric: BatchMetric, y: Any, embeddings: np.ndarray) -> float:
    """The metric of one batch."""
    metric.update_state(y, embeddings)
    return float(metric.result())


def _loss_value(loss: MetricLoss, y: Any, embeddings: np.ndarray) -> float:
    """The loss of one batch, without training on it; its mean, if it is not reduced."""
    with phase(training=False):
        return float(ops.mean(ops.stop_gradient(loss(y, embeddings))))


def _output_names(model: Any) -> list[str]:
    """Names of a functional model's outputs, as they are numbered; [] if unknown."""
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict):
        return sorted(structure)
    return list(getattr(model, "output_names", None) or [])
