"""MetricEmbedding: rows of length 1, float32 under narrow policies, saved, loaded."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity import layers
from tensorflow_similarity.layers import MetricEmbedding
from tests import reference
from tests.gradients import evaluate, to_numpy, value_and_grad

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16", "float16"])
def narrow_policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def dtype_of(x):
    return keras.backend.standardize_dtype(x.dtype)


def test_every_public_layer_has_a_test_file():
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    tested = {
        "ActivationStdLoggingLayer": "test_activation_std_logging_layer.py",
        "GeneralizedMeanPooling": "test_pooling.py",
        "GeneralizedMeanPooling1D": "test_pooling.py",
        "GeneralizedMeanPooling2D": "test_pooling.py",
        "MetricEmbedding": "test_metric_embedding.py",
    }
    assert set(tested) == set(layers.__all__)
    assert set(tested.values()) <= files


def test_is_dense_and_then_length_one_in_value_and_gradient():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(4, 3)).astype("float32")
    weights = generator.normal(size=(4, 2)).astype("float32")
    layer = MetricEmbedding(2, activation="tanh", bias_initializer="ones")
    layer.build((None, 3))
    kernel = to_numpy(layer.kernel.value).astype(float)

    def rows(z):
        dense = np.tanh(z @ kernel + 1.0)
        return dense / np.sqrt((dense * dense).sum(axis=1, keepdims=True))

    np.testing.assert_allclose(evaluate(layer, x), rows(x), rtol=1e-5)
    expected = reference.gradient(lambda z: (weights * rows(z)).sum(), x)
    value, (gradient,) = value_and_grad(
        lambda t: ops.sum(layer(t) * ops.convert_to_tensor(weights)), x
    )
    atol = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=atol)


def test_zero_row_stays_zero_with_finite_gradient():
    layer = MetricEmbedding(3)
    x = np.array([[0.0, 0.0], [1.0, 2.0]], "float32")
    layer.build((None, 2))
    np.testing.assert_array_equal(evaluate(layer, x)[0], 0.0)
    _, (gradient,) = value_and_grad(lambda t: ops.sum(layer(t)), x)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0], 0.0)


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (2, 3, 5, 4)])
def test_normalises_the_last_axis_of_any_rank(shape):
    layer = MetricEmbedding(6)
    x = np.random.default_rng(6).normal(size=shape).astype("float32")
    layer.build(shape)
    y = evaluate(layer, x)
    assert y.shape == (*shape[:-1], 6)
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), 1.0, rtol=1e-5)
    spec = layer.compute_output_spec(keras.KerasTensor(shape))
    assert spec.shape == y.shape and spec.dtype == y.dtype


def test_float32_under_narrow_global_policies(narrow_policy):
    layer = MetricEmbedding(64)
    assert layer.compute_dtype == "float32"
    inputs = keras.Input((16,))
    hidden = keras.layers.Dense(32)(inputs)
    model = keras.Model(inputs, layer(hidden))
    assert model.output.dtype == "float32"
    y = model(ops.ones((2, 16)))
    assert dtype_of(y) == "float32"
    np.testing.assert_allclose(np.linalg.norm(to_numpy(y), axis=1), 1.0, rtol=1e-6)


def test_an_explicit_dtype_is_kept(narrow_policy):
    layer = MetricEmbedding(8, dtype="mixed_float16")
    output = layer(ops.ones((2, 4)))
    assert dtype_of(output) == "float16"
    assert layer.compute_output_spec(keras.KerasTensor((2, 4))).dtype == "float16"


def test_float16_output_is_normalised_in_float32():
    # The squares of 300 overflow float16.
    layer = MetricEmbedding(2, dtype="float16", kernel_initializer="identity")
    output = to_numpy(layer(ops.cast(ops.array([[300.0, 400.0]]), "float16")))
    np.testing.assert_allclose(output, [[0.6, 0.8]], rtol=1e-3)


def test_config_keeps_the_arguments_of_dense():
    layer = MetricEmbedding(
        7, activation="relu", use_bias=False, kernel_regularizer="l2", name="head"
    )
    again = MetricEmbedding.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.units, again.use_bias, again.name) == (7, False, "head")


def test_saves_and_loads_in_a_functional_model(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, MetricEmbedding(3)(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.layers[-1], MetricEmbedding)
    x = np.random.default_rng(7).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(evaluate(again, x), evaluate(model, x), rtol=1e-6)


def test_saved_under_a_narrow_policy_it_stays_float32(tmp_path, narrow_policy):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, MetricEmbedding(3)(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[-1].compute_dtype == "float32"


def test_units_below_one_are_refused():
    with pytest.raises(ValueError, match="units"):
        MetricEmbedding(0)
