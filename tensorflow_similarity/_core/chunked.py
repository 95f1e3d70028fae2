"""A batch run in chunks that are computed again for the gradient.

The backward pass of a network needs what the forward pass computed. Here it keeps
nothing but each chunk's beginning, and computes a chunk once more when its gradient is
due, so that memory is that of one chunk, whatever the batch.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from tensorflow_similarity.types import FloatTensor, Tensor


class Chunk(NamedTuple):
    """What one chunk answers.

    Args:
        outputs: each of shape (rows, ...).
        carried: the state that the next chunk begins with, such as seeds.
        averaged: the state that the chunk made of the common one, such as moving means.
        loss: scalar, the losses that layers added.
    """

    outputs: list[Tensor]
    carried: list[Tensor]
    averaged: list[FloatTensor]
    loss: FloatTensor


Run = Callable[
    [Sequence[Tensor], Sequence[Tensor], Sequence[Tensor], list[Tensor]], Chunk
]
"""`run(weights, carried, averaged, rows)`: a pure function of its arguments."""


def in_chunks(
    run: Run,
    weights: Sequence[FloatTensor],
    carried: Sequence[Tensor],
    averaged: Sequence[FloatTensor],
    inputs: Sequence[Tensor],
    chunk: int,
    trial: Chunk,
) -> Chunk:
    """Runs the batch chunk by chunk, the last of which may be smaller.

    Gradients flow to `weights` only. Every chunk begins with the same `averaged` state;
    the answer has the mean of what the chunks made of it, each by its number of rows.
    It has the `carried` state after the last chunk, and the mean of the chunks' losses.

    Args:
        run: computes one chunk.
        weights: what it is differentiated by.
        inputs: each of shape (n, ...).
        chunk: rows of a chunk.
        trial: what `run` answers for `chunk` rows, as `abstract` gives it.
    """
    answer: Chunk = _backend().in_chunks(
        run, weights, carried, averaged, inputs, chunk, trial
    )
    return answer


def abstract(function: Callable[[list[Tensor]], Any], rows: list[Tensor]) -> Any:
    """Runs `function` for the shapes and dtypes of its answer, as cheap as can be."""
    return _backend().abstract(function, rows)


def values_of(variables: Sequence[Any]) -> list[Tensor]:
    """What Keras variables hold now, as tensors through which gradients flow."""
    values: list[Tensor] = _backend().values_of(variables)
    return values


def n_rows_of(inputs: Sequence[Tensor]) -> int | None:
    """Rows of a batch, None where only the running graph knows."""
    n_rows: int | None = inputs[0].shape[0]
    return n_rows


def _backend() -> Any:
    short = {"tensorflow": "tf", "jax": "jax", "torch": "torch"}
    name = short.get(keras.backend.backend())
    if name is None:
        raise RuntimeError(
            "`grad_cache_chunk` needs a backend that trains: tensorflow, jax or torch. "
            f"Received: {keras.backend.backend()!r}."
        )
    return importlib.import_module(f"tensorflow_similarity._core.{name}_chunked")
