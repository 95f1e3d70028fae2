"""Whether embeddings fill the space: one number each, no labels needed."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core import spread
from tensorflow_similarity.training_metrics.batch_metric import BatchMetric
from tensorflow_similarity.types import FloatTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class EmbeddingStd(BatchMetric):
    """How far embeddings of length 1 vary: mean over dimensions of the std over rows.

    std = mean over f of std over i of (x_i / |x_i|)_f

    About 1 / sqrt(dim) means well spread over the sphere, 0 that all are one point: the
    model has collapsed. Batches weigh their rows; one of fewer than two rows leaves it.

    Args:
        name: str. Defaults to "embedding_std".
        **kwargs: `dtype` of `BatchMetric`.

    Example:

    >>> metric = EmbeddingStd()
    >>> metric.update_state(None, [[2.0, 0.0], [-3.0, 0.0]])
    >>> float(metric.result())
    0.5

    Reference:
        Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021,
        Figure 2.
    """

    _direction = "up"

    def __init__(self, name: str | None = "embedding_std", **kwargs: Any):
        super().__init__(name or "embedding_std", **kwargs)

    def measure(
        self, targets: Tensor, embeddings: FloatTensor, weights: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        return spread.embedding_std(embeddings, weights), _of_two_rows(weights)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class EffectiveRank(BatchMetric):
    """How many dimensions the embeddings use, as a real number from 1 to dim.

    rank = exp(-sum_k p_k log p_k),  p_k = s_k / sum of s, s the singular values of the
    batch (rows not centred, not normalised)

    That is Roy and Vetterli's effective rank, applied to embeddings as RankMe does,
    without RankMe's small addend to p. It cannot exceed the rows of the batch. Equal
    rows give 1, so does dimensional collapse to a line; rows of zeros only, 0. Singular
    values below 0.001 of the largest count as 0. Batches weigh their rows; one of fewer
    than two rows leaves it.

    Each batch costs an eigendecomposition of side min(batch, dim), on two CPU cores
    10 to 30 ms for 256; with `jit_compile=True` on TensorFlow's CPU 0.3 s.

    Args:
        name: str. Defaults to "effective_rank".
        **kwargs: `dtype` of `BatchMetric`.

    Example:

    >>> metric = EffectiveRank()
    >>> metric.update_state(None, [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [-1.0, 0.0]])
    >>> round(float(metric.result()), 4)
    2.0

    Reference:
        Roy and Vetterli, "The effective rank: A measure of effective dimensionality",
        EUSIPCO 2007. Garrido et al., "RankMe: Assessing the Downstream Performance of
        Pretrained Self-Supervised Representations by Their Rank", ICML 2023.
    """

    _direction = "up"

    def __init__(self, name: str | None = "effective_rank", **kwargs: Any):
        super().__init__(name or "effective_rank", **kwargs)

    def measure(
        self, targets: Tensor, embeddings: FloatTensor, weights: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        return spread.effective_rank(embeddings, weights), _of_two_rows(weights)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class Uniformity(BatchMetric):
    """How evenly embeddings of length 1 cover the sphere; lower is more even.

    uniformity = log of the mean over pairs i != j of exp(-t |x_i - x_j|^2)

    0 means one point, -2 t that all pairs are at right angles; t = 2 gives -4, and
    evenly spread rows of many dimensions come near it. Batches weigh their rows; one of
    fewer than two rows leaves it.

    Args:
        t: float > 0. Defaults to 2.0, as in the paper.
        name: str. Defaults to "uniformity".
        **kwargs: `dtype` of `BatchMetric`.

    Raises:
        ValueError: for a `t` of 0 or less.

    Example:

    >>> metric = Uniformity()
    >>> metric.update_state(None, [[5.0, 0.0], [0.0, 1.0]])
    >>> round(float(metric.result()), 4)
    -4.0

    Reference:
        Wang and Isola, "Understanding Contrastive Representation Learning through
        Alignment and Uniformity on the Hypersphere", ICML 2020.
    """

    _direction = "down"

    def __init__(self, t: float = 2.0, name: str | None = "uniformity", **kwargs: Any):
        if not t > 0:
            raise ValueError(f"`t` must be a number above 0. Received: t={t!r}.")
        super().__init__(name or "uniformity", **kwargs)
        self.t = float(t)

    def measure(
        self, targets: Tensor, embeddings: FloatTensor, weights: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        value = spread.uniformity(embeddings, weights, self.t)
        return value, _of_two_rows(weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "t": self.t}


def _of_two_rows(weights: FloatTensor) -> FloatTensor:
    """The weight of a batch: that of its rows, 0 with fewer than two."""
    n_rows = ops.sum(ops.cast(weights > 0, weights.dtype))
    return ops.where(n_rows > 1, ops.sum(weights), 0.0)
