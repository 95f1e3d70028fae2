"""`chunked` on TensorFlow: a loop over chunks forwards, and another backwards."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tensorflow_similarity._core.chunked import Chunk, Run
from tensorflow_similarity.types import FloatTensor, Tensor


def abstract(function: Callable[[list[Tensor]], Any], rows: list[Tensor]) -> Any:
    """See `chunked.abstract`."""
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in rows]
    traced = tf.function(lambda *rows: function(list(rows)), autograph=False)
    return traced.get_concrete_function(*specs).structured_outputs


def values_of(variables: Sequence[Any]) -> list[Tensor]:
    """See `chunked.values_of`."""
    return [tf.convert_to_tensor(variable.value) for variable in variables]


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
    rows_of = _Rows(inputs, chunk)
    sizes = (len(trial.outputs), len(carried), len(averaged))

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def forward(*weights: FloatTensor) -> Any:
        found, starts = _forward(run, weights, list(carried), averaged, rows_of, trial)

        def backward(*upstream: Tensor) -> list[FloatTensor]:
            return _backward(
                run,
                weights,
                starts,
                averaged,
                rows_of,
                list(upstream[: sizes[0]]),
                upstream[-1],
            )

        answer = (*found.outputs, *found.carried, *found.averaged, found.loss)
        return answer, backward

    *answer, loss = forward(*weights)
    cuts = (sizes[0], sizes[0] + sizes[1])
    outputs = answer[: cuts[0]]
    for output, known in zip(outputs, trial.outputs, strict=True):
        output.set_shape((rows_of.n_static, *known.shape[1:]))
    return Chunk(outputs, answer[cuts[0] : cuts[1]], answer[cuts[1] :], loss)


class _Rows:
    """Which rows are in which chunk, in graphs that may not know how many there are."""

    def __init__(self, inputs: Sequence[Tensor], chunk: int):
        self.inputs = inputs
        self.chunk = chunk
        self.n_static: int | None = inputs[0].shape[0]
        n_rows = tf.shape(inputs[0])[0] if self.n_static is None else self.n_static
        if self.n_static is None:
            for x in inputs[1:]:
                tf.debugging.assert_equal(tf.shape(x)[0], n_rows, "unequal rows")
        self.n_full = n_rows // chunk
        self.n_rest = n_rows - self.n_full * chunk
        self.shares = [
            tf.cast(part, "float32") / tf.cast(n_rows, "float32")
            for part in (chunk, self.n_rest)
        ]

    def full(self, number: Tensor) -> list[Tensor]:
        """The rows of a full chunk, of a shape that is known."""
        chunks = []
        for x in self.inputs:
            begin = tf.concat(
                [[number * self.chunk], tf.zeros(len(x.shape) - 1, "int32")], 0
            )
            size = [self.chunk, *([-1] * (len(x.shape) - 1))]
            rows = tf.slice(x, begin, size)
            rows.set_shape((self.chunk, *x.shape[1:]))
            chunks.append(rows)
        return chunks

    def rest(self) -> list[Tensor]:
        """The rows beyond the last full chunk."""
        return [x[self.n_full * self.chunk :] for x in self.inputs]

    def if_rest(self, some: Callable[[], Any], none: Callable[[], Any]) -> Any:
        """`some()` if there are such rows, `none()` without."""
        if self.n_static is not None:
            return some() if self.n_rest else none()
        return tf.cond(self.n_rest > 0, some, none)


def _forward(
    run: Run,
    weights: Sequence[FloatTensor],
    carried: list[Tensor],
    averaged: Sequence[FloatTensor],
    rows: _Rows,
    trial: Chunk,
) -> tuple[Chunk, list[Tensor]]:
    """The batch's answer, and the carried state that each chunk began with."""

    def arrays(likes: Sequence[Tensor]) -> list[Any]:
        return [
            tf.TensorArray(x.dtype, size=rows.n_full, element_shape=x.shape)
            for x in likes
        ]

    def step(number: Tensor, outputs: Any, starts: Any, carried: Any, sums: Any) -> Any:
        found = run(weights, carried, averaged, rows.full(number))
        return (
            number + 1,
            [
                x.write(number, part)
                for x, part in zip(outputs, found.outputs, strict=True)
            ],
            [x.write(number, value) for x, value in zip(starts, carried, strict=True)],
            found.carried,
            _added(sums, [*found.averaged, found.loss]),
        )

    def rest() -> Any:
        found = run(weights, carried, averaged, rows.rest())
        return found.outputs, found.carried, [*found.averaged, found.loss]

    def no_rest() -> Any:
        empty = [
            tf.zeros(tf.concat([[rows.n_rest], tf.shape(x)[1:]], 0), x.dtype)
            for x in outputs
        ]
        return empty, carried, [tf.zeros_like(x) for x in sums]

    sums = [tf.zeros(x.shape, x.dtype) for x in [*averaged, trial.loss]]
    state = (tf.constant(0), arrays(trial.outputs), arrays(carried), carried, sums)
    _, outputs, starts, carried, sums = tf.while_loop(
        lambda number, *_: number < rows.n_full, step, state, parallel_iterations=1
    )
    starts = [x.stack() for x in starts]
    # The rest begins where the loop ended.
    starts = [
        tf.concat([x, [last]], 0) for x, last in zip(starts, carried, strict=True)
    ]
    stacked = [x.stack() for x in outputs]
    # Sequences may have a length that only the running graph knows.
    outputs = [
        tf.reshape(x, tf.concat([[rows.n_full * rows.chunk], tf.shape(x)[2:]], 0))
        for x in stacked
    ]
    more, carried, more_sums = rows.if_rest(rest, no_rest)
    sums = [
        tf.cast(rows.shares[0], a.dtype) * a + tf.cast(rows.shares[1], b.dtype) * b
        for a, b in zip(sums, more_sums, strict=True)
    ]
    outputs = [tf.concat(parts, 0) for parts in zip(outputs, more, strict=True)]
    return Chunk(outputs, carried, sums[:-1], sums[-1]), starts


