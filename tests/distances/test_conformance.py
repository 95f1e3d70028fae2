"""What every distance keeps, and its float64 reading of the formula."""

import json
import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tensorflow_similarity import distances
from tests import reference
from tests.gradients import BACKEND, HAS_FLOAT64, evaluate, value_and_grad

pytestmark = pytest.mark.backend_smoke

# Class to its formula in `tests/reference.py`. A new distance goes in here.
REFERENCES = {
    distances.CosineDistance: "cosine",
    distances.EuclideanDistance: "euclidean",
    distances.SquaredEuclideanDistance: "squared_euclidean",
    distances.ManhattanDistance: "manhattan",
    distances.InnerProductSimilarity: "inner_product",
    distances.SNRDistance: "snr",
}
CLASSES = list(REFERENCES)
ZERO_ON_ITSELF = [c for c in CLASSES if c is not distances.InnerProductSimilarity]
SYMMETRIC = [c for c in CLASSES if c is not distances.SNRDistance]
DTYPES = ["float32", "float64"] if HAS_FLOAT64 else ["float32"]


def batch(dtype, n_queries=4, n_keys=5, dim=6):
    """Rows of unequal norms, one equal pair, one zero row on each side."""
    generator = np.random.default_rng(7)
    query = generator.normal(size=(n_queries, dim)) * [[0.1], [1.0], [3.0], [0.0]]
    key = generator.normal(size=(n_keys, dim)) * [[2.0], [1.0], [0.3], [0.0], [1.0]]
    key[1] = query[1]
    return query.astype(dtype), key.astype(dtype)


def close(actual, expected, dtype):
    """1e-8 in float64; in float32 1e-4 of the largest component."""
    if dtype == "float64":
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-8)
    else:
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * scale)


def test_every_public_distance_has_a_reference():
    public = [getattr(distances, name) for name in distances.__all__]
    classes = {c for c in public if isinstance(c, type)} - {distances.Distance}
    assert classes == set(REFERENCES)
    assert {type(d) for d in distances.DISTANCES} == set(REFERENCES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", CLASSES)
def test_agrees_with_the_formula_in_value_and_gradient(cls, dtype):
    query, key = batch(dtype)
    weights = np.random.default_rng(8).normal(size=(len(query), len(key)))
    name = REFERENCES[cls]

    expected = reference.matrix(name, query.astype(float), key.astype(float))
    actual = evaluate(cls(), query, key)
    assert actual.dtype == dtype
    close(actual, expected, dtype)

    by_query = reference.gradient(
        lambda x: (weights * reference.matrix(name, x, key.astype(float))).sum(), query
    )
    by_key = reference.gradient(
        lambda x: (weights * reference.matrix(name, query.astype(float), x)).sum(), key
    )
    _, gradients = value_and_grad(
        lambda q, k: ops.sum(cls()(q, k) * ops.cast(weights, dtype)), query, key
    )
    close(gradients[0], by_query, dtype)
    close(gradients[1], by_key, dtype)


@pytest.mark.parametrize("cls", CLASSES)
def test_config_round_trip_through_json(cls):
    for mine in (cls(), cls(name="mine", aliases=("m",))):
        assert cls.from_config(json.loads(json.dumps(mine.get_config()))) == mine
        config = json.loads(json.dumps(distances.serialize(mine)))
        assert distances.get(config) == mine
        assert config["registered_name"] == f"tensorflow_similarity>{cls.__name__}"
        assert str(mine) == mine.name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
@pytest.mark.parametrize("cls", CLASSES)
def test_narrow_input_is_computed_in_float32(cls, dtype):
    query = np.array([[1.0, 2.0, 4.0], [0.0, 3.0, 1.0]], "float32")

    def narrow(x):
        return cls()(ops.cast(x, dtype), ops.cast(x, dtype))

    result = evaluate(narrow, query)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, evaluate(cls(), query, query), rtol=1e-6)


