"""A small trained-looking model and data that every backend can make in a moment."""

import keras
import numpy as np
import pytest
from keras import layers

from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.models import SimilarityModel


def small_model(dim=8, loss=None, compiled=True, **settings):
    inputs = keras.Input((4, 4, 1))
    x = layers.Flatten()(inputs)
    outputs = MetricEmbedding(dim)(layers.Dense(16, activation="relu")(x))
    model = SimilarityModel(inputs, outputs)
    if compiled:
        model.compile("adam", loss=loss or MultiSimilarityLoss(), **settings)
    return model


@pytest.fixture
def data():
    """60 pictures (n, 4, 4) of 6 classes, classes apart."""
    rng = np.random.default_rng(3)
    y = np.arange(60) % 6
    x = rng.normal(size=(6, 4, 4))[y] + 0.1 * rng.normal(size=(60, 4, 4))
    return x.astype("float32"), y


@pytest.fixture
def model():
    return small_model()


@pytest.fixture
def indexed(model, data):
    x, y = data
    model.index(x, y, data=x, verbose=0)
    return model
