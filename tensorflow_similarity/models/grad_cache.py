"""Training on batches larger than memory: the forward pass in chunks."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.chunked import (
    Chunk,
    abstract,
    in_chunks,
    n_rows_of,
    values_of,
)
from tensorflow_similarity.models.devices import KERAS_BATCH_SIZE
from tensorflow_similarity.types import Tensor


class GradCache:
    """Runs a model's forward pass in chunks that are computed again for the gradient.

    The loss sees the embeddings of the whole batch, and its gradient is that of the
    whole batch. What chance drew for a chunk is drawn again. A layer that looks at
    several rows, as `BatchNormalization` does, sees those of a chunk.

    Args:
        chunk: int of at least 1, rows computed at a time.

    Reference:
        Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited
        Setup", RepL4NLP 2021.
    """

    def __init__(self, chunk: int):
        self.chunk = chunk
        self._trials: dict[Any, _Trial] = {}

    def __call__(
        self,
        model: Any,
        forward: Callable[..., Any],
        inputs: Any,
        kwargs: dict[str, Any],
    ) -> Any:
        """What `forward(inputs, **kwargs)` answers, for a batch of any size.

        Args:
            model: whose weights `forward` uses.
            forward: the model's forward pass.
            inputs: tensors of shape (n, ...), in any structure.
            kwargs: further arguments of `forward`, `training` among them.
        """
        leaves = keras.tree.flatten(inputs)
        if any(isinstance(x, keras.KerasTensor) for x in leaves):
            return forward(inputs, **kwargs)
        tensors = [ops.convert_to_tensor(x) for x in leaves if x is not None]
        n_rows = n_rows_of(tensors)
        if any(n_rows_of([x]) != n_rows for x in tensors):
            raise ValueError(
                "With `grad_cache_chunk` all inputs must have as many rows, which are "
                f"cut alike. Received: {[n_rows_of([x]) for x in tensors]} rows. "
                "Compile without it."
            )
        if n_rows is not None and n_rows <= self.chunk:
            return forward(inputs, **kwargs)

        def call(rows: list[Tensor]) -> Any:
            left = iter(rows)
            parts = [None if x is None else next(left) for x in leaves]
            return forward(keras.tree.pack_sequence_as(inputs, parts), **kwargs)

        # Sequences may come in several lengths.
        shapes = tuple((tuple(x.shape[1:]), str(x.dtype)) for x in tensors)
        if shapes not in self._trials:
            first = [x[: self.chunk] for x in tensors]
            self._trials[shapes] = _Trial(model, call, first)
        return self._trials[shapes].run(call, tensors, self.chunk)

    def check_batch(self, x: Any, batch_size: int | None, replicas: int) -> None:
        """Raises ValueError if batches are known to be smaller than a chunk.

        Args:
            x: what `fit` is given.
            batch_size: what `fit` is told.
            replicas: among how many a batch is divided.
        """
        n_rows: int | None
        if hasattr(x, "element_spec"):  # a tf.data.Dataset
            n_rows = keras.tree.flatten(x.element_spec)[0].shape[0]
        elif isinstance(x, keras.utils.PyDataset):
            n_rows = len(keras.tree.flatten(x[0])[0])
        elif hasattr(x, "__next__"):
            n_rows = None
        else:
            n_rows = min(batch_size or KERAS_BATCH_SIZE, len(keras.tree.flatten(x)[0]))
        if n_rows is not None:
            self.check_rows(n_rows, replicas)

    def check_rows(self, n_rows: int, replicas: int) -> None:
        """Raises ValueError if a batch of so many rows is smaller than a chunk."""
        if n_rows // replicas < self.chunk:
            among = f" on {replicas} replicas" if replicas > 1 else ""
            raise ValueError(
                "`grad_cache_chunk` must be at most the batch size. Received: "
                f"grad_cache_chunk={self.chunk}, batches of {n_rows}{among}. Give "
                "`fit` larger batches, which is what chunks are for, or compile "
                "without it."
            )


def check_chunk(model: Any, chunk: Any) -> None:
    """Raises unless `chunk` is a number of rows and the model can be chunked."""
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise ValueError(
            "`grad_cache_chunk` must be None or an integer of at least 1. Received: "
            f"grad_cache_chunk={chunk!r}."
        )
    if not getattr(model, "_call_has_training_arg", True):
        raise ValueError(
            "With `grad_cache_chunk` the model must be told when it trains. Give its "
            "`call` the argument `training=None`."
        )


class _Trial:
    """What a model's forward pass changes and answers, found out on one chunk."""

    def __init__(
        self, model: Any, call: Callable[[list[Tensor]], Any], rows: list[Tensor]
    ):
        self._model = model
        # The weights of losses have no part in the forward pass.
        layers = getattr(model, "loss_layers", None)
        others = set() if layers is None else set(map(id, layers.variables))
        self._weights = [v for v in model.trainable_variables if id(v) not in others]
        of_layers = [v for layer in model.layers for v in layer.metrics_variables]
        states = {
            id(variable): variable
            for variable in [*model.non_trainable_variables, *of_layers]
            if id(variable) not in others
        }
        changed: set[int] = set()
        self._structure: Any = None

        def answer(rows: list[Tensor]) -> list[Tensor]:
            variables = [*self._weights, *states.values()]
            with _scope(variables, values_of(variables)) as scope:
                before = {key: scope.get_current_value(v) for key, v in states.items()}
                outputs = call(rows)
                _refuse_masks(outputs)
                changed.update(
                    key
                    for key, variable in states.items()
                    if scope.get_current_value(variable) is not before[key]
                )
                self._structure = keras.tree.map_structure(lambda _: 0, outputs)
                return [*keras.tree.flatten(outputs), _total(scope)]

        *self._outputs, self._loss = abstract(answer, rows)
        moving = [v for key, v in states.items() if key in changed]
        # Seeds and counters go from chunk to chunk. Of other states, as moving means,
        # each chunk begins with the one before the step: recomputed, it does again.
        self._averaged = [v for v in moving if keras.backend.is_float_dtype(v.dtype)]
        self._carried = [v for v in moving if not keras.backend.is_float_dtype(v.dtype)]
        self._still = [v for key, v in states.items() if key not in changed]

    def run(
        self, call: Callable[[list[Tensor]], Any], inputs: list[Tensor], chunk: int
    ) -> Any:
        """The model's outputs for the whole batch; its states move."""
        still = values_of(self._still)
        variables = [*self._weights, *self._carried, *self._averaged, *self._still]

        def run(weights: Any, carried: Any, averaged: Any, rows: list[Tensor]) -> Chunk:
            values = [*weights, *carried, *averaged, *still]
            with _scope(variables, values) as scope:
                outputs = keras.tree.flatten(call(rows))
                return Chunk(
                    outputs,
                    [scope.get_current_value(v) for v in self._carried],
                    [scope.get_current_value(v) for v in self._averaged],
                    _total(scope),
                )

        found = in_chunks(
            run,
            values_of(self._weights),
            values_of(self._carried),
            values_of(self._averaged),
            inputs,
            chunk,
            Chunk(self._outputs, [], [], self._loss),
        )
        for variable, value in zip(
            [*self._carried, *self._averaged],
            [*found.carried, *found.averaged],
            strict=True,
        ):
            variable.assign(value)
        # Functional models close `add_loss` to their users.
        keras.layers.Layer.add_loss(self._model, found.loss)
        return keras.tree.pack_sequence_as(self._structure, found.outputs)


def _refuse_masks(outputs: Any) -> None:
    """Raises ValueError if an output has a mask, which would be lost."""
    for output in keras.tree.flatten(outputs):
        if getattr(output, "_keras_mask", None) is not None:
            raise ValueError(
                "With `grad_cache_chunk` no output may carry a mask, such as that of "
                "`Embedding(mask_zero=True)`: losses would not see it. Received: a "
                f"mask on an output of shape {tuple(output.shape)}. Pool over the "
                "sequence, or compile without it."
            )


def _scope(variables: list[Any], values: list[Tensor]) -> keras.StatelessScope:
    return keras.StatelessScope(
        state_mapping=list(zip(variables, values, strict=True)), collect_losses=True
    )


def _total(scope: keras.StatelessScope) -> Tensor:
    """The sum of what layers added to the losses."""
    total = ops.zeros((), keras.config.floatx())
    for loss in scope.losses:
        total = total + ops.sum(ops.cast(loss, total.dtype))
    return total
