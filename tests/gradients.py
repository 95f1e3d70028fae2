"""Values and gradients on whichever backend Keras runs, as NumPy arrays."""

import functools

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()

_float64 = ops.convert_to_tensor(np.zeros((), "float64")).dtype
HAS_FLOAT64 = keras.backend.standardize_dtype(_float64) == "float64"


def value_and_grad(fn, *arrays, compiled=False):
    """`fn(*tensors)`, a scalar, and its gradient by each array.

    `compiled` runs it through XLA or `torch.compile`. JAX always compiles: step by step
    it would compile every operation on its own, a hundred times slower.

    Returns:
        The value as a NumPy scalar array, and a list of arrays shaped as `arrays`.
    """
    run = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[BACKEND]
    value, gradients = run(fn, arrays, compiled)
    return to_numpy(value), [to_numpy(g) for g in gradients]


def evaluate(fn, *arrays):
    """`fn(*tensors)` as a NumPy array; compiled only on JAX, as above."""
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    return to_numpy((_jitted(fn) if BACKEND == "jax" else fn)(*tensors))


def to_numpy(x):
    """A tensor as an array."""
    if BACKEND == "torch":
        # Keras 3.15 would go through `__array__`, at which NumPy 2 warns.
        return x.detach().cpu().numpy()
    return np.asarray(x)


def compiled(fn):
    """`fn` as the backend compiles it."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(fn, jit_compile=True)
    if BACKEND == "jax":
        import jax

        return jax.jit(fn)
    import torch

    # Traces as the default does, without the minute that a C++ compiler takes.
    return torch.compile(fn, backend="aot_eager", dynamic=False)


def _tensorflow(fn, arrays, compile):
    import tensorflow as tf

    def step(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = fn(*tensors)
        zero = tf.UnconnectedGradients.ZERO
        return value, tape.gradient(value, tensors, unconnected_gradients=zero)

    tensors = [tf.convert_to_tensor(array) for array in arrays]
    return (compiled(step) if compile else step)(*tensors)


def _jax(fn, arrays, compile):
    step = _jitted(fn, n_gradients=len(arrays))
    return step(*[ops.convert_to_tensor(array) for array in arrays])


@functools.cache
def _jitted(fn, n_gradients=0):
    """Compiled once for each shape, if the test hands in the same `fn` again."""
    import jax

    if n_gradients:
        fn = jax.value_and_grad(fn, argnums=tuple(range(n_gradients)))
    return jax.jit(fn)


def _torch(fn, arrays, compile):
    import torch

    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    value = (compiled(fn) if compile else fn)(*tensors)
    gradients = torch.autograd.grad(
        value, tensors, allow_unused=True, materialize_grads=True
    )
    return value.detach(), gradients