@pytest.mark.skipif(not HAS_FLOAT64, reason="the backend has no float64")
@pytest.mark.parametrize("cls", CLASSES)
def test_one_float64_side_makes_it_float64(cls):
    query, key = batch("float64")
    assert evaluate(cls(), query.astype("float32"), key).dtype == "float64"


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("rows", [[[0.0, 0.0]] * 3, [[0.3, -0.7]] * 3, [[5.0, 5.0]]])
def test_identical_zero_constant_and_single_rows_stay_finite(cls, rows):
    x = np.array(rows, "float32")
    value, (gradient,) = value_and_grad(lambda t: ops.sum(cls()(t, t)), x)
    assert np.isfinite(value) and np.isfinite(gradient).all()


# torch 2.13 warns of its own doing while it traces.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("cls", CLASSES)
def test_compiles_with_the_same_value_and_gradient(cls):
    query, key = batch("float32")

    def total(q, k):
        return ops.sum(ops.sin(cls()(q, k)))

    value, gradients = value_and_grad(total, query, key)
    again, same = value_and_grad(total, query, key, compiled=True)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    for mine, theirs in zip(gradients, same, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-4)


# One shape only: JAX compiles each anew.
rows = st.lists(
    st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3),
    min_size=4,
    max_size=4,
).map(lambda x: np.array(x, "float32"))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(rows, st.sampled_from(ZERO_ON_ITSELF))
def test_an_item_is_at_zero_from_itself_and_never_below(x, cls):
    d = evaluate(cls(), x, x)
    zero = ~x.any(axis=1) if cls is distances.CosineDistance else np.zeros(len(x), bool)
    np.testing.assert_allclose(np.diag(d)[~zero], 0.0, atol=1e-6)
    np.testing.assert_array_equal(np.diag(d)[zero], 1.0)
    assert (d >= 0).all() and np.isfinite(d).all()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(rows, rows, st.sampled_from(SYMMETRIC))
def test_there_and_back_is_the_same(x, y, cls):
    there, back = evaluate(cls(), x, y), evaluate(cls(), y, x)
    # Near rounding noise one direction may be called 0 and the other not.
    np.testing.assert_allclose(there, back.T, rtol=1e-4, atol=0.02)


def test_snr_is_not_symmetric():
    a, b = [[1.0, -1.0]], [[2.0, -2.0]]
    assert float(distances.SNRDistance()(a, b)[0, 0]) == 1.0
    assert float(distances.SNRDistance()(b, a)[0, 0]) == 0.25


def test_snr_of_a_constant_query_is_the_noise():
    assert float(distances.SNRDistance()([[5.0, 5.0]], [[1.0, 3.0]])[0, 0]) == 1.0


def test_cosine_normalises_and_is_clipped_at_zero():
    x = np.random.default_rng(3).normal(size=(50, 5)).astype("float32")
    d = evaluate(distances.CosineDistance(), x, 3 * x)
    assert (d >= 0).all() and np.diag(d).max() < 1e-6


def test_inner_product_is_smaller_for_the_closer():
    d = evaluate(
        distances.InnerProductSimilarity(),
        [[1.0, 2.0]],
        [[1.0, 2.0], [1.0, 0.0]],
    )
    np.testing.assert_array_equal(d, [[-5.0, -1.0]])


@pytest.mark.skipif(BACKEND == "torch", reason="a loop in Python there: no cube either")
def test_manhattan_never_makes_the_cube():
    n, dim = 1024, 64  # (n, n, dim) of float32 is 268 MB, (n, n) is 4 MB
    generator = np.random.default_rng(9)
    x = generator.normal(size=(n, dim)).astype("float32")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, (gradient,) = value_and_grad(
        lambda t: ops.sum(distances.ManhattanDistance()(t, t)), x
    )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 150_000  # KiB
    # by hand: each row adds the sign of its gap, as query and as key
    expected = 2.0 * np.sign(x[0] - x).sum(axis=0)
    np.testing.assert_allclose(gradient[0], expected, atol=1e-2)
