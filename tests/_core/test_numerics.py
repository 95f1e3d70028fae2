"""Masked and safe arithmetic: values, gradients, and nothing but finite numbers."""

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity._core import numerics
from tests.gradients import HAS_FLOAT64, to_numpy, value_and_grad

pytestmark = pytest.mark.backend_smoke

DTYPES = ["float32", "float64"] if HAS_FLOAT64 else ["float32"]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float16", "float32"),
        ("bfloat16", "float32"),
        ("int64", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
def test_computes_in_float32_at_least(dtype, expected):
    assert numerics.compute_dtype(dtype) == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "uint8", "bool"])
def test_narrow_input_becomes_float32(dtype):
    x = numerics.to_float(ops.cast(ops.array([0, 1]), dtype))
    assert keras.backend.standardize_dtype(x.dtype) == "float32"


@pytest.mark.parametrize("dtype", DTYPES)
def test_epsilon_and_largest_belong_to_the_dtype(dtype):
    assert numerics.epsilon_of(dtype) == np.finfo(dtype).eps
    assert np.isfinite(np.dtype(dtype).type(numerics.largest_of(dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_safe_sqrt_has_gradient_zero_at_and_below_zero(dtype):
    x = np.array([4.0, 0.0, -1.0], dtype)
    value, (gradient,) = value_and_grad(lambda t: ops.sum(numerics.safe_sqrt(t)), x)
    assert value == 2.0
    np.testing.assert_array_equal(gradient, [0.25, 0.0, 0.0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1.0, 1e25])
def test_l2_normalize_gives_length_one_at_every_scale(dtype, scale):
    x = (np.array([[3.0, -4.0], [1.0, 0.0]]) * scale).astype(dtype)
    result = to_numpy(numerics.l2_normalize(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(result, [[0.6, -0.8], [1, 0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_l2_normalize_leaves_a_zero_row_with_gradient_zero(dtype):
    x = np.array([[0.0, 0.0], [3.0, 4.0]], dtype)
    weights = np.array([[1.0, 2.0], [1.0, 2.0]], dtype)
    value, (gradient,) = value_and_grad(
        lambda t: ops.sum(numerics.l2_normalize(t) * ops.convert_to_tensor(weights)), x
    )
    # d(w . x/|x|)/dx = (w - (w . u) u) / |x| with u = (0.6, 0.8), w . u = 2.2
    np.testing.assert_allclose(value, 2.2, rtol=1e-6)
    expected = [[0.0, 0.0], [(1 - 2.2 * 0.6) / 5, (2 - 2.2 * 0.8) / 5]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_l2_normalize_takes_any_axis():
    x = np.array([[[3.0, 1.0], [4.0, 0.0]]], "float32")
    result = to_numpy(numerics.l2_normalize(ops.convert_to_tensor(x), axis=1))
    np.testing.assert_allclose(result, [[[0.6, 1.0], [0.8, 0.0]]], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [1, 3, 64, 2000])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_equal_rows_are_at_squared_distance_zero(dtype, dim, scale):
    rows = np.random.default_rng(1).normal(size=(20, dim)) * scale + scale
    x = ops.convert_to_tensor(rows.astype(dtype))
    squared = to_numpy(numerics.pairwise_squared(x, x))
    np.testing.assert_array_equal(np.diag(squared), 0.0)
    assert (squared >= 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_pairwise_squared_agrees_with_a_loop(dtype):
    generator = np.random.default_rng(2)
    q = generator.normal(size=(5, 7)).astype(dtype)
    k = generator.normal(size=(3, 7)).astype(dtype)
    expected = [[sum((a - b) ** 2) for b in k.astype(float)] for a in q.astype(float)]
    squared = numerics.pairwise_squared(*map(ops.convert_to_tensor, (q, k)))
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(to_numpy(squared), expected, rtol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_extremes_and_whether_there_were_any(dtype):
    values = ops.convert_to_tensor(np.array([[1.0, -5.0, 3.0]] * 3, dtype))
    mask = ops.array([[True, True, False], [False, True, False], [False] * 3])
    largest, some = numerics.masked_max(values, mask)
    smallest, same = numerics.masked_min(values, mask)
    np.testing.assert_array_equal(to_numpy(largest), [1.0, -5.0, 0.0])
    np.testing.assert_array_equal(to_numpy(smallest), [-5.0, -5.0, 0.0])
    np.testing.assert_array_equal(to_numpy(some), [True, True, False])
    np.testing.assert_array_equal(to_numpy(same), [True, True, False])
    assert keras.backend.standardize_dtype(largest.dtype) == dtype


def test_masked_extremes_send_no_gradient_through_the_mask():
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")
    mask = np.array([[True, True, False], [False] * 3])
    _, (gradient,) = value_and_grad(
        lambda t: ops.sum(numerics.masked_max(t, ops.array(mask))[0]), values
    )
    np.testing.assert_array_equal(gradient, [[0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_log1p_sum_exp_is_stable_and_masks_first(dtype):
    values = np.array(
        [[0.0, 1.0, 9e9], [800.0, 801.0, 9e9], [-800.0, -9e9, 9e9], [1.0, 2.0, 3.0]],
        dtype,
    )
    mask = np.array([[True, True, False]] * 3 + [[False] * 3])
    value, (gradient,) = value_and_grad(
        lambda t: ops.sum(numerics.masked_log1p_sum_exp(t, ops.array(mask))), values
    )
    each = to_numpy(
        numerics.masked_log1p_sum_exp(ops.convert_to_tensor(values), ops.array(mask))
    )
    expected = [np.log(2 + np.e), 801 + np.log1p(np.exp(-1)), 0.0, 0.0]
    np.testing.assert_allclose(each, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(value, sum(expected), rtol=1e-6)
    two, e = 2 + np.e, 1 / (1 + np.exp(-1))
    softmax = [[1 / two, np.e / two, 0], [1 - e, e, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(gradient, softmax, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_sum_exp_is_stable_and_tells_an_empty_mask(dtype):
    values = np.array(
        [[0.0, 1.0, 9e9], [800.0, 801.0, 9e9], [-800.0, -801.0, 9e9], [1.0, 2.0, 3.0]],
        dtype,
    )
    mask = ops.array([[True, True, False]] * 3 + [[False] * 3])
    each, some = numerics.masked_log_sum_exp(ops.convert_to_tensor(values), mask)
    e = np.log1p(np.exp(-1))
    expected = [1 + e, 801 + e, -800 + e, 0]
    np.testing.assert_allclose(to_numpy(each), expected, rtol=1e-6, atol=1e-12)
    assert to_numpy(some).tolist() == [True, True, True, False]
    value, (gradient,) = value_and_grad(
        lambda t: ops.sum(numerics.masked_log_sum_exp(t, mask)[0]), values
    )
    np.testing.assert_allclose(value, sum(expected), rtol=1e-4)
    e = 1 / (1 + np.exp(-1))
    softmax = [[1 - e, e, 0], [1 - e, e, 0], [e, 1 - e, 0], [0, 0, 0]]
    np.testing.assert_allclose(gradient, softmax, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spread", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("width", [1, 3, 12])
def test_cumulative_log_sum_exp_holds_for_any_range(width, spread, dtype):
    values = np.random.default_rng(6).normal(size=12).astype(dtype) * spread
    values[[0, 5]] = -numerics.largest_of(dtype)
    actual = to_numpy(numerics.cumulative_log_sum_exp(ops.array(values), width))
    expected = np.logaddexp.accumulate(values.astype(float))
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
