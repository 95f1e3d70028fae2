"""`chunked` on torch: a loop over chunks, each checkpointed."""

from collections.abc import Callable, Sequence
from typing import Any

from tensorflow_similarity._core.chunked import Chunk, Run, n_rows_of
from tensorflow_similarity.types import FloatTensor, Tensor


def abstract(function: Callable[[list[Tensor]], Any], rows: list[Tensor]) -> Any:
    """See `chunked.abstract`."""
    import torch

    with torch.no_grad():
        return function(rows)


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
    import torch
    from torch.utils.checkpoint import checkpoint

    n_rows = n_rows_of(inputs) or 0
    outputs: list[list[Tensor]] = [[] for _ in trial.outputs]
    # States are changed in place afterwards, and the backward pass begins with them.
    carried = [value.detach().clone() for value in carried]
    averaged = [value.detach().clone() for value in averaged]
    sums = [torch.zeros_like(value) for value in averaged]
    loss = torch.zeros_like(trial.loss)
    for start in range(0, n_rows, chunk):
        rows = [x[start : start + chunk] for x in inputs]
        found = checkpoint(run, weights, carried, averaged, rows, use_reentrant=False)
        share = len(rows[0]) / n_rows
        for parts, part in zip(outputs, found.outputs, strict=True):
            parts.append(part)
        carried = [value.detach() for value in found.carried]
        sums = [
            a + share * b.detach() for a, b in zip(sums, found.averaged, strict=True)
        ]
        loss = loss + share * found.loss
    return Chunk([torch.cat(parts) for parts in outputs], carried, sums, loss)
