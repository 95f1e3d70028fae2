"""What every loss keeps, and its float64 reading of the paper."""

import functools
import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tensorflow_similarity import distances, losses
from tests import reference
from tests.gradients import HAS_FLOAT64, evaluate, value_and_grad

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# Class to (its paper in `tests/reference.py`, the cases to check). A new loss goes in
# here. Arguments of ours that the paper's function names otherwise are renamed below.
REFERENCES = {
    losses.TripletLoss: (
        reference.triplet,
        [
            {"positive": p, "negative": n, "margin": m, "distance": d}
            for p, n, m, d in [
                ("hard", "semi-hard", None, "cosine"),
                ("hard", "semi-hard", 0.5, "euclidean"),
                ("hard", "hard", 0.2, "squared_euclidean"),
                ("hard", "easy", 3.0, "manhattan"),
                ("easy", "semi-hard", 0.4, "cosine"),
                ("easy", "hard", None, "snr"),
                ("easy", "easy", 0.9, "inner_product"),
            ]
        ],
    ),
    losses.MultiSimilarityLoss: (
        reference.multi_similarity,
        [
            {},
            {"distance": "euclidean", "alpha": 3.0, "beta": 7.0, "center": 2.0},
            {"epsilon": -0.2, "lmda": 0.8},
            {"distance": "snr", "beta": 5.0, "epsilon": 1.0},
        ],
    ),
}
RENAMED = {
    "positive": "positive_mining_strategy",
    "negative": "negative_mining_strategy",
}
CLASSES = list(REFERENCES)
CASES = [(c, paper, case) for c, (paper, cases) in REFERENCES.items() for case in cases]
DTYPES = ["float32", "float64"] if HAS_FLOAT64 else ["float32"]

LABELS = np.array([3, 1, 3, 5, 1, 9, 3])  # 5 and 9 are singletons


def arguments(case):
    return {RENAMED.get(name, name): value for name, value in case.items()}


