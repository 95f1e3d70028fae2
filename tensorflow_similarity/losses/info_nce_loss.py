"""InfoNCE on pairs of queries and keys."""

import math
from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core import replicas
from tensorflow_similarity._core.numerics import (
    inner_products,
    l2_normalize,
    masked_log_sum_exp,
    to_floats,
)
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import to_anchor_weights
from tensorflow_similarity.losses.trained_loss import TrainedLoss
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class InfoNCELoss(TrainedLoss):
    """Asks each query to know its key among all keys, and each key its query.

    loss_i = -log(exp(s_ii / T) / sum_j exp(s_ij / T)),  with s_ij = -d(query i, key j)

    Row i of both is a pair. Keys beyond the queries are further negatives for every
    query, as a mined hard negative or two each. With `symmetric` the loss is the mean
    of that and of the same from key i to all queries: CLIP's loss.

    A batch may hold other keys that fit a query. With `false_negative_margin` a key j
    is left out for query i, and query i for key j, if the guide finds it as similar as
    the pair itself or nearly: with g the cosines of the guide's embeddings,
    g_ij > g_ii - margin, or with `relative_margin` g_ij > g_ii * (1 - margin); from key
    j to query i by g_jj in place of g_ii. The guide is given on the call as embeddings
    of a model that knows better; without one the compared embeddings guide themselves.

    Every row counts in the mean. One without a negative has value 0.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine".
        temperature: float > 0. Defaults to 0.05, usual for sentence embeddings; CLIP
            starts from 0.07.
        symmetric: bool. Whether keys look for their queries too. Defaults to True, as
            in CLIP.
        learn_temperature: bool. Whether the temperature is learned, by its logarithm,
            from `temperature` on, as in CLIP. It takes a `SimilarityModel`, as
            `TrainedLoss` says. Defaults to False.
        max_scale: float. 1 / temperature is learned up to this. Defaults to 100.0, as
            in CLIP, for which it kept training stable.
        false_negative_margin: float from -2 to 2, a difference of cosines; from 0 to 1
            if relative. Defaults to None: no key is left out. GISTEmbed takes 0.0.
        relative_margin: bool. Defaults to False: the margin is absolute.
        name: str. Defaults to None: made from the name of the class.
        reduction: as `MetricLoss` takes it.
        **kwargs: `learning_rate_multiplier` and `dim` of `TrainedLoss`.

    Call arguments:
        query_embeddings: shape (n_queries, dim). Need not be normalised.
        key_embeddings: shape (n_keys, dim), n_keys of at least n_queries.
        sample_weight: weight of each pair, shape (n_queries,). Defaults to None: 1.
        guide: two arrays, for queries and keys, (n_queries, width), (n_keys, width).
            Defaults to None: the embeddings themselves.

    Returns:
        The loss, scalar, or of shape (n_queries,) without reduction, on each call.

    Raises:
        ValueError: if an argument is out of range; on a call, for shapes that do not
            fit together or a guide without a `false_negative_margin`.
        RuntimeError: on a call, if the temperature is to be learned and nobody has made
            the weight.

    Example:

    >>> loss = InfoNCELoss(temperature=1.0)
    >>> queries, keys = [[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]
    >>> round(float(loss(queries, keys)), 4)
    0.3133

    Reference:
        van den Oord et al., "Representation Learning with Contrastive Predictive
        Coding", 2018. Radford et al., "Learning Transferable Visual Models From Natural
        Language Supervision", ICML 2021. Solatorio, "GISTEmbed: Guided In-sample
        Selection of Training Negatives for Text Embedding Fine-tuning", 2024.
    """

    def __init__(
        self,
        temperature: float = 0.05,
        distance: Distance | str | dict[str, Any] = "cosine",
        symmetric: bool = True,
        learn_temperature: bool = False,
        max_scale: float = 100.0,
        false_negative_margin: float | None = None,
        relative_margin: bool = False,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        learning_rate_multiplier: float = 1.0,
        dim: int | None = None,
    ):
        super().__init__(
            distance=distance,
            name=name,
            reduction=reduction,
            learning_rate_multiplier=learning_rate_multiplier,
            dim=dim,
        )
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be above 0. Received: temperature={temperature!r}."
            )
        if learn_temperature and not max_scale * temperature >= 1 - 1e-6:
            raise ValueError(
                "`max_scale` must be at least 1 / temperature, from which learning "
                f"starts. Received: max_scale={max_scale!r}, "
                f"temperature={temperature!r}."
            )
        lowest, highest = (0, 1) if relative_margin else (-2, 2)
        if false_negative_margin is not None and not (
            lowest <= false_negative_margin <= highest
        ):
            raise ValueError(
                "`false_negative_margin` must be None or a number from "
                f"{lowest} to {highest} with relative_margin={relative_margin}. "
                f"Received: false_negative_margin={false_negative_margin!r}."
            )
        self.temperature = temperature
        self.symmetric = symmetric
        self.learn_temperature = learn_temperature
        self.max_scale = max_scale
        self.false_negative_margin = false_negative_margin
        self.relative_margin = relative_margin

    @property
    def has_weights(self) -> bool:
        return self.learn_temperature

    def add_weights(self, dim: int) -> None:
        start = keras.initializers.Constant(-math.log(self.temperature))
        self.add_weight("log_scale", (), start, constraint=self._bounded)

    def __call__(
        self,
        query_embeddings: Any,
        key_embeddings: Any,
        sample_weight: Any = None,
        guide: tuple[Any, Any] | None = None,
    ) -> FloatTensor:
        if self.has_weights:
            self._built_layer()
        with keras.name_scope(self.name):
            queries, keys = to_floats(query_embeddings, key_embeddings)
            _check(queries, keys, "query_embeddings", "key_embeddings")
            n_rows = ops.shape(queries)[0]
            if sample_weight is not None:
                sample_weight = to_anchor_weights(sample_weight, queries)
            if guide is not None:
                guide = self._checked_guide(guide, queries, keys)

            if replicas.n_replicas() > 1:
                queries, keys = _gather(queries, keys)
                if guide is not None:
                    guide = _gather(*guide)
                if sample_weight is not None:
                    (sample_weight,) = replicas.gather(sample_weight)

            values = self._values(queries, keys, guide)
            weights = ops.ones_like(values)
            return self._reduced(values, weights, sample_weight, n_rows)

    def call(self, query_embeddings: Any, key_embeddings: Any) -> FloatTensor:
        """Value of each pair, shape (n_queries,), before any reduction."""
        return self._values(*to_floats(query_embeddings, key_embeddings), None)

    def between(self, *args: Any, **kwargs: Any) -> FloatTensor:
        raise ValueError(
            f"{type(self).__name__} knows its pairs by their rows, not by targets. "
            "Call it: `loss(query_embeddings, key_embeddings)`."
        )

    def _values(
        self,
        queries: FloatTensor,
        keys: FloatTensor,
        guide: tuple[FloatTensor, FloatTensor] | None,
    ) -> FloatTensor:
        logits = -self._scale(queries.dtype) * self.distance(queries, keys)
        n_queries, n_keys = ops.shape(logits)[0], ops.shape(logits)[1]
        pairs = ops.equal(
            ops.arange(n_queries, dtype="int32")[:, None],
            ops.arange(n_keys, dtype="int32")[None, :],
        )
        own = _own(logits, pairs)
        negatives = back = ops.logical_not(pairs)
        if self.false_negative_margin is not None:
            similar, similar_back = self._false_negatives(
                *(guide or (queries, keys)), pairs
            )
            negatives, back = (
                ops.logical_and(negatives, ops.logical_not(similar)),
                ops.logical_and(back, ops.logical_not(similar_back)),
            )

        others, some = masked_log_sum_exp(logits, negatives)
        # -log(own / (own + others)) = log(1 + others / own), exact near 0 too.
        values = ops.where(some, ops.softplus(others - own), 0.0)
        if self.symmetric:
            others, some = masked_log_sum_exp(logits, back, axis=0)
            others, some = others[:n_queries], some[:n_queries]
            values = values + ops.where(some, ops.softplus(others - own), 0.0)
            values = 0.5 * values
        return values

    def _scale(self, dtype: Any) -> FloatTensor:
        if not self.learn_temperature:
            return 1.0 / self.temperature
        # Bounded after each step by Keras' optimizers, and by the constraint alone: a
        # bound here would end the gradient, and a scale at the bound would stay there.
        return ops.exp(ops.cast(self.weight("log_scale"), dtype))

    def _bounded(self, log_scale: FloatTensor) -> FloatTensor:
        highest = math.log(self.max_scale)
        return ops.where(log_scale < highest, log_scale, highest)

    def _false_negatives(
        self, queries: FloatTensor, keys: FloatTensor, pairs: BoolTensor
    ) -> tuple[BoolTensor, BoolTensor]:
        """Which keys are too similar for each query, and which queries for each key."""
        cosines = inner_products(l2_normalize(queries), l2_normalize(keys))
        own = _own(cosines, pairs)
        # Keys beyond the queries look for nothing: whatever stands there will do.
        beyond = ops.zeros((ops.shape(cosines)[1] - ops.shape(cosines)[0],), own.dtype)
        own_of_key = ops.concatenate([own, beyond])
        margin = self.false_negative_margin or 0.0
        if self.relative_margin:
            own, own_of_key = own * (1.0 - margin), own_of_key * (1.0 - margin)
        else:
            own, own_of_key = own - margin, own_of_key - margin
        return cosines > own[:, None], cosines > own_of_key[None, :]

    def _checked_guide(
        self, guide: tuple[Any, Any], queries: FloatTensor, keys: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        if self.false_negative_margin is None:
            raise ValueError(
                "`guide` finds false negatives, and this loss looks for none. Make it "
                "with a `false_negative_margin`, such as 0.0."
            )
        if not isinstance(guide, tuple | list) or len(guide) != 2:
            raise ValueError(
                "`guide` must be two arrays, of the queries and of the keys. Received: "
                f"{type(guide).__name__}."
            )
        of_queries, of_keys = to_floats(*guide)
        _check(of_queries, of_keys, "guide[0]", "guide[1]")
        for role, mine, theirs in (
            ("query_embeddings", of_queries, queries),
            ("key_embeddings", of_keys, keys),
        ):
            if None not in (mine.shape[0], theirs.shape[0]) and (
                mine.shape[0] != theirs.shape[0]
            ):
                raise ValueError(
                    f"`guide` must have as many rows as `{role}`. Received: "
                    f"{mine.shape[0]} rows, {role} of {theirs.shape[0]}."
                )
        return of_queries, of_keys

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "temperature": self.temperature,
            "symmetric": self.symmetric,
            "learn_temperature": self.learn_temperature,
            "max_scale": self.max_scale,
            "false_negative_margin": self.false_negative_margin,
            "relative_margin": self.relative_margin,
        }
        # Which rows belong together is not said by targets here.
        del config["targets"], config["miner"]
        return config


