"""The contract of every loss that compares the rows of a batch."""

from typing import TYPE_CHECKING, Any, Self

import keras
from keras import ops

from tensorflow_similarity import distances, miners
from tensorflow_similarity._core import replicas
from tensorflow_similarity._core.numerics import to_float, to_floats
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.pairs import (
    TARGETS,
    Keys,
    Pairs,
    Targets,
    check_targets,
    make_pairs,
    to_targets,
)
from tensorflow_similarity.losses.preset import arguments_of
from tensorflow_similarity.miners import Miner
from tensorflow_similarity.types import FloatTensor, Tensor

if TYPE_CHECKING:
    from tensorflow_similarity.losses.sum_of_losses import SumOfLosses
    from tensorflow_similarity.losses.trained_loss import TrainedLoss

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", None)


class MetricLoss(keras.losses.Loss):
    """Makes the pairs of a batch, asks `compute` for a loss an anchor, and reduces.

    A subclass writes `compute(pairs) -> (values, weights)`, each of shape (batch,).
    The weight says how much of an anchor there is to learn from, usually 1 or 0; an
    anchor without any pair has value 0 and weight 0 whatever `compute` says, so that it
    leaves the mean. With values v, weights w and sample weights s:

    | reduction | loss |
    | --- | --- |
    | "sum_over_batch_size", "mean", "auto" | sum(s w v) / sum(w), 0 if sum(w) is 0 |
    | "mean_with_sample_weight" | sum(s w v) / sum(s w), 0 if that is 0 |
    | "sum" | sum(s w v) |
    | None, "none" | s w v, shape (batch,); JAX and torch cannot train on it |

    `sample_weight` is the weight of the *anchor*: a row of weight 0 asks for nothing
    but is still a positive or a negative to the others. A row that should not take part
    has the label -1.

    Labels are never cast to float, so that ids above 2**24 stay apart. Embeddings are
    computed with in float32, or float64 if they are, under every dtype policy. Under a
    `tf.distribute` strategy the rows of all replicas are compared with each other.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine": most
            embeddings are normalised.
        targets: what `y_true` holds, never guessed from its shape: "labels", class ids,
            (batch,) or (batch, 1), -1 for unknown; "labels_ids", [class id, item id],
            (batch, 2), where two rows of one item are no pair; "multi_hot",
            (batch, n_classes), where rows sharing a class are positives; "relation",
            (batch, batch), where above 0 is positive, 0 negative and below 0 no pair.
            Defaults to "labels".
        reduction: as above. Defaults to "sum_over_batch_size", as in Keras.
        name: str. Defaults to None: made from the name of the class.
        miner: Miner, its name or its serialized dict: chooses among the pairs before
            the loss sees them. Defaults to None: all pairs.
        remove_diagonal: accepted as existing programs pass it. A row is never a pair
            with itself.

    Call arguments:
        y_true: shape as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: shape (batch,) or (batch, 1). Defaults to None: 1 for all.

    Returns:
        The loss, scalar, or of shape (batch,) without reduction, on each call.

    Raises:
        ValueError: for unknown arguments; on a call, for shapes that do not fit.
        TypeError: on a call, if labels are strings.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        targets: Targets = "labels",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        miner: Miner | str | dict[str, Any] | None = None,
        remove_diagonal: bool = True,
    ):
        super().__init__(name=name, reduction=_standardize_reduction(reduction))
        if not remove_diagonal:
            raise ValueError(
                "`remove_diagonal` cannot be False: a row is never a pair with itself. "
                "Compare with separate keys by `between` instead."
            )
        if targets not in TARGETS:
            raise ValueError(
                f"`targets` must be one of {list(TARGETS)}. Received: "
                f"targets={targets!r}."
            )
        self.distance = distances.get(distance)
        self.targets = targets
        self.miner = miners.get(miner)

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, Tensor]:
        """Values and weights (bool or float), each one an anchor: (n_queries,)."""
        raise NotImplementedError(f"{type(self).__name__} must write `compute(pairs)`.")

    def call(self, y_true: Tensor, y_pred: FloatTensor) -> FloatTensor:
        """Weight times value of each anchor, shape (batch,), before any reduction."""
        values, weights = self._values_and_weights(y_true, to_float(y_pred))
        return values * weights

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> FloatTensor:
        # Keras' own casts y_true to float32, where 2**24 and 2**24 + 1 are the same.
        with keras.name_scope(self.name):
            targets = to_targets(y_true, self.targets)
            embeddings = to_float(y_pred)
            check_targets(targets, embeddings, self.targets, "y_true", "y_pred")
            return self._of_whole(targets, embeddings, None, sample_weight)

    def between(
        self,
        query_targets: Any,
        query_embeddings: Any,
        key_targets: Any,
        key_embeddings: Any,
        sample_weight: Any = None,
    ) -> FloatTensor:
        """The loss of queries against keys of their own: two towers, a memory.

        No key is a query: every key counts, but for those that the targets leave out.
        Under a `tf.distribute` strategy the queries of all replicas meet the keys of
        all.

        Args:
            query_targets: of the queries, as `targets` says; of a relation
                (n_queries, n_keys).
            query_embeddings: shape (n_queries, dim).
            key_targets: of the keys; None for a relation, whose columns are the keys.
            key_embeddings: shape (n_keys, dim).
            sample_weight: weight of each query, shape (n_queries,) or (n_queries, 1).
                Defaults to None: 1 for all.

        Returns:
            The loss, scalar, or of shape (n_queries,) without reduction.

        Raises:
            ValueError: for shapes that do not fit, for `key_targets` with a relation
                or none without, and by losses that know no keys.
            TypeError: if labels are strings.
        """
        with keras.name_scope(self.name):
            queries, keys = to_floats(query_embeddings, key_embeddings)
            query_targets = to_targets(query_targets, self.targets)
            check_targets(
                query_targets,
                queries,
                self.targets,
                "query_targets",
                "query_embeddings",
            )
            _check_keys(queries, keys)
            if key_targets is not None:
                key_targets = to_targets(key_targets, self.targets)
            return self._of_whole(
                query_targets, queries, Keys(key_targets, keys), sample_weight
            )

    def _of_whole(
        self,
        targets: Tensor,
        embeddings: FloatTensor,
        keys: Keys | None,
        sample_weight: Any,
    ) -> FloatTensor:
        """The loss of the rows, and of the keys if there are, of all replicas."""
        n_rows = ops.shape(embeddings)[0]
        if sample_weight is not None:
            sample_weight = to_anchor_weights(sample_weight, embeddings)

        if replicas.n_replicas() > 1:
            targets, embeddings = replicas.gather(targets, embeddings)
            if sample_weight is not None:
                (sample_weight,) = replicas.gather(sample_weight)
            if keys is not None:
                keys = keys.gathered()

        values, weights = self._values_and_weights(targets, embeddings, keys)
        loss = self._reduced(values, weights, sample_weight, n_rows)
        # Comparisons, as of miners and ranks, take NaN for far away: a run that has
        # diverged must not look like one that has learned all.
        diverged = ops.any(ops.isnan(embeddings))
        if keys is not None:
            diverged = ops.logical_or(diverged, ops.any(ops.isnan(keys.embeddings)))
        return ops.where(diverged, float("nan"), loss)

    def _reduced(
        self,
        values: FloatTensor,
        weights: FloatTensor,
        sample_weight: FloatTensor | None,
        n_rows: Any,
    ) -> FloatTensor:
        """The loss of gathered anchors, `n_rows` of which are this replica's."""
        n_replicas = replicas.n_replicas()
        weighted = weights if sample_weight is None else weights * sample_weight
        if self.reduction is None:
            losses = values * weighted
            return replicas.own_rows(losses, n_rows) if n_replicas > 1 else losses
        loss = ops.sum(values * weighted)
        if self.reduction == "mean_with_sample_weight":
            loss = _divide(loss, ops.sum(weighted))
        elif self.reduction != "sum":
            loss = _divide(loss, ops.sum(weights))
        # Each replica has the loss of the whole batch, and Keras adds them up.
        return loss / n_replicas

    def _values_and_weights(
        self, targets: Tensor, embeddings: FloatTensor, keys: Keys | None = None
    ) -> tuple[FloatTensor, FloatTensor]:
        """Of each anchor, 0 and 0 without any pair; `keys` if not its own rows."""
        pairs = make_pairs(
            targets,
            embeddings,
            distance=self.distance,
            kind=self.targets,
            key_targets=None if keys is None else keys.targets,
            key_embeddings=None if keys is None else keys.embeddings,
            keys_start_with_queries=keys is not None and keys.start_with_queries,
        )
        if self.miner is not None:
            pairs = pairs.kept(*self.miner(pairs))
        values, weights = self.compute(pairs)
        paired = ops.any(ops.logical_or(pairs.positives, pairs.negatives), axis=1)
        weights = ops.where(paired, ops.cast(weights, values.dtype), 0.0)
        return ops.where(weights > 0, values, 0.0), weights

    def trained_parts(self, dim: int | None) -> "list[tuple[TrainedLoss, int | None]]":
        """Losses with weights of their own in this one, each with its width.

        Args:
            dim: width of the embeddings; None: not known yet.
        """
        return []

    def __add__(self, other: "MetricLoss") -> "SumOfLosses":
        """Both losses as one, a `SumOfLosses`."""
        if not isinstance(other, MetricLoss):
            return NotImplemented
        from tensorflow_similarity.losses.sum_of_losses import add

        return add(self, other)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON; the distance as its own dict."""
        return {
            "name": self.name,
            "reduction": self.reduction,
            "distance": distances.serialize(self.distance),
            "targets": self.targets,
            "miner": miners.serialize(self.miner),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss that `get_config` described."""
        return cls(**config)

    @classmethod
    def from_preset(cls, preset: str, /, **kwargs: Any) -> Self:
        """The loss with hyper-parameters that others tuned or published.

        `losses.presets()` lists them with their sources. Values tuned on other data
        are a better start than defaults, not an end.

        Args:
            preset: str, such as "cub", "cars" or "sop", of the data they were tuned
                on.
            **kwargs: further arguments of the constructor; they win over the preset's.

        Raises:
            ValueError: if this loss has no such preset.
        """
        return cls(**{**arguments_of(cls, preset), **kwargs})


