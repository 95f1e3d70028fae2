"""Multiple negatives ranking."""

from typing import Any

import keras

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.info_nce_loss import InfoNCELoss


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MultiNegativesRankLoss(InfoNCELoss):
    """Asks each query to know its key among all keys.

    loss_i = -log(exp(scale * s_ii) / sum_j exp(scale * s_ij)),  with s_ij = q_i . k_j

    Row i of both is a pair, keys beyond the queries are further negatives. It is
    `InfoNCELoss`, which says more of all arguments, at a scale of 1 / temperature, by
    inner products and from queries to keys alone. TensorFlow Similarity 0.17 adds 1 to
    the sum, which the paper does not: its values are a little higher.

    With the inner product normalise both embeddings first, or take
    distance="cosine", which does.

    Args:
        distance: Distance, its name or its serialized dict; s = -d. Defaults to
            "inner_product", as in TensorFlow Similarity.
        scale: float > 0. Defaults to 20, usual for normalised sentence embeddings.
        symmetric: bool. Whether keys look for their queries too. Defaults to False, as
            in the paper.
        learn_scale: bool. Whether the scale is learned, by its logarithm, from `scale`
            on. It takes a `SimilarityModel`, as `TrainedLoss` says. Defaults to False.
        max_scale: float. The scale is learned up to this. Defaults to 100.0, as in
            CLIP, for which it kept training stable.
        false_negative_margin: as `InfoNCELoss` takes it. Defaults to None: no key is
            left out.
        relative_margin: bool. Defaults to False: the margin is absolute.
        name: str. Defaults to "multineg_rank_loss".
        **kwargs: `reduction`, `learning_rate_multiplier` and `dim` of `TrainedLoss`.

    Call arguments:
        query_embeddings: shape (n_queries, dim).
        key_embeddings: shape (n_keys, dim), n_keys of at least n_queries.
        sample_weight: weight of each pair, shape (n_queries,). Defaults to None: 1.
        guide: two arrays, for queries and keys, (n_queries, width), (n_keys, width).
            Defaults to None: the embeddings themselves.

    Returns:
        The loss, scalar, or of shape (n_queries,) without reduction, on each call.

    Raises:
        ValueError: as `InfoNCELoss` does, with `scale` for `temperature`.

    Example:

    >>> loss = MultiNegativesRankLoss(scale=1)
    >>> queries, keys = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]
    >>> round(float(loss(queries, keys)), 4)
    0.3133

    Reference:
        Henderson et al., "Efficient Natural Language Response Suggestion for Smart
        Reply", 2017.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "inner_product",
        scale: float = 20,
        name: str | None = "multineg_rank_loss",
        symmetric: bool = False,
        learn_scale: bool = False,
        max_scale: float = 100.0,
        false_negative_margin: float | None = None,
        relative_margin: bool = False,
        **kwargs: Any,
    ):
        if not scale > 0:
            raise ValueError(f"`scale` must be above 0. Received: scale={scale!r}.")
        if learn_scale and not max_scale >= scale:
            raise ValueError(
                "`max_scale` must be at least `scale`, from which learning starts. "
                f"Received: max_scale={max_scale!r}, scale={scale!r}."
            )
        super().__init__(
            temperature=1.0 / scale,
            distance=distance,
            symmetric=symmetric,
            learn_temperature=learn_scale,
            max_scale=max_scale,
            false_negative_margin=false_negative_margin,
            relative_margin=relative_margin,
            name=name,
            **kwargs,
        )
        self.scale = scale
        self.learn_scale = learn_scale

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "scale": self.scale,
            "learn_scale": self.learn_scale,
        }
        del config["temperature"], config["learn_temperature"]
        return config