def rows(dtype="float32", seed=11):
    """Rows of unequal norms."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(len(LABELS), 4))
    return (x * generator.uniform(0.3, 3.0, size=(len(x), 1))).astype(dtype)


def close(actual, expected, dtype):
    """1e-8 in float64; in float32 1e-4 of the largest component."""
    if dtype == "float64":
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-8)
    else:
        atol = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@functools.cache
def call_of(cls, **kwargs):
    """The loss as a function of (embeddings, labels): one object, compiled once."""
    loss = cls(**kwargs)
    return lambda x, y: loss(ops.cast(y, "int32"), x)


def test_every_public_loss_has_a_reference():
    public = [getattr(losses, name) for name in losses.__all__]
    classes = {
        c for c in public if isinstance(c, type) and issubclass(c, keras.losses.Loss)
    }
    assert classes - {losses.MetricLoss} == set(REFERENCES)
    assert losses.__all__ == sorted(losses.__all__)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("cls", "paper", "case"), CASES)
def test_agrees_with_the_paper_in_value_and_gradient(cls, paper, case, dtype):
    x = rows(dtype)
    weights = np.array([1.0, 0.5, 2.0, 1.0, 0.0, 3.0, 1.5])
    each = [v for v in paper(LABELS, x.astype(float), **case)]
    expected = [0.0 if v is None else complex(v).real for v in each]
    assert any(v is None for v in each) and any(expected)

    loss = cls(**arguments(case), reduction=None)
    actual = evaluate(lambda t: loss(LABELS, t), x)
    assert actual.dtype == dtype
    close(actual, expected, dtype)

    mean = cls(**arguments(case))
    value, (gradient,) = value_and_grad(lambda t: mean(LABELS, t, weights), x)
    close(value, reference.mean(each, weights), dtype)
    by_rows = reference.gradient(
        lambda z: reference.mean(paper(LABELS, z, **case), weights), x.astype(float)
    )
    close(gradient, by_rows, dtype)


@pytest.mark.parametrize(("cls", "paper", "case"), CASES)
def test_agrees_with_the_paper_when_distances_tie(cls, paper, case):
    # Corners of a square, each twice: every distance occurs often.
    x = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]] * 2, "float32")
    labels = np.array([0, 0, 1, 1, 1, 0, 2, 2])
    each = paper(labels, x.astype(float), **case)
    loss = cls(**arguments(case), reduction=None)
    expected = [0.0 if v is None else complex(v).real for v in each]
    actual, (gradient,) = value_and_grad(lambda t: ops.sum(loss(labels, t)), x)
    np.testing.assert_allclose(actual, sum(expected), rtol=1e-5, atol=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("cls", "paper", "case"), CASES)
def test_config_round_trip_through_json(cls, paper, case):
    loss = cls(**arguments(case), reduction="sum", targets="multi_hot", name="mine")
    config = json.loads(json.dumps(loss.get_config()))
    again = cls.from_config(config)
    assert again.get_config() == loss.get_config()
    assert again.distance == loss.distance
    assert (again.name, again.reduction, again.targets) == ("mine", "sum", "multi_hot")
    for name, value in arguments(case).items():
        assert config[name] == value or name == "distance"
    whole = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    assert whole["registered_name"] == f"tensorflow_similarity>{cls.__name__}"
    back = keras.saving.deserialize_keras_object(whole)
    assert back.get_config() == loss.get_config()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_compiled_model_saves_loads_and_trains_on(cls, tmp_path):
    x, y = rows(), LABELS
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", loss=cls(distance="euclidean"))
    model.fit(x, y, batch_size=7, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    before, after = (m.evaluate(x, y, verbose=0) for m in (model, again))
    np.testing.assert_allclose(after, before, rtol=1e-6)
    again.fit(x, y, batch_size=7, verbose=0)


@pytest.fixture
def float16_policy():
    before, floatx = keras.config.dtype_policy(), keras.config.floatx()
    yield
    keras.config.set_dtype_policy(before)
    keras.config.set_floatx(floatx)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("cls", CLASSES)
def test_narrow_embeddings_are_compared_in_float32(cls, dtype, float16_policy):
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    keras.config.set_floatx("float16")
    # 2049 is not a float16: a loss that cast labels would see one class.
    labels = np.array([2048, 2049, 2048, 2049, 7, 8, 9])
    x = np.round(rows())

    def narrow(t):
        return cls()(labels, ops.cast(t, dtype))

    loss = evaluate(narrow, x)
    assert loss.dtype == "float32"
    np.testing.assert_allclose(loss, evaluate(lambda t: cls()(labels, t), x), rtol=1e-5)
    value, (gradient,) = value_and_grad(narrow, x)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("cls", CLASSES)
def test_trains_under_mixed_float16(cls, float16_policy):
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", loss=cls())
    history = model.fit(rows(), LABELS, batch_size=7, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


HARD_BATCHES = {
    "one row": ([1], [[1.0, 2.0]]),
    "one class": ([1] * 4, [[1.0, 2.0], [2.0, 0.1], [-1.0, 1.0], [0.3, 3.0]]),
    "no positives": ([1, 2, 3, 4], [[1.0, 2.0], [2.0, 0.1], [-1.0, 1.0], [0.3, 3.0]]),
    "identical rows": ([1, 1, 2, 2], [[1.0, 2.0]] * 4),
    "zero rows": ([1, 1, 2, 2], [[0.0, 0.0]] * 4),
    "zero and one row": ([1, 1, 2, 2], [[0.0, 0.0], [1.0, 0.0]] * 2),
    "all unknown": ([-1] * 4, [[1.0, 2.0], [2.0, 0.1], [-1.0, 1.0], [0.3, 3.0]]),
    "long rows": ([1, 1, 2, 2], [[1e4, 0.0], [0.0, 1e4], [-1e4, 1.0], [5.0, 1e4]]),
}
NOTHING_TO_LEARN = ("one row", "one class", "no positives", "all unknown")


@pytest.mark.parametrize("batch", HARD_BATCHES)
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "snr"])
@pytest.mark.parametrize("cls", CLASSES)
def test_value_and_gradient_stay_finite(cls, distance, batch):
    labels, x = HARD_BATCHES[batch]
    value, (gradient, _) = value_and_grad(
        call_of(cls, distance=distance),
        np.array(x, "float32"),
        np.array(labels, "float32"),
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if batch in NOTHING_TO_LEARN:
        assert value == 0 and not gradient.any()


# torch 2.13 warns of its own doing while it traces.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("cls", CLASSES)
def test_compiles_with_the_same_value_and_gradient(cls):
    def total(x):
        return cls()(LABELS, x)

    value, (gradient,) = value_and_grad(total, rows())
    again, (same,) = value_and_grad(total, rows(), compiled=True)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    np.testing.assert_allclose(same, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", CLASSES)
def test_fit_compiles_on_an_uneven_last_batch(cls):
    if keras.backend.backend() == "torch":
        pytest.skip("a minute of C++ compilation")
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", loss=cls(), jit_compile=True)
    history = model.fit(rows(), LABELS, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.permutations(range(len(LABELS))), st.sampled_from(CLASSES))
def test_the_order_of_the_batch_does_not_matter(order, cls):
    x, order = rows(), list(order)
    call = call_of(cls, reduction=None)
    straight = evaluate(call, x, LABELS)
    shuffled = evaluate(call, x[order], LABELS[order])
    np.testing.assert_allclose(shuffled, straight[order], rtol=1e-5, atol=1e-6)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 2**31 - 1), min_size=4, max_size=4, unique=True),
    st.sampled_from(CLASSES),
)
def test_renaming_classes_does_not_matter(names, cls):
    renamed = np.array(names)[np.unique(LABELS, return_inverse=True)[1]]
    np.testing.assert_allclose(
        evaluate(call_of(cls), rows(), renamed),
        evaluate(call_of(cls), rows(), LABELS),
        rtol=1e-6,
    )


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.floats(0, 2), st.floats(0, 2))
def test_more_margin_never_lowers_a_triplet_loss(a, b):
    low, high = sorted((a, b))
    values = [float(losses.TripletLoss(margin=m)(LABELS, rows())) for m in (low, high)]
    assert values[0] <= values[1] + 1e-6


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.TripletLoss(), 0.716421),
        (losses.TripletLoss(margin=0.5), 0.540199),
        (losses.MultiSimilarityLoss(), 1.387009),
    ],
)
def test_gives_the_predecessors_numbers(loss, expected):
    """Where every anchor counts, TensorFlow Similarity 0.18's values, to its digits."""
    x = np.random.default_rng(123).normal(size=(8, 4)).astype("float32")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_allclose(
        evaluate(lambda t: loss(labels, t), x), expected, atol=1e-6
    )


def test_declares_its_distance():
    for cls in CLASSES:
        assert cls().distance == distances.CosineDistance()
