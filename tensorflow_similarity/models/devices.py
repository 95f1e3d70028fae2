"""What several devices cannot do, said before they fail in their own words."""

from typing import Any

import keras
import numpy as np

from tensorflow_similarity._core.embedding import n_replicas

# What Keras takes for arrays if it is not told.
KERAS_BATCH_SIZE = 32


def check_compilable(model: Any) -> None:
    """Raises ValueError if the model's replicas cannot be compiled by XLA.

    Keras 3.15 compiles the step of all replicas as one program, which may not reach the
    variables of more than one device.
    """
    replicas = n_replicas(model)
    if replicas > 1:
        raise ValueError(
            "`jit_compile=True` cannot run on several replicas: Keras compiles them as "
            f"one program. Received: a model of {replicas} replicas. Compile it with "
            "`jit_compile=False`."
        )


def check_even(x: Any, batch_size: int | None) -> None:
    """Raises ValueError for arrays whose batches JAX cannot split over its devices.

    Keras 3.15 would raise within the step, and leave the model without its weights.

    Args:
        x: what `fit` or `evaluate` is given.
        batch_size: what it is told.
    """
    if keras.backend.backend() != "jax":
        return
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, keras.distribution.DataParallel):
        return
    first = keras.tree.flatten(x)[0]
    if not hasattr(first, "shape"):
        return
    n_devices = int(np.prod(distribution.device_mesh.shape))
    size = min(batch_size or KERAS_BATCH_SIZE, len(first))
    uneven = [n for n in (size, len(first) % size) if n % n_devices]
    if uneven:
        raise ValueError(
            f"JAX splits each batch evenly over {n_devices} devices. Received: "
            f"{len(first)} examples in batches of {size}, so one of {uneven[0]}. Give "
            f"a multiple of {n_devices} examples, and such a `batch_size`."
        )
