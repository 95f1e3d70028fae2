"""Batches split over the replicas of a `tf.distribute` strategy, made whole again.

JAX's data parallelism shows a loss the global batch, so only TensorFlow needs this,
and TensorFlow is imported only where it is the backend.
"""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity.types import Tensor


def has_strategy() -> bool:
    """Whether the code runs under a `tf.distribute` strategy, in a replica or not."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.distribute.has_strategy())


def n_replicas() -> int:
    """How many replicas share the running step; 1 outside a replica's own code."""
    context = _context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def gather(*tensors: Tensor) -> list[Tensor]:
    """Rows of all replicas, in the order of the replicas, on each replica.

    The replicas may have different numbers of rows. Gradients flow back to the replica
    that a row came from, summed over the replicas.
    """
    context = _context()
    if context is None:
        return list(tensors)
    whole = [context.all_gather(tensor, axis=0) for tensor in tensors]
    for gathered, tensor in zip(whole, tensors, strict=True):
        # In a graph `all_gather` forgets the widths.
        gathered.set_shape((None, *tensor.shape[1:]))
    return whole


def own_rows(gathered: Tensor, n_rows: Any) -> Tensor:
    """This replica's rows of what `gather` returned; it had put in `n_rows`."""
    context = _context()
    if context is None:
        return gathered
    counts = context.all_gather(ops.reshape(n_rows, (1,)), axis=0)
    start = ops.sum(counts[: context.replica_id_in_sync_group])
    return gathered[start : start + n_rows]


def _context() -> Any:
    """The replica context if it has company, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context
