"""Two models, of queries and of items, that share one index."""

from typing import Any, Self

import keras
import numpy as np
from keras import ops

from tensorflow_similarity._core import replicas
from tensorflow_similarity._core.phase import phase
from tensorflow_similarity.models.pair_losses import check_loss, pair_loss
from tensorflow_similarity.models.similarity_mixin import SimilarityMixin
from tensorflow_similarity.types import FloatTensor

_NO_USE = ("loss_weights", "metrics", "weighted_metrics", "embedding_output")


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class TwoTowerModel(SimilarityMixin, keras.Model):
    """Embeds queries by one model and items by another, side by side.

    For queries and items of different kinds: texts and pictures, questions and answers,
    users and goods. `index`, `index_single` and `reindex` embed with the item model,
    `lookup` and `single_lookup` with the query model; each takes what its own model
    takes.

    Trained on batches in which row i of queries and items is a pair:
    `fit({"query": queries, "item": items})`. Losses of rows, `InfoNCELoss` and its
    kind, take all other items of the batch for negatives of a query, and may be given
    more items as `"negatives"`, which the item model embeds. All other losses compare
    queries with items by targets: with `y`, the labels of the pairs, as they always do;
    without, row i is the only positive of row i. Queries are not compared with queries,
    nor items with items.

    `sample_weight` is the weight of a pair as an anchor, in both directions.

    Args:
        query_model: keras.Model with one output, (batch, dim).
        item_model: the same for items. May be the query model itself. Towers that share
            some layers are trained, and cannot be saved.
        symmetric: bool. Whether a loss of targets also goes from items to queries; the
            mean of both is the loss. Losses of rows have an argument of that name
            themselves. Defaults to True: either side may be searched then.
        name: string.

    Call arguments:
        inputs: a dict of "query" and "item", and maybe "negatives"; or the pair of
            both. Each is what its model takes.

    Returns:
        A dict of embeddings by the same names, on each call.

    Raises:
        TypeError: if a tower is no Keras model.
        ValueError: if a tower does not answer with one output (batch, dim), or both
            with unequal widths; on a call, for other inputs. What a model without a
            known output answers is seen on its first call.

    Example:

    >>> import numpy as np
    >>> queries, items = keras.Input((3,)), keras.Input((2,))
    >>> model = TwoTowerModel(
    ...     keras.Model(queries, keras.layers.Dense(4)(queries)),
    ...     keras.Model(items, keras.layers.Dense(4)(items)),
    ... )
    >>> ids = model.index(np.eye(2), y=["wide", "high"])
    >>> len(model.lookup(np.ones((5, 3)), k=1))
    5
    """

    def __init__(
        self,
        query_model: keras.Model,
        item_model: keras.Model,
        symmetric: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        for role, tower in (("query_model", query_model), ("item_model", item_model)):
            if not isinstance(tower, keras.Model):
                raise TypeError(
                    f"`{role}` must be a Keras model. Received: {role}={tower!r}."
                )
        self.query_model = query_model
        self.item_model = item_model
        self.symmetric = bool(symmetric)
        self._width: int | None = None
        self._note_widths(
            {
                "query_model": _known_width(query_model, "query_model"),
                "item_model": _known_width(item_model, "item_model"),
            }
        )
        self.built = query_model.built and item_model.built

    def build(self, input_shape: Any = None) -> None:
        """Nothing: `call` builds towers that are not. Keras' own would hide errors."""

    # Keras tells the towers whether they train if `call` takes `training`.
    def call(self, inputs: Any, training: bool | None = None) -> dict[str, FloatTensor]:
        inputs = _by_role(inputs)
        towers = {"query": self.query_model}
        embeddings = {
            role: _embedded(towers.get(role, self.item_model), f"{role} model", part)
            for role, part in inputs.items()
        }
        self._note_widths(
            {
                "query_model": embeddings["query"].shape[1],
                "item_model": embeddings["item"].shape[1],
            }
        )
        return embeddings

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Configures training and the index, as `SimilarityModel.compile` does.

        Args:
            optimizer: as `keras.Model.compile` takes it.
            loss: one `MetricLoss` that compares rows.
            **kwargs: as `SimilarityModel.compile` takes them, but `metrics`, the
                weights of losses and an `embedding_output`.

        Raises:
            TypeError: if the loss is not one `MetricLoss`.
            ValueError: for a loss of classes, one without reduction or with
                targets="labels_ids"; for arguments that have no use here.
        """
        if loss is not None:
            check_loss(loss)
        given = [key for key in _NO_USE if kwargs.get(key) is not None]
        if args or given:
            raise ValueError(
                "Two towers have one loss of both, and no output that labels are "
                f"compared with. Received: {given or args}. Evaluate the embeddings of "
                "`predict`, or lookups."
            )
        super().compile(optimizer, loss, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> FloatTensor:
        """The loss of both embeddings, with what regularizers add.

        Raises:
            ValueError: without a loss, or for `y` or negatives that it does not use.
        """
        if self.loss is None:
            raise ValueError(
                "The model has no loss to train or evaluate. Compile it with one: "
                "`model.compile('adam', loss=InfoNCELoss())`."
            )
        if y is not None and tuple(y.shape)[1:] == (0,):
            y = None
        with phase(bool(training)):
            total = pair_loss(self.loss, y, y_pred, sample_weight, self.symmetric)
        n_replicas = replicas.n_replicas()
        for added in self.losses:
            total = total + ops.cast(ops.sum(added), total.dtype) / n_replicas
        return total

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`, on pairs; `y` may be left out, weights or not."""
        y = _kept_weights(y, kwargs.get("sample_weight"))
        validation = kwargs.get("validation_data")
        if isinstance(validation, tuple | list) and len(validation) == 3:
            of_x, of_y, weights = validation
            validation = (of_x, _kept_weights(of_y, weights), weights)
            kwargs = {**kwargs, "validation_data": validation}
        if y is not None or args:
            args = (y, *args)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`, on pairs; `y` may be left out, weights or not."""
        y = _kept_weights(y, kwargs.get("sample_weight"))
        return super().evaluate(x, y, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the towers serialized.

        Raises:
            ValueError: for towers that share some of their weights.
        """
        shared = self.item_model is self.query_model
        if not shared:
            _refuse_common(self.query_model, self.item_model)
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "query_model": serialize(self.query_model),
            # None: one tower for both.
            "item_model": None if shared else serialize(self.item_model),
            "symmetric": self.symmetric,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """The model that `get_config` described."""
        towers = {
            role: keras.saving.deserialize_keras_object(
                config[role], custom_objects=custom_objects
            )
            for role in ("query_model", "item_model")
        }
        if towers["item_model"] is None:
            towers["item_model"] = towers["query_model"]
        return cls(**{**config, **towers})

    def get_build_config(self) -> None:
        """Nothing: the towers know themselves how they are built."""
        return None

    def _embedder(self, queries: bool) -> Any:
        return self.query_model if queries else self.item_model

    def _output_widths(self) -> list[int | None]:
        """Width of the embeddings, for losses with weights."""
        return [self._width]

    def _note_widths(self, widths: dict[str, int | None]) -> None:
        """Remembers the width of both towers; ValueError if they differ."""
        known = {width for width in widths.values() if width is not None}
        if len(known) > 1:
            raise ValueError(
                "Both towers must answer with embeddings of one width. Received: "
                + ", ".join(f"`{role}` {width}" for role, width in widths.items())
                + ". Give both a last layer of the same size."
            )
        self._width = known.pop() if known else self._width


def _known_width(tower: keras.Model, role: str) -> int | None:
    """Width of a tower's output; None while it does not know."""
    outputs = getattr(tower, "outputs", None)
    if not outputs:
        return None
    width: int | None = _only(outputs, role).shape[1]
    return width


def _embedded(tower: keras.Model, role: str, x: Any) -> FloatTensor:
    return _only(tower(x), role)


def _only(outputs: Any, role: str) -> Any:
    """The one output of a tower, (batch, dim)."""
    outputs = keras.tree.flatten(outputs)
    if len(outputs) != 1 or len(outputs[0].shape) != 2:
        raise ValueError(
            f"The {role} must have one output, embeddings of shape (batch, dim). "
            f"Received: {len(outputs)} of shapes "
            f"{[tuple(output.shape) for output in outputs]}."
        )
    return outputs[0]


def _refuse_common(query_model: keras.Model, item_model: keras.Model) -> None:
    """Raises if weights are in both towers: loaded, each would have its own."""
    known = {id(variable) for variable in query_model.variables}
    common = [v.path for v in item_model.variables if id(v) in known]
    if common:
        raise ValueError(
            "Towers that share some of their layers cannot be saved: Keras would give "
            f"each its own on loading. Received: both have {common}. Share one model "
            "for both, or keep the program that makes the towers and "
            "`model.save_weights('x.weights.h5')`."
        )


def _by_role(inputs: Any) -> dict[str, Any]:
    """What each tower is given."""
    if isinstance(inputs, dict):
        roles = set(inputs)
        if {"query", "item"} <= roles <= {"query", "item", "negatives"}:
            return dict(inputs)
        received = f"a dict of {sorted(map(str, roles))}"
    elif isinstance(inputs, tuple | list):
        if len(inputs) == 2:
            return {"query": inputs[0], "item": inputs[1]}
        received = f"a {type(inputs).__name__} of {len(inputs)}"
    else:
        received = f"one {type(inputs).__name__}"
    raise ValueError(
        "Two towers take a dict of 'query' and 'item', with 'negatives' or without, or "
        f"a pair of both. Received: {received}. A data set that yields bare pairs is "
        "read as (x, y): let it yield dicts."
    )


def _kept_weights(y: Any, sample_weight: Any) -> Any:
    """`y`, or in its place nothing of the right length.

    Keras 3.15 drops the weights of arrays that have no `y`.
    """
    if y is None and sample_weight is not None:
        return np.empty((len(sample_weight), 0), "int32")
    return y
