"""Digits as MNIST has them, without the network, and a small network for them."""

import numpy as np

CLASSES = [2, 3, 1, 7, 9, 6, 8, 5, 0, 4]
KNOWN = CLASSES[:6]


def load_data():
    """(n, 28, 28) and (n,), uint8, for training and for tests, as Keras has it."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = np.kron(digits.images / 16 * 255, np.ones((1, 3, 3)))
    x = np.pad(x, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    y = digits.target.astype(np.uint8)
    return (x[:1300], y[:1300]), (x[1300:], y[1300:])


def get_model(tfsim, layers):
    """The notebooks' own, with fewer channels."""
    inputs = layers.Input(shape=(28, 28, 1))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.MaxPool2D()(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.Flatten()(x)
    outputs = tfsim.layers.MetricEmbedding(64)(x)
    return tfsim.models.SimilarityModel(inputs, outputs)