def _backward(
    run: Run,
    weights: Sequence[FloatTensor],
    starts: list[Tensor],
    averaged: Sequence[FloatTensor],
    rows: _Rows,
    upstream: list[FloatTensor],
    upstream_loss: FloatTensor,
) -> list[FloatTensor]:
    """Gradients of the weights, chunk by chunk."""
    above = _Rows(upstream, rows.chunk)

    def pulled(
        number: Any, chunk: list[Tensor], d_outputs: list[FloatTensor], share: Tensor
    ) -> list[FloatTensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            found = run(weights, [x[number] for x in starts], averaged, chunk)
        d_loss = upstream_loss * tf.cast(share, upstream_loss.dtype)
        gradients = tape.gradient(
            [*found.outputs, found.loss],
            weights,
            output_gradients=[*d_outputs, d_loss],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        # Those of a table of vectors come as rows.
        return [tf.convert_to_tensor(x) for x in gradients]

    def step(number: Tensor, sums: list[FloatTensor]) -> Any:
        found = pulled(number, rows.full(number), above.full(number), rows.shares[0])
        return number + 1, _added(sums, found)

    def rest() -> list[FloatTensor]:
        return _added(
            sums, pulled(rows.n_full, rows.rest(), above.rest(), rows.shares[1])
        )

    sums = [tf.zeros_like(x) for x in weights]
    _, sums = tf.while_loop(
        lambda number, _: number < rows.n_full,
        step,
        (tf.constant(0), sums),
        parallel_iterations=1,
    )
    summed: list[FloatTensor] = rows.if_rest(rest, lambda: sums)
    return summed


def _added(a: Sequence[FloatTensor], b: Sequence[FloatTensor]) -> list[FloatTensor]:
    return [x + y for x, y in zip(a, b, strict=True)]
