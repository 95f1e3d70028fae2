"""Matryoshka: one loss on several lengths of the same embeddings."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from tensorflow_similarity._core.numerics import l2_normalize, to_float
from tensorflow_similarity.losses.info_nce_loss import InfoNCELoss
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.trained_loss import TrainedLoss
from tensorflow_similarity.types import FloatTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MatryoshkaLoss(MetricLoss):
    """Trains embeddings whose first few numbers are good embeddings themselves.

    loss = sum_m weight_m * loss_m(y_true, y_pred[:, :m])

    Afterwards embeddings may be cut to any of the widths, to be searched faster. Each
    cut is normalised to length 1 before its loss sees it, as in the paper. The cosine
    distance looks at directions only and needs no more; to compare cuts by another
    distance, normalise them after cutting.

    Every width has a copy of the loss. One with weights of its own, as of classes, has
    them for each width, trained and saved with the model.

    Args:
        loss: MetricLoss, or its serialized dict. Its miner, reduction, distance and
            targets are those of every copy; weights that it has already are not copied.
        dims: different integers of at least 1: the widths. The full width is one of
            them only if it is listed. The paper halves it down, as 512, 256, ..., 16.
        weights: list of float of at least 0, one a width. Defaults to None: 1 for each,
            as in the paper.
        normalize: bool. Whether cuts get length 1. Defaults to True. False is for a
            loss by lengths, whose cuts are to be compared as they are.
        name: str. Defaults to None: made from the name of the class.

    Call arguments:
        y_true: as the loss takes it. Losses of queries and keys, such as `InfoNCELoss`,
            take the queries here; both are cut.
        y_pred: embeddings, shape (batch, dim), dim of at least the largest of `dims`.
            Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        The loss, scalar, or of shape (batch,) if the loss has no reduction.

    Raises:
        TypeError: if `loss` is not a `MetricLoss`.
        ValueError: if `dims` are not different integers of at least 1, or weights do
            not fit; on a call or on `compile`, for embeddings narrower than a width.

    Example:

    >>> from tensorflow_similarity.losses import TripletLoss
    >>> loss = MatryoshkaLoss(TripletLoss(margin=0.1), dims=[4, 2])
    >>> rows = [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    >>> float(loss([0, 0, 1], rows))
    0.0

    Reference:
        Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022.
    """

    def __init__(
        self,
        loss: MetricLoss | dict[str, Any],
        dims: Sequence[int],
        weights: Sequence[float] | None = None,
        normalize: bool = True,
        name: str | None = None,
    ):
        if isinstance(loss, dict):
            loss = keras.saving.deserialize_keras_object(loss)
        if not isinstance(loss, MetricLoss):
            raise TypeError(
                "`loss` must be a loss of this package, a `MetricLoss`. Received: "
                f"loss={loss!r}."
            )
        super().__init__(
            distance=loss.distance,
            targets=loss.targets,
            reduction=loss.reduction,
            name=name,
        )
        widths = list(dims)
        if (
            not widths
            or len(set(widths)) < len(widths)
            or any(isinstance(m, bool) or not isinstance(m, int) for m in widths)
            or min(widths) < 1
        ):
            raise ValueError(
                "`dims` must be different integers of at least 1, one or more. "
                f"Received: dims={dims!r}."
            )
        if weights is None:
            weights = [1.0] * len(widths)
        if len(weights) != len(widths) or not all(0 <= w < math.inf for w in weights):
            raise ValueError(
                f"`weights` must be {len(widths)} numbers of at least 0, one a width. "
                f"Received: weights={weights!r}, dims={dims!r}."
            )
        self.loss = loss
        self.dims = widths
        self.weights = [float(weight) for weight in weights]
        self.normalize = bool(normalize)
        self._copies = [_copy(loss, width) for width in widths]

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> FloatTensor:
        return self._added(
            [
                loss(*cut, sample_weight)
                for loss, cut in zip(
                    self._copies, self._cuts(y_true, y_pred), strict=True
                )
            ]
        )

    def between(
        self,
        query_targets: Any,
        query_embeddings: Any,
        key_targets: Any,
        key_embeddings: Any,
        sample_weight: Any = None,
    ) -> FloatTensor:
        queries = self._checked(to_float(query_embeddings))
        keys = self._checked(to_float(key_embeddings))
        return self._added(
            [
                loss.between(
                    query_targets,
                    self._cut(queries, width),
                    key_targets,
                    self._cut(keys, width),
                    sample_weight,
                )
                for loss, width in zip(self._copies, self.dims, strict=True)
            ]
        )

    def call(self, y_true: Tensor, y_pred: FloatTensor) -> FloatTensor:
        return self._added(
            [
                loss.call(*cut)
                for loss, cut in zip(
                    self._copies, self._cuts(y_true, y_pred), strict=True
                )
            ]
        )

    def _cuts(self, y_true: Any, y_pred: Any) -> list[tuple[Any, FloatTensor]]:
        """What each copy is called with."""
        embeddings = self._checked(to_float(y_pred))
        if isinstance(self.loss, InfoNCELoss):
            queries = self._checked(to_float(y_true))
            return [
                (self._cut(queries, m), self._cut(embeddings, m)) for m in self.dims
            ]
        return [(y_true, self._cut(embeddings, m)) for m in self.dims]

    def _cut(self, embeddings: FloatTensor, width: int) -> FloatTensor:
        cut = embeddings[:, :width]
        return l2_normalize(cut) if self.normalize else cut

    def _checked(self, embeddings: FloatTensor) -> FloatTensor:
        if len(embeddings.shape) != 2:
            raise ValueError(
                "`y_pred` must be embeddings of shape (batch, dim). Received: shape "
                f"{tuple(embeddings.shape)}."
            )
        self._check_width(embeddings.shape[1])
        return embeddings

    def _check_width(self, dim: int | None) -> None:
        if dim is not None and dim < max(self.dims):
            raise ValueError(
                f"{self.name!r} cuts embeddings to widths {self.dims}, and they must "
                f"be at least as wide. Received: embeddings of width {dim}."
            )

    def _added(self, values: list[FloatTensor]) -> FloatTensor:
        total = self.weights[0] * values[0]
        for weight, value in zip(self.weights[1:], values[1:], strict=True):
            total = total + weight * value
        return total

    def trained_parts(self, dim: int | None) -> list[tuple[TrainedLoss, int | None]]:
        self._check_width(dim)
        return [
            part
            for loss, width in zip(self._copies, self.dims, strict=True)
            for part in loss.trained_parts(width)
        ]

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "loss": keras.saving.serialize_keras_object(self.loss),
            "dims": list(self.dims),
            "weights": list(self.weights),
            "normalize": self.normalize,
        }


def _copy(loss: MetricLoss, width: int) -> MetricLoss:
    """The same loss, without weights yet, for embeddings of this width."""
    config = {**loss.get_config(), "name": f"{loss.name}_{width}"}
    copy = type(loss).from_config(config)
    for part, _ in copy.trained_parts(None):
        # The width that the loss was told is that of the whole embeddings.
        part.dim = None
    return copy
