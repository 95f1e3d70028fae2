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
    n_chunks = -(-n_steps // n_chunk)

    def begin(_: np.ndarray) -> np.int64:
        if sampler.steps_per_epoch != n_steps:
            raise RuntimeError(
                f"This dataset was made for steps_per_epoch={n_steps}, but the "
                f"sampler now has {sampler.steps_per_epoch}. Call `as_tf_dataset` "
                "again."
            )
        return np.int64(sampler.epoch)

    def fetch(epoch: np.ndarray, number: np.ndarray) -> list[np.ndarray]:
        first = int(number) * n_chunk
        rows = sampler._plan(int(epoch))[first : first + n_chunk]
        batches = sampler._batch(int(epoch), rows.reshape(-1))
        if number == n_chunks // 2:
            sampler._plan_ahead(int(epoch) + 1)
        flat = [np.asarray(leaf) for leaf in tf.nest.flatten(batches)]
        if n_chunk == 1:
            return flat
        return [leaf.reshape(len(rows), -1, *leaf.shape[1:]) for leaf in flat]

    def end(epoch: np.ndarray) -> np.bool_:
        sampler._end_pass(int(epoch))
        return np.True_

    def fetch_in_graph(epoch: tf.Tensor, number: tf.Tensor) -> Any:
        tensors = tf.numpy_function(fetch, [epoch, number], [v.dtype for v in leaves])
        for tensor, leaf in zip(tensors, leaves, strict=True):
            shape = leaf.shape if plain else (None, *leaf.shape[1:])
            tensor.set_shape(shape if n_chunk == 1 else (None, *shape))
        return tf.nest.pack_sequence_as(structure, tensors)

    def one_pass(epoch: tf.Tensor) -> tf.data.Dataset:
        epoch.set_shape(())
        chunks = tf.data.Dataset.range(n_chunks).map(
            lambda number: fetch_in_graph(epoch, number),
            num_parallel_calls=sampler.workers if sampler.workers > 1 else None,
        )
        batches = chunks if n_chunk == 1 else chunks.prefetch(1).unbatch()

        def end_with_the_last(index: tf.Tensor, batch: Any) -> Any:
            ended = tf.cond(
                index == n_steps - 1,
                lambda: tf.numpy_function(end, [epoch], tf.bool),
                lambda: False,
            )
            with tf.control_dependencies([ended]):
                return tf.nest.map_structure(tf.identity, batch)

        # Behind the prefetch: what was read ahead but never taken ends no pass.
        return batches.prefetch(_READ_AHEAD).enumerate().map(end_with_the_last)

    dataset = tf.data.Dataset.range(1)
    dataset = dataset.map(lambda _: tf.numpy_function(begin, [_], tf.int64))
    dataset = dataset.flat_map(one_pass)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(n_steps))
    options = tf.data.Options()
    # TensorFlow 2.21: with nothing to tune it still takes a third of a small step.
    options.autotune.enabled = False
    return dataset.with_options(options)
