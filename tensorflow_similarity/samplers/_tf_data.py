"""Samplers as `tf.data` datasets. Imports TensorFlow."""

from typing import Any

import numpy as np
import tensorflow as tf

from tensorflow_similarity.samplers.sampler import Sampler

_CHUNK_BYTES = 2**20
"""Small batches are fetched several at a time: a call into Python costs 0.2 ms."""

_READ_AHEAD = 4
"""Batches fetched before they are asked for."""

_MAX_CHUNK = 16
"""Batches fetched at a time at most, so that the first is not long in coming."""


def as_tf_dataset(sampler: Sampler) -> tf.data.Dataset:
    """One iteration is one pass of `sampler`. See `Sampler.as_tf_dataset`."""
    n_steps = sampler.steps_per_epoch
    x, y = sampler._batch(sampler.epoch, sampler._plan(sampler.epoch)[0])
    leaves = [np.asarray(leaf) for leaf in tf.nest.flatten((x, y))]
    structure = tf.nest.map_structure(lambda _: None, (x, y))
    plain = sampler.augmenter is None
    n_bytes = sum(leaf.nbytes for leaf in leaves)
    n_chunk = 1
    if plain:
        n_chunk = min(_MAX_CHUNK, n_steps, max(1, _CHUNK_BYTES // max(1, n_bytes)))
    n_chunks = -(-(n_steps - 1) // n_chunk)

    def begin(_: np.ndarray) -> np.int64:
        if sampler.steps_per_epoch != n_steps:
            raise RuntimeError(
                f"This dataset was made for steps_per_epoch={n_steps}, but the "
                f"sampler now has {sampler.steps_per_epoch}. Call `as_tf_dataset` "
                "again."
            )
        return np.int64(sampler.epoch)

    def fetch(epoch: np.ndarray, number: np.ndarray) -> list[np.ndarray]:
        """Batches of one chunk, stacked."""
        first = int(number) * n_chunk
        rows = sampler._plan(int(epoch))[first : min(first + n_chunk, n_steps - 1)]
        batches = sampler._batch(int(epoch), rows.reshape(-1))
        if number == n_chunks // 2:
            sampler._plan_ahead(int(epoch) + 1)
        flat = [np.asarray(leaf) for leaf in tf.nest.flatten(batches)]
        if n_chunk == 1:
            return flat
        return [leaf.reshape(len(rows), -1, *leaf.shape[1:]) for leaf in flat]

    def fetch_last(epoch: np.ndarray) -> list[np.ndarray]:
        batch = sampler._batch(int(epoch), sampler._plan(int(epoch))[-1])
        sampler._end_pass(int(epoch))
        return [np.asarray(leaf) for leaf in tf.nest.flatten(batch)]

    def in_graph(function: Any, inputs: list[tf.Tensor], is_chunk: bool) -> Any:
        tensors = tf.numpy_function(function, inputs, [leaf.dtype for leaf in leaves])
        for tensor, leaf in zip(tensors, leaves, strict=True):
            shape = leaf.shape if plain else (None, *leaf.shape[1:])
            tensor.set_shape((None, *shape) if is_chunk else shape)
        return tf.nest.pack_sequence_as(structure, tensors)

    def one_pass(epoch: tf.Tensor) -> tf.data.Dataset:
        epoch.set_shape(())
        batches = tf.data.Dataset.range(n_chunks).map(
            lambda number: in_graph(fetch, [epoch, number], n_chunk > 1),
            num_parallel_calls=sampler.workers if sampler.workers > 1 else None,
        )
        if n_chunk > 1:
            batches = batches.prefetch(1).unbatch()
        # The last batch ends the pass, so it is not read ahead: a pass ends when its
        # last batch is taken. Asking after each batch would cost a tenth of a small
        # step.
        last = tf.data.Dataset.range(1).map(
            lambda _: in_graph(fetch_last, [epoch], is_chunk=False)
        )
        return batches.prefetch(_READ_AHEAD).concatenate(last)

    dataset = tf.data.Dataset.range(1)
    dataset = dataset.map(lambda _: tf.numpy_function(begin, [_], tf.int64))
    dataset = dataset.flat_map(one_pass)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(n_steps))
    options = tf.data.Options()
    # TensorFlow 2.21: with nothing to tune it still takes a third of a small step.
    options.autotune.enabled = False
    return dataset.with_options(options)
