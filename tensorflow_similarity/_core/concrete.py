"""Values that can be looked at now, in Python, before anything runs."""

from typing import Any

import keras
import numpy as np

from tensorflow_similarity.types import Tensor


def concrete(x: Tensor) -> np.ndarray | None:
    """The values of a tensor; None within a graph, and where looking would cost.

    Looking at a torch tensor on an accelerator makes the program wait for it.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        if torch.compiler.is_compiling() or x.device.type != "cpu":
            return None
        values: np.ndarray = x.detach().numpy()
        return values
    if backend == "jax":
        import jax

        return None if isinstance(x, jax.core.Tracer) else np.asarray(x)
    return np.asarray(x.numpy()) if hasattr(x, "numpy") else None


def is_state(variable: Any) -> bool:
    """Whether assigning to a Keras variable here and now reaches the variable.

    On JAX what is assigned within a compiled function is lost, and poisons the
    variable, unless the function was handed the variable's value as its state.
    """
    if keras.backend.backend() != "jax":
        return True
    import jax

    return isinstance(variable.value, jax.core.Tracer)
