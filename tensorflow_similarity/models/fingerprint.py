"""Which weights made an embedding."""

import hashlib

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
