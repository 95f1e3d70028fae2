"""Generalized mean pooling against loops, in value and gradient."""

import json
import math

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity.layers import (
    GeneralizedMeanPooling,
    GeneralizedMeanPooling1D,
    GeneralizedMeanPooling2D,
)
from tests import reference
from tests.gradients import evaluate, to_numpy, value_and_grad

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

POWERS = [3.0, 1.0, 0.5, 0.01, 0.0, -0.05, -2.0, 40.0, math.inf, -math.inf]


def power_mean(values, p):
    """Of the numbers at all positions of one example and channel."""
    lowest = min(values, key=lambda v: complex(v).real)
    z = [v - lowest + 1.0 for v in values]
    if p == math.inf:
        pooled = max(z, key=lambda v: complex(v).real)
    elif p == -math.inf:
        pooled = min(z, key=lambda v: complex(v).real)
    elif p == 0:
        pooled = np.exp(sum(np.log(v) for v in z) / len(z))
    else:
        pooled = (sum(v**p for v in z) / len(z)) ** (1 / p)
    return pooled + lowest - 1.0


def pooled(x, p):
    """(batch, ..., channels) to (batch, channels)."""
    x = x if np.iscomplexobj(x) else x.astype(float)
    rows = x.reshape(len(x), -1, x.shape[-1])
    return np.array(
        [
            [power_mean(list(rows[b, :, c]), p) for c in range(rows.shape[2])]
            for b in range(len(rows))
        ]
    )


def pictures(shape=(2, 3, 2, 3), seed=3):
    return np.random.default_rng(seed).normal(size=shape, scale=2.0).astype("float32")


@pytest.mark.parametrize("p", POWERS)
def test_agrees_with_loops_in_value_and_gradient(p):
    x, layer = pictures(), GeneralizedMeanPooling2D(p)
    weights = np.random.default_rng(4).normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(evaluate(layer, x), pooled(x, p), rtol=1e-4, atol=1e-5)
    expected = reference.gradient(lambda z: (weights * pooled(z, p)).sum(), x)
    _, (gradient,) = value_and_grad(
        lambda t: ops.sum(layer(t) * ops.convert_to_tensor(weights)), x
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("p", [3.0, math.inf])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2])
def test_shapes_and_data_formats(rank, data_format, keepdims, p):
    cls = GeneralizedMeanPooling1D if rank == 1 else GeneralizedMeanPooling2D
    x = pictures((2, 5, 4)) if rank == 1 else pictures()
    expected = pooled(x, p)
    first = data_format == "channels_first"
    if keepdims:
        ones = (1,) * rank
        expected = expected.reshape((2, -1, *ones) if first else (2, *ones, -1))
    layer = cls(p, data_format, keepdims)
    y = evaluate(layer, np.moveaxis(x, -1, 1) if first else x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    channels = x.shape[-1]
    unknown = (None,) * rank
    shape = (None, channels, *unknown) if first else (None, *unknown, channels)
    spec = layer.compute_output_spec(keras.KerasTensor(shape))
    assert spec.shape == (None, *expected.shape[1:])


@pytest.mark.parametrize("p", [3.0, math.inf, -math.inf, 0.0])
def test_a_model_takes_pictures_of_any_size(p):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, GeneralizedMeanPooling2D(p)(inputs))
    assert model.output_shape == (None, 3)
    for size in ((2, 3), (4, 1)):
        x = pictures((2, *size, 3))
        y = model.predict(x, verbose=0)
        np.testing.assert_allclose(y, pooled(x, p), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("p", [3.0, -3.0, 0.001, 100.0, math.inf])
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 3, 3, 1)),
        np.full((2, 3, 3, 1), -7.0),
        pictures() * 1e5,
        pictures((2, 1, 1, 4)),
    ],
    ids=["zeros", "equal", "large", "one position"],
)
def test_value_and_gradient_stay_finite(x, p):
    layer = GeneralizedMeanPooling2D(p)
    x = x.astype("float32")
    value, (gradient,) = value_and_grad(lambda t: ops.sum(layer(t)), x)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient.sum(), evaluate(layer, x).size, rtol=1e-2)


def test_masked_steps_leave_the_mean():
    x = pictures((3, 5, 2))
    mask = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    for p in POWERS:
        layer = GeneralizedMeanPooling1D(p)
        y = to_numpy(layer(ops.array(x), mask=ops.array(mask)))
        expected = pooled(x[:1, :2], p)
        np.testing.assert_allclose(y[:1], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(y[1:2], pooled(x[1:2], p), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(y[2], 0.0)
        _, (gradient,) = value_and_grad(
            lambda t, layer=layer: ops.sum(layer(t, mask=ops.array(mask))), x
        )
        assert np.isfinite(gradient).all()
        np.testing.assert_array_equal(gradient[~mask], 0.0)


def test_masks_of_embedded_texts_are_used():
    tokens = np.array([[1, 2, 0, 0], [3, 4, 5, 6]])
    embedding = keras.layers.Embedding(7, 3, mask_zero=True)
    model = keras.Sequential([keras.Input((4,)), embedding, GeneralizedMeanPooling1D()])
    rows = to_numpy(embedding(ops.array(tokens)))
    y = model.predict(tokens, verbose=0)
    np.testing.assert_allclose(y[:1], pooled(rows[:1, :2], 3.0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[1:], pooled(rows[1:], 3.0), rtol=1e-4, atol=1e-5)


def test_float16_is_computed_in_float32():
    # 200 to the third overflows float16.
    x = np.round(pictures() * 100.0).astype("float16")
    layer = GeneralizedMeanPooling2D(dtype="float16")
    y = to_numpy(layer(ops.convert_to_tensor(x)))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, pooled(x.astype(float), 3.0), rtol=1e-3)
    y = GeneralizedMeanPooling2D(dtype="mixed_float16")(ops.ones((1, 2, 2, 1)))
    assert keras.backend.standardize_dtype(y.dtype) == "float16"


@pytest.mark.parametrize("cls", [GeneralizedMeanPooling1D, GeneralizedMeanPooling2D])
def test_saves_and_loads(cls, tmp_path):
    rank = 1 if cls is GeneralizedMeanPooling1D else 2
    inputs = keras.Input((3,) * rank + (4,))
    model = keras.Model(
        inputs, cls(math.inf, "channels_last", True, name="gem")(inputs)
    )
    config = model.get_layer("gem").get_config()
    assert json.loads(json.dumps(config)) == config
    assert (config["p"], config["keepdims"]) == (math.inf, True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_layer("gem").get_config() == config


def test_the_base_pools_nothing():
    with pytest.raises(NotImplementedError, match="GeneralizedMeanPooling1D"):
        GeneralizedMeanPooling()(ops.ones((2, 3, 4)))


def test_wrong_arguments_and_ranks_are_refused():
    with pytest.raises(ValueError, match="`data_format` must be"):
        GeneralizedMeanPooling1D(data_format="first")
    for p in ("3", math.nan):
        with pytest.raises(ValueError, match="`p` must be a number"):
            GeneralizedMeanPooling2D(p)
    with pytest.raises(ValueError, match="ndim"):
        GeneralizedMeanPooling2D()(ops.ones((2, 3, 4)))
