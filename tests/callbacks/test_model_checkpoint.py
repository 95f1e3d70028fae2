"""Checkpoints with and without the index."""

import keras
import numpy as np
import pytest

from tensorflow_similarity.callbacks import ModelCheckpoint
from tensorflow_similarity.losses import TripletLoss
from tensorflow_similarity.models import SimilarityModel

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

LABELS = np.arange(12) % 4
ROWS = np.random.default_rng(2).normal(size=(12, 5)).astype("float32")


@pytest.fixture
def model():
    inputs = keras.Input((5,))
    model = SimilarityModel(inputs, keras.layers.Dense(4)(inputs))
    model.compile("sgd", loss=TripletLoss("euclidean", margin=1.0))
    model.index(ROWS, LABELS, verbose=0)
    return model


def fit(model, checkpoint, epochs=1):
    model.fit(
        ROWS, LABELS, batch_size=6, epochs=epochs, callbacks=[checkpoint], verbose=0
    )


@pytest.mark.parametrize("save_index", [True, False])
def test_the_index_goes_along_or_stays(model, save_index, tmp_path):
    path = tmp_path / "model.keras"
    checkpoint = ModelCheckpoint(path, save_index, monitor="loss", save_best_only=True)
    fit(model, checkpoint)
    assert checkpoint.best is not None
    again = keras.models.load_model(path)
    assert again.index_size() == (12 if save_index else 0)
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.compiled and model.index_size() == 12


def test_keras_arguments_do_what_they_do(model, tmp_path):
    path = str(tmp_path / "{epoch}.weights.h5")
    fit(model, ModelCheckpoint(path, save_index=False, save_weights_only=True), 2)
    path = str(tmp_path / "at-{batch}.keras")
    fit(model, ModelCheckpoint(path, save_index=False, save_freq=1))
    assert {p.name for p in tmp_path.iterdir()} == {
        "1.weights.h5",
        "2.weights.h5",
        "at-1.keras",
        "at-2.keras",
    }
    assert keras.models.load_model(tmp_path / "at-1.keras").index_size() == 0


def test_models_without_an_index_are_saved_as_keras_does(tmp_path):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4)])
    model.compile("sgd", loss="mse")
    path = tmp_path / "model.keras"
    model.fit(ROWS, ROWS[:, :4], callbacks=[ModelCheckpoint(path)], verbose=0)
    assert path.exists()
    checkpoint = ModelCheckpoint(path, save_index=False)
    with pytest.raises(ValueError, match="`save_index=False` is for a `Simil"):
        checkpoint.set_model(model)


def test_hdf5_is_refused_before_the_first_epoch(model, tmp_path):
    with pytest.raises(ValueError, match="under a name in '.keras'"):
        ModelCheckpoint(tmp_path / "model.h5").set_model(model)
