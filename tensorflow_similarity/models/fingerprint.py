"""Which weights made an embedding."""

import hashlib
from typing import Any

import keras

from tensorflow_similarity._core import doors


def fingerprint(model: keras.Model) -> str:
    """A text that two models share when their weights are equal, bit for bit.

    Weights of losses do not count: they make no embedding.
    """
    digest = hashlib.sha256()
    loss_layers = getattr(model, "loss_layers", None)
    of_losses = {id(w) for w in loss_layers.weights} if loss_layers else set()
    for weight in model.weights:
        if id(weight) in of_losses:
            continue
        value = doors.as_array(keras.ops.convert_to_numpy(weight))
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def steps_taken(model: Any) -> int:
    """Training steps that the model's optimizer has made; 0 without one."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return 0
    try:
        return int(optimizer.iterations)
    except TypeError:
        # A variable of `tf.distribute` is no number; a sum with it is.
        return int(keras.ops.convert_to_tensor(optimizer.iterations) + 0)
