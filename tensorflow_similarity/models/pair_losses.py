"""What a metric loss makes of the rows of two towers, of which row i is a pair."""

from typing import Any

from keras import ops

from tensorflow_similarity._core import replicas
from tensorflow_similarity.losses import (
    XBM,
    ClassLoss,
    InfoNCELoss,
    MatryoshkaLoss,
    MetricLoss,
    SumOfLosses,
)
from tensorflow_similarity.types import FloatTensor, Tensor


def check_loss(loss: Any) -> None:
    """Raises unless this loss can compare queries with items.

    Raises:
        TypeError: for anything but one `MetricLoss`.
        ValueError: for a loss of classes, one without reduction, or one of targets that
            name items.
    """
    if not isinstance(loss, MetricLoss):
        raise TypeError(
            "`loss` must be one loss of this package, a `MetricLoss`: it compares "
            f"queries with items. Received: loss={loss!r}. Add several up: "
            "`loss_a + loss_b`."
        )
    trained = [part for part, _ in loss.trained_parts(None)]
    for part in [*_parts(loss), *trained]:
        if isinstance(part, XBM):
            raise ValueError(
                "XBM compares a batch with older rows of its own kind, and two towers "
                f"compare queries with items. Take the loss in it, {part.loss.name!r}."
            )
        if isinstance(part, ClassLoss):
            raise ValueError(
                f"{type(part).__name__} compares rows with classes, and two towers "
                "compare queries with items. Take a loss of pairs, such as "
                "`InfoNCELoss` or `MultiSimilarityLoss`."
            )
    if loss.reduction is None:
        raise ValueError(
            "Two towers train on one number a batch, and `loss` has no reduction. "
            f"Received: {loss.name!r} with reduction=None."
        )
    if loss.targets == "labels_ids":
        raise ValueError(
            'With targets="labels_ids" a query and its item would be one item, which '
            f"is no pair. Received: {loss.name!r} with these targets. Take "
            'targets="labels".'
        )


def pair_loss(
    loss: MetricLoss,
    y: Tensor | None,
    embeddings: dict[str, FloatTensor],
    sample_weight: Tensor | None = None,
    symmetric: bool = True,
) -> FloatTensor:
    """The loss of a batch of queries and items, a scalar.

    Args:
        loss: one that `check_loss` lets pass.
        y: targets of the pairs, as the loss takes them. None: row i of both is a pair,
            and no others are.
        embeddings: "query" and "item", each (batch, dim), and maybe "negatives",
            (n, dim).
        sample_weight: weight of each pair, (batch,).
        symmetric: whether a loss of targets also goes from items to queries, and the
            mean of both is taken.

    Raises:
        ValueError: for targets or negatives that the loss does not look at.
    """
    rows = [_compares_rows(part) for part in _parts(loss)]
    if y is not None and all(rows):
        raise ValueError(
            f"{loss.name!r} takes row i of queries and items for a pair and all else "
            "for negatives, and does not look at `y`. Leave `y` out, or compile with a "
            "loss of labels, such as `SupConLoss` or `MultiSimilarityLoss`."
        )
    if "negatives" in embeddings and not any(rows):
        raise ValueError(
            f"{loss.name!r} tells pairs by targets, and 'negatives' have none. Put "
            "them among the items, or compile with a loss of rows, such as "
            "`InfoNCELoss`."
        )
    return _value(loss, y, embeddings, sample_weight, symmetric)


def _value(
    loss: MetricLoss,
    y: Tensor | None,
    embeddings: dict[str, FloatTensor],
    sample_weight: Tensor | None,
    symmetric: bool,
) -> FloatTensor:
    if isinstance(loss, SumOfLosses):
        values = [
            weight * _value(part, y, embeddings, sample_weight, symmetric)
            for part, weight in zip(loss.losses, loss.weights, strict=True)
        ]
        return sum(values[1:], start=values[0])
    queries, items = embeddings["query"], embeddings["item"]
    if _compares_rows(loss):
        if "negatives" in embeddings:
            items = ops.concatenate([items, embeddings["negatives"]])
        return loss(queries, items, sample_weight)
    if y is None:
        y = _row_targets(loss.targets, queries)
    if loss.targets == "relation":
        # Its columns are the keys, which have no targets of their own.
        there, back, of_keys = y, _transposed(y), None
    else:
        there, back, of_keys = y, y, y
    value = loss.between(there, queries, of_keys, items, sample_weight)
    if not symmetric:
        return value
    value = value + loss.between(back, items, of_keys, queries, sample_weight)
    return 0.5 * value


def _parts(loss: MetricLoss) -> list[MetricLoss]:
    """The losses that a sum adds up, or this one."""
    if isinstance(loss, SumOfLosses):
        return [one for part in loss.losses for one in _parts(part)]
    return [loss]


def _compares_rows(loss: MetricLoss) -> bool:
    """Whether this loss takes row i of both for a pair, whatever targets say."""
    if isinstance(loss, MatryoshkaLoss):
        return _compares_rows(loss.loss)
    return isinstance(loss, InfoNCELoss)


def _row_targets(kind: str, queries: FloatTensor) -> Tensor:
    """Targets by which row i of both is a pair and no others are, on all replicas."""
    n_rows = ops.shape(queries)[0]
    (whole,) = replicas.gather(queries[:, 0])
    n_all = ops.shape(whole)[0]
    numbers = ops.arange(n_all, dtype="int32")
    targets = numbers if kind == "labels" else ops.eye(n_all, dtype=queries.dtype)
    return replicas.own_rows(targets, n_rows)


def _transposed(relation: Tensor) -> Tensor:
    """From keys to queries: each replica has the rows of its own queries."""
    n_rows = ops.shape(relation)[0]
    (whole,) = replicas.gather(ops.convert_to_tensor(relation))
    return replicas.own_rows(ops.transpose(whole), n_rows)