def _standardize_reduction(reduction: Any) -> str | None:
    name = reduction.lower() if isinstance(reduction, str) else reduction
    name = {"auto": "sum_over_batch_size", "none": None}.get(name, name)
    if name not in _REDUCTIONS:
        raise ValueError(
            f"`reduction` must be one of {[*_REDUCTIONS, 'auto', 'none']}. Received: "
            f"reduction={reduction!r}."
        )
    return name


def to_anchor_weights(sample_weight: Any, embeddings: FloatTensor) -> FloatTensor:
    """Sample weights as floats (batch,)."""
    weights = ops.convert_to_tensor(sample_weight)
    shape = tuple(weights.shape)
    n_rows = embeddings.shape[0]
    if (
        len(shape) not in (1, 2)
        or (len(shape) == 2 and shape[1] not in (1, None))
        or (None not in (shape[0], n_rows) and shape[0] != n_rows)
    ):
        raise ValueError(
            "`sample_weight` must have one weight an anchor, shape (batch,) or "
            f"(batch, 1). Received: sample_weight of shape {shape}, y_pred of shape "
            f"{tuple(embeddings.shape)}."
        )
    return ops.cast(ops.reshape(weights, (-1,)), embeddings.dtype)


def _check_keys(queries: FloatTensor, keys: FloatTensor) -> None:
    """Raises ValueError unless the queries can be compared with the keys."""
    widths = [
        rows.shape[1] if len(rows.shape) == 2 else None for rows in (queries, keys)
    ]
    if len(keys.shape) != 2 or (None not in widths and widths[0] != widths[1]):
        raise ValueError(
            "`key_embeddings` must have shape (n_keys, dim), as wide as the queries. "
            f"Received: key_embeddings of shape {tuple(keys.shape)}, query_embeddings "
            f"of shape {tuple(queries.shape)}."
        )


def _divide(total: FloatTensor, count: FloatTensor) -> FloatTensor:
    """total / count, 0 where nothing was counted."""
    some = count > 0
    return ops.where(some, total / ops.where(some, count, 1.0), 0.0)
