"""Judges the embeddings while a model trains."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import doors
from tensorflow_similarity._core.embedding import BATCH_SIZE
from tensorflow_similarity.callbacks._examples import examples, labels_of
from tensorflow_similarity.callbacks._judge import Judge
from tensorflow_similarity.callbacks._keys import (
    as_metrics,
    as_thresholds,
    check_names,
)
from tensorflow_similarity.callbacks._tensorboard import scalar_writer, write_scalars
from tensorflow_similarity.callbacks._watched import (
    as_classes,
    check_every,
    distance_of,
    embedded,
    split,
)
from tensorflow_similarity.classification_metrics import make_classification_metric
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.evaluators import MemoryEvaluator
from tensorflow_similarity.matchers import make_classification_matcher
from tensorflow_similarity.types import Lookups

logger = logging.getLogger(__name__)

_KNOWN, _UNKNOWN = "_known_classes", "_unknown_classes"


class EvalCallback(keras.callbacks.Callback):
    """Judges the embeddings at the end of epochs, or every few steps.

    Targets and queries are embedded with the weights as they are, each query finds its
    nearest targets by exact search, and classification and retrieval metrics of what it
    found are added to `logs`: `History` has them, and `EarlyStopping`,
    `ModelCheckpoint` and the like that stand *behind* it in the list of callbacks can
    monitor them. The model's own index, its items and its calibration, is neither read
    nor changed.

    A metric has its own name as key; with several thresholds "{name}@{threshold}". With
    `known_classes` queries are judged in two parts, and keys end in "_known_classes"
    and "_unknown_classes"; a part without queries has no keys. All begin with `prefix`:
    two of these callbacks in one `fit` need different ones. In epochs without an
    evaluation the keys are missing. Embeddings that are not finite give NaN and a
    warning.

    Args:
        queries: examples as the model takes them: an array, several in a list or dict,
            or a `tf.data.Dataset` or `PyDataset` of (x, y), read anew each time.
        query_labels: integers or strings, one for each query; None where they come with
            the queries.
        targets: examples to search among, as `queries`.
        target_labels: their labels, as `query_labels`.
        distance: a name or a `Distance`. Defaults to "auto": that of the model, cosine
            if it has none.
        metrics: classification metrics by name or as objects. Defaults to
            ("binary_accuracy",), the share of queries that match.
        tb_logdir: folder for TensorBoard; values go to its subfolder "index". Defaults
            to None: no files.
        k: neighbours that the matcher sees. Defaults to 1.
        matcher: "match_nearest", "match_majority_vote",
            "match_distance_weighted_vote", or a `ClassificationMatch`.
        distance_thresholds: numbers: farther neighbours do not count as a match.
            Defaults to None: all count.
        known_classes: labels that the model was trained on. Defaults to None: queries
            are not split.
        retrieval_metrics: `RetrievalMetric` objects. Defaults to None: none.
        every_epochs: int, epochs from one evaluation to the next. Defaults to 1.
        every_steps: int, training steps from one evaluation to the next, in place of
            epochs; the last values stand in the logs of the epoch. Defaults to None.
        batch_size: examples embedded at a time.
        prefix: what the keys begin with. Defaults to "": the names alone.

    Raises:
        ValueError: for labels of another number, fewer targets than neighbours are
            needed, unknown names, two metrics of one name, numbers out of range, an
            endless data set, or, in `fit`, another distance than that of the model.
        TypeError: for labels of two kinds, or a generator, which can be read only once.
        ImportError: for `tb_logdir` without TensorFlow and TensorBoard.

    Example:

    >>> from tensorflow_similarity.layers import MetricEmbedding
    >>> from tensorflow_similarity.losses import TripletLoss
    >>> from tensorflow_similarity.models import SimilarityModel
    >>> x, y = np.random.normal(size=(32, 4)), np.arange(32) % 8
    >>> inputs = keras.Input((4,))
    >>> model = SimilarityModel(inputs, MetricEmbedding(2)(inputs))
    >>> model.compile("adam", loss=TripletLoss())
    >>> judge = EvalCallback(x[:16], y[:16], x[16:], y[16:], known_classes=range(6))
    >>> history = model.fit(x, y, callbacks=[judge], verbose=0)
    >>> for name in sorted(history.history):
    ...     print(name)
    binary_accuracy_known_classes
    binary_accuracy_unknown_classes
    loss
    """

    def __init__(
        self,
        queries: Any,
        query_labels: Any,
        targets: Any,
        target_labels: Any = None,
        distance: str | Distance = "auto",
        metrics: Sequence[Any] = ("binary_accuracy",),
        tb_logdir: str | Path | None = None,
        k: int = 1,
        matcher: Any = "match_nearest",
        distance_thresholds: Any = None,
        known_classes: Iterable[Any] | None = None,
        retrieval_metrics: Sequence[Any] | None = None,
        *,
        every_epochs: int = 1,
        every_steps: int | None = None,
        batch_size: int = BATCH_SIZE,
        prefix: str = "",
    ):
        super().__init__()
        self.prefix = prefix
        self.k = doors.as_k(k)
        check_every("every_epochs", every_epochs)
        check_every("every_steps", 1 if every_steps is None else every_steps)
        check_every("batch_size", batch_size)
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.batch_size = batch_size
        self._auto = isinstance(distance, str) and distance.strip().lower() == "auto"
        self.distance = distances.get("cosine" if self._auto else distance)
        self.evaluator = MemoryEvaluator()
        names = [metrics] if isinstance(metrics, str) else metrics or ()
        self.classification_metrics = [make_classification_metric(m) for m in names]
        self.matcher = make_classification_matcher(matcher)
        self.distance_thresholds = as_thresholds(distance_thresholds)
        self.retrieval_metrics = as_metrics(retrieval_metrics)
        check_names([*self.classification_metrics, *self.retrieval_metrics])
        self._judge = Judge(
            self.k,
            self.matcher,
            self.distance_thresholds,
            self.classification_metrics,
            self.retrieval_metrics,
            self.evaluator,
        )
        self.known_classes = as_classes(known_classes)
        self.queries, self.query_labels = examples(queries, query_labels, "query")
        self.targets, self.target_labels = examples(targets, target_labels, "target")
        self._known = self._split(self.query_labels)
        self._check_targets(self.target_labels)
        self.tb_logdir = tb_logdir
        self.tb_writer = None
        if tb_logdir is not None:
            self.tb_writer = scalar_writer(Path(tb_logdir) / "index")
        # Keras may call such hooks in another thread: ours then does nothing.
        self.async_safe = every_steps is None
        self._n_steps = self._n_all_steps = 0
        self._has_warned = False
        self._last: dict[str, float] = {}

    @property
    def queries_known(self) -> Any:
        """Queries of known classes; all without `known_classes`."""
        return self._part(self.queries, True)

    @property
    def query_labels_known(self) -> Any:
        """Labels of queries of known classes; all without `known_classes`."""
        return self._part(self.query_labels, True)

    @property
    def queries_unknown(self) -> Any:
        """Queries of other classes; None without `known_classes`."""
        return self._part(self.queries, False)

    @property
    def query_labels_unknown(self) -> Any:
        """Labels of queries of other classes; None without `known_classes`."""
        return self._part(self.query_labels, False)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        of_model = distance_of(model)
        if of_model is None:
            return
        if self._auto:
            self.distance = of_model
        elif of_model != self.distance:
            raise ValueError(
                f"The model compares embeddings by {of_model.name!r}, and "
                f"`distance={self.distance.name!r}` would judge it by another. Leave "
                "`distance` out, or give the model's."
            )

    def on_train_begin(self, logs: Any = None) -> None:
        self._n_steps, self._last = 0, {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.every_steps is None:
            return
        self._n_steps += 1
        # A second `fit` goes on where the first ended, in the files too.
        self._n_all_steps += 1
        if self._n_steps % self.every_steps == 0:
            self._last = self.evaluate()
            self._write(self._last, self._n_all_steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.every_steps is None:
            if (epoch + 1) % self.every_epochs:
                return
            self._last = self.evaluate()
            self._write(self._last, epoch)
        if logs is None:
            return
        doubles = sorted(set(logs) & set(self._last))
        if doubles and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "The logs had %s before `EvalCallback` wrote them: another callback or "
                "a metric of the model has the name. Give one a `prefix`.",
                doubles,
            )
        logs.update(self._last)

    def evaluate(self) -> dict[str, float]:
        """The metrics of the model as it is, by their keys in `logs`.

        Raises:
            RuntimeError: before the callback knows a model.
            ValueError: for a data set with too few targets or without labels.
        """
        if self.model is None:
            raise RuntimeError(
                "`EvalCallback` has no model yet. Pass it to `fit`, or call "
                "`set_model(model)` before `evaluate()`."
            )
        queries, labels = embedded(self.model, self.queries, True, self.batch_size)
        items, item_labels = embedded(self.model, self.targets, False, self.batch_size)
        if self.query_labels is not None:
            labels = self.query_labels
        if self.target_labels is not None:
            item_labels = self.target_labels
        labels = labels_of(labels, len(queries), "query")
        item_labels = labels_of(item_labels, len(items), "target")
        self._check_targets(item_labels)
        known = self._known
        if known is None:
            known = self._split(labels)
        finite = bool(np.isfinite(queries).all() and np.isfinite(items).all())
        lookups = None
        if finite:
            lookups = self._judge.lookups(queries, items, item_labels, self.distance)
        else:
            logger.warning("The embeddings are not finite: their metrics are NaN.")
        if known is None:
            return self._prefixed(self._judge.values(labels, lookups))
        found: dict[str, float] = {}
        for part, suffix in ((known, _KNOWN), (~known, _UNKNOWN)):
            if part.any():
                its = None if lookups is None else _rows(lookups, part)
                values = self._judge.values(labels[part], its)
                found.update({name + suffix: one for name, one in values.items()})
        return self._prefixed(found)

    def _prefixed(self, values: dict[str, float]) -> dict[str, float]:
        return {self.prefix + name: value for name, value in values.items()}

    def _write(self, values: dict[str, float], step: int) -> None:
        if self.tb_writer is not None:
            write_scalars(self.tb_writer, values, step)

    def _check_targets(self, labels: np.ndarray | None) -> None:
        if labels is None:
            return
        n, needed = len(labels), self._judge.n_neighbours
        if n < needed:
            raise ValueError(
                f"`targets` must hold at least {needed} examples: so many neighbours "
                f"`k` or the metrics ask for. Received: {n}."
            )

    def _split(self, labels: np.ndarray | None) -> np.ndarray | None:
        if self.known_classes is None or labels is None:
            return None
        return split(labels, self.known_classes)

    def _part(self, values: Any, known: bool) -> Any:
        if self.known_classes is None:
            return values if known else None
        if self._known is None or values is None:
            return None
        chosen = self._known if known else ~self._known
        return keras.tree.map_structure(lambda part: part[chosen], values)


def _rows(lookups: Lookups, chosen: np.ndarray) -> Lookups:
    columns = (lookups.ids, lookups.distances, lookups.labels, lookups.found)
    ids, found_distances, labels, found = (column[chosen] for column in columns)
    return Lookups(ids, found_distances, labels, found)