def _own(matrix: FloatTensor, pairs: BoolTensor) -> FloatTensor:
    """What stands where row and column are a pair, (n_queries,)."""
    return ops.sum(ops.where(pairs, matrix, 0.0), axis=1)


def _gather(queries: FloatTensor, keys: FloatTensor) -> tuple[FloatTensor, FloatTensor]:
    """Rows of all replicas; keys that have a query first, in the queries' order."""
    # The keys beyond the queries are not gathered apart: there may be none, and
    # `all_gather` of no row at all ends the process (TensorFlow 2.21).
    counts = ops.stack([ops.shape(queries)[0], ops.shape(keys)[0]])[None, :]
    queries, keys, counts = replicas.gather(queries, keys, counts)
    paired, others, start = [], [], 0
    # Slices, since `all_gather` does not take the sparse gradient of `take` either.
    for replica in range(replicas.n_replicas()):
        middle, end = start + counts[replica, 0], start + counts[replica, 1]
        paired.append(keys[start:middle])
        others.append(keys[middle:end])
        start = end
    return queries, ops.concatenate([*paired, *others])


def _check(
    queries: FloatTensor, keys: FloatTensor, query_name: str, key_name: str
) -> None:
    """Raises ValueError unless row i of both can be a pair."""
    shapes = (
        f"Received: {query_name} of shape {tuple(queries.shape)}, {key_name} of shape "
        f"{tuple(keys.shape)}."
    )
    if len(queries.shape) != 2 or len(keys.shape) != 2:
        raise ValueError(
            f"`{query_name}` and `{key_name}` must be of shape (n, dim). {shapes}"
        )
    if queries.shape[1] != keys.shape[1]:
        raise ValueError(
            f"`{query_name}` and `{key_name}` must have the same width. {shapes}"
        )
    if (
        None not in (queries.shape[0], keys.shape[0])
        and keys.shape[0] < queries.shape[0]
    ):
        raise ValueError(
            f"`{key_name}` must have a row for each of `{query_name}`, in the same "
            f"order, and may have more. {shapes}"
        )
