"""FastAP: average precision from histograms of distances."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class FastAPLoss(MetricLoss):
    """One minus average precision, with distances sorted into bins instead of ranked.

    loss_i = 1 - sum_b h+_b H+_b / (H+_b + H-_b) / n_positives

    h+_b is how many positives are in bin b, h-_b how many negatives; a distance between
    the centres of two bins belongs to both, to the nearer one more. H+ and H- are those
    up to bin b. The centres divide 0 to `max_distance` into `num_bins` equal parts.
    With the cosine distance, half the squared distance of normalised rows, that is the
    paper, whose bins divide 0 to 4.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. All positives count, however many; memory is O(batch^2), forward
    and backward, whatever the number of bins.

    Args:
        num_bins: int of at least 1. Defaults to 10, as in the paper.
        max_distance: float > 0. What is farther is in the last bin, without a gradient.
            Defaults to 2.0, the largest cosine distance. Give 2.0 for "euclidean" and
            4.0 for "squared_euclidean" of normalised embeddings.
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper.
        **kwargs: `targets`, `reduction`, `name` and `miner` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, from 0 to 1, shape (batch,), before the reduction.

    Raises:
        ValueError: if `num_bins` is not an integer of at least 1 or `max_distance` is
            not above 0.

    Example:

    >>> loss = FastAPLoss()
    >>> rows = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]]
    >>> round(float(loss([0, 0, 1, 2], rows)), 4)
    0.5

    From both rows of class 0 the row of class 1 comes before the other: the precision
    is 1 / 2.

    Reference:
        Cakir et al., "Deep Metric Learning to Rank", CVPR 2019.
    """

    def __init__(
        self,
        num_bins: int = 10,
        max_distance: float = 2.0,
        distance: Distance | str | dict[str, Any] = "cosine",
        **kwargs: Any,
    ):
        super().__init__(distance=distance, **kwargs)
        if isinstance(num_bins, bool) or not (
            isinstance(num_bins, int) and num_bins >= 1
        ):
            raise ValueError(
                "`num_bins` must be an integer of at least 1. Received: "
                f"num_bins={num_bins!r}."
            )
        if not max_distance > 0:
            raise ValueError(
                "`max_distance` must be above 0. Received: "
                f"max_distance={max_distance!r}."
            )
        self.num_bins = num_bins
        self.max_distance = max_distance

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        width = self.max_distance / self.num_bins
        places = ops.clip(pairs.distances, 0.0, self.max_distance) / width
        kind = ops.where(pairs.positives, 1.0, ops.where(pairs.negatives, -1.0, 0.0))
        counts = _histograms(self.num_bins)(places, ops.cast(kind, places.dtype))
        positives, negatives = counts[:, :, 0], counts[:, :, 1]
        # Not `ops.cumsum`: on torch it rounds float64 to float32 (Keras 3.15).
        bins = ops.arange(self.num_bins + 1, dtype="int32")
        sum_up_to = ops.cast(bins[:, None] <= bins[None, :], places.dtype)
        negatives_up_to = negatives @ sum_up_to
        up_to = positives @ sum_up_to + negatives_up_to
        # 1 - sum h+ H+ / H, without the loss of digits near 0: the h+ add up to all.
        wrong = positives * negatives_up_to / ops.where(up_to > 0, up_to, 1.0)
        n_positives = ops.sum(ops.cast(pairs.positives, places.dtype), axis=1)
        values = ops.sum(wrong, axis=1) / ops.where(n_positives > 0, n_positives, 1.0)
        return values, ops.logical_and(
            ops.any(pairs.positives, axis=1), ops.any(pairs.negatives, axis=1)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "max_distance": self.max_distance,
        }


def _histograms(num_bins: int) -> Any:
    """`counts(places, kind)` -> (n_queries, num_bins + 1, 2), differentiable.

    Places are in units of a bin, from 0 to `num_bins`; kind is 1 for a positive, -1 for
    a negative, 0 for neither. Bins are filled one after the other, and nothing of shape
    (n_queries, n_keys, num_bins) is made, nor kept for the gradient.
    """

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def counts(places: Tensor, kind: Tensor) -> Any:
        # Without the stop, TensorFlow's eager tape would still record every bin.
        places, kind = ops.stop_gradient(places), ops.stop_gradient(kind)
        positives, negatives = kind > 0, kind < 0

        def fill(center: Tensor) -> Tensor:
            shares = ops.relu(1.0 - ops.abs(places - center))
            return ops.stack(
                [
                    ops.sum(ops.where(mask, shares, 0.0), axis=1)
                    for mask in (positives, negatives)
                ],
                axis=1,
            )

        def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
            # Keras 3.15: torch passes the arguments and `upstream=`, the others one.
            if upstream is None:
                (upstream,) = args
            # Between two centres, what one bin loses the next one gains.
            gains = upstream[:, 1:] - upstream[:, :-1]
            lower = ops.cast(ops.clip(ops.floor(places), 0, num_bins - 1), "int32")
            slopes = ops.where(
                positives,
                ops.take_along_axis(gains[:, :, 0], lower, axis=1),
                ops.where(
                    negatives, ops.take_along_axis(gains[:, :, 1], lower, axis=1), 0.0
                ),
            )
            return slopes, ops.zeros_like(kind)

        centers = ops.arange(num_bins + 1, dtype=places.dtype)
        return ops.transpose(ops.map(fill, centers), (1, 0, 2)), gradient

    return counts
