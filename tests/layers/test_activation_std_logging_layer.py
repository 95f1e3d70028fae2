"""The layer's figure in the history of whole trainings, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity.layers import ActivationStdLoggingLayer
from tests.gradients import to_numpy

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def reading(x):
    rows = x / np.sqrt((x.astype(float) ** 2).sum(axis=-1, keepdims=True))
    return np.sqrt(((rows - rows.mean(axis=0)) ** 2).mean(axis=0)).mean()


def data():
    x = np.random.default_rng(5).normal(size=(12, 4)).astype("float32")
    return x, np.zeros((12, 3), "float32")


def small_model(nested=False, jit_compile=False):
    """Frozen, so that the figure of every epoch is known beforehand."""
    inputs = keras.Input((4,))
    body = ActivationStdLoggingLayer("proj_std")(inputs)
    if nested:
        body = keras.Model(inputs, body)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(body))
    optimizer = keras.optimizers.SGD(1e-3)
    model.compile(optimizer, "mse", jit_compile=jit_compile)
    return model


@pytest.mark.parametrize("case", ["plain", "nested", "jit"])
def test_fit_and_evaluate_report_the_mean_of_the_batches(case):
    jit = case == "jit" and keras.backend.backend() != "torch"
    model = small_model(nested=case == "nested", jit_compile=jit)
    x, y = data()
    history = model.fit(
        x,
        y,
        batch_size=6,
        epochs=2,
        shuffle=False,
        validation_data=(x[:4], y[:4]),
        verbose=0,
    ).history
    expected = (reading(x[:6]) + reading(x[6:])) / 2
    np.testing.assert_allclose(history["proj_std"], [expected] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["val_proj_std"], reading(x[:4]), rtol=1e-5)
    found = model.evaluate(x, y, batch_size=12, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["proj_std"], reading(x), rtol=1e-5)


def test_saves_nothing_and_logs_on_after_loading(tmp_path):
    model = small_model()
    x, y = data()
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    layer = again.get_layer("proj_std")
    assert isinstance(layer, ActivationStdLoggingLayer)
    assert layer.weights == [] and layer.count_params() == 0
    assert len(again.get_weights()) == 2
    history = again.fit(x, y, batch_size=12, verbose=0).history
    np.testing.assert_allclose(history["proj_std"], reading(x), rtol=1e-5)


def test_any_rank_is_normalised_along_the_last_axis():
    x = np.random.default_rng(6).normal(size=(5, 3, 4)).astype("float32")
    layer = ActivationStdLoggingLayer(name="std")
    y = layer(ops.array(x))
    np.testing.assert_array_equal(to_numpy(y), x)
    np.testing.assert_allclose(float(layer.metrics[0].result()), reading(x), rtol=1e-5)


@pytest.mark.parametrize(
    "x", [np.zeros((3, 2)), np.ones((3, 2)), np.full((1, 2), 1e30)]
)
def test_stays_finite(x):
    layer = ActivationStdLoggingLayer("std")
    layer(ops.convert_to_tensor(x.astype("float32")))
    assert float(layer.metrics[0].result()) == pytest.approx(0.0, abs=1e-6)


def test_passes_dtype_and_mask_on_under_narrow_policies():
    layer = ActivationStdLoggingLayer("std", dtype="mixed_float16")
    x = ops.convert_to_tensor(np.full((2, 4), 1e6, "float32"))
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    spec = layer(keras.KerasTensor((None, 4), dtype="float32"))
    assert (spec.shape, spec.dtype) == ((None, 4), "float32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(ops.array([[1, 0]]))
    passed = ActivationStdLoggingLayer("std2")(embedded)
    np.testing.assert_array_equal(to_numpy(passed._keras_mask), [[True, False]])


def test_config_and_name():
    layer = ActivationStdLoggingLayer("pred_std")
    again = ActivationStdLoggingLayer.from_config(layer.get_config())
    assert again.name == again.metrics[0].name == "pred_std"
    with pytest.raises(TypeError, match="name"):
        ActivationStdLoggingLayer()
