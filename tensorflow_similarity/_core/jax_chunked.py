"""`chunked` on JAX: a scan over chunks, each checkpointed."""

from collections.abc import Callable, Sequence
from typing import Any

from tensorflow_similarity._core.chunked import Chunk, Run, n_rows_of
from tensorflow_similarity.types import FloatTensor, Tensor


def abstract(function: Callable[[list[Tensor]], Any], rows: list[Tensor]) -> Any:
    """See `chunked.abstract`."""
    import jax

    return jax.eval_shape(function, rows)


def values_of(variables: Sequence[Any]) -> list[Tensor]:
    """See `chunked.values_of`."""
    return [variable.value for variable in variables]


def in_chunks(
    run: Run,
    weights: Sequence[FloatTensor],
    carried: Sequence[Tensor],
    averaged: Sequence[FloatTensor],
    inputs: Sequence[Tensor],
    chunk: int,
    trial: Chunk,
) -> Chunk:
    """See `chunked.in_chunks`."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    n_rows = n_rows_of(inputs) or 0
    n_full, rest = divmod(n_rows, chunk)
    run = jax.checkpoint(run)
    weights, carried, averaged = list(weights), list(carried), list(averaged)

    def step(state: Any, number: Tensor) -> Any:
        carried, sums, loss = state
        rows = [lax.dynamic_slice_in_dim(x, number * chunk, chunk) for x in inputs]
        found = run(weights, carried, averaged, rows)
        sums = [
            a + lax.stop_gradient(b) for a, b in zip(sums, found.averaged, strict=True)
        ]
        return (found.carried, sums, loss + found.loss), found.outputs

    state = (
        carried,
        [jnp.zeros_like(value) for value in averaged],
        jnp.zeros((), trial.loss.dtype),
    )
    (carried, sums, loss), outputs = lax.scan(step, state, jnp.arange(n_full))
    outputs = [x.reshape((n_full * chunk, *x.shape[2:])) for x in outputs]
    share = chunk / n_rows
    sums, loss = [share * x for x in sums], share * loss
    if rest:
        rows = [x[n_full * chunk :] for x in inputs]
        found = run(weights, carried, averaged, rows)
        share, carried = rest / n_rows, found.carried
        sums = [
            a + share * lax.stop_gradient(b)
            for a, b in zip(sums, found.averaged, strict=True)
        ]
        loss = loss + share * found.loss
        outputs = [
            jnp.concatenate(parts) for parts in zip(outputs, found.outputs, strict=True)
        ]
    return Chunk(outputs, list(carried), sums, loss)
