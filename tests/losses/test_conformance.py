"""What every loss keeps, and its float64 reading of the paper."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tensorflow_similarity import distances, losses
from tensorflow_similarity.models import SimilarityModel
from tests import reference
from tests.gradients import HAS_FLOAT64, evaluate, to_numpy, value_and_grad

from .papers import PAPERS

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

LOSSES = PAPERS
# Public losses whose arguments are not (labels, embeddings); their own tests hold them.
OF_THEIR_OWN = (
    "InfoNCELoss",
    "MultiNegativesRankLoss",
    "MatryoshkaLoss",
    "SumOfLosses",
    "XBM",
)
CASES = [(paper, case) for paper in PAPERS for case in paper.cases]
DTYPES = ["float32", "float64"] if HAS_FLOAT64 else ["float32"]

LABELS = np.array([3, 1, 3, 5, 1, 9, 3])  # 5 and 9 are singletons


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


_calls = {}


def call_of(paper, **kwargs):
    """The loss as a function of (embeddings, labels): one object, compiled once."""
    key = (paper.loss, *sorted(kwargs.items()))
    if key not in _calls:
        loss = seeded(paper, **kwargs)
        _calls[key] = lambda x, y: loss(ops.cast(y, "int32"), x)
    return _calls[key]


def seeded(paper, dim=4, **kwargs):
    """The loss; its weights, if any, the same each time and not small."""
    keras.utils.set_random_seed(20)  # proxies start at random
    loss = paper.make(dim, **kwargs)
    generator = np.random.default_rng(5)
    for part, _ in loss.trained_parts(dim):
        for name in sorted(part.layer_weights()):
            variable = part.layer_weights()[name]
            start = to_numpy(ops.convert_to_tensor(variable))
            variable.assign(start + 0.3 * generator.normal(size=start.shape))
    return loss


def weights_of(loss):
    """Name to array, as the loss computes with them."""
    (part,) = {id(part): part for part, _ in loss.trained_parts(4)}.values()
    return {
        name: to_numpy(part.weight(name)).astype(float) for name in part.layer_weights()
    }


def reading(paper, loss, labels, x, case):
    """The paper's list of values an anchor, or its one number."""
    if not loss.trained_parts(4):
        return paper.reading(labels, x, **case)
    return paper.reading(labels, x, weights_of(loss), **case)


def is_whole(answer):
    """Whether the paper gives one number for the batch."""
    return not isinstance(answer, list)


def test_every_public_loss_has_a_reference():
    public = [getattr(losses, name) for name in losses.__all__]
    classes = {
        c for c in public if isinstance(c, type) and issubclass(c, keras.losses.Loss)
    }
    contracts = {losses.ClassLoss, losses.MetricLoss, losses.TrainedLoss}
    elsewhere = {
        losses.__dict__[name] for name in OF_THEIR_OWN if hasattr(losses, name)
    }
    assert classes - contracts - elsewhere == {paper.loss for paper in PAPERS}
    assert losses.__all__ == sorted(losses.__all__)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("paper", "case"),
    [
        pytest.param(
            paper,
            case,
            marks=[] if i in (0, len(paper.cases) - 1) else pytest.mark.heavy_on_jax,
        )
        for paper in PAPERS
        for i, case in enumerate(paper.cases)
    ],
)
def test_agrees_with_the_paper_in_value_and_gradient(paper, case, dtype):
    x = rows(dtype)
    weights = np.array([1.0, 0.5, 2.0, 1.0, 0.0, 3.0, 1.5])
    arguments = paper.arguments(case)
    mean = seeded(paper, **arguments)
    each = reading(paper, mean, LABELS, x.astype(float), case)
    if is_whole(each):
        weights = None

        def total(z):
            return reading(paper, mean, LABELS, z, case)
    else:
        expected = [0.0 if v is None else complex(v).real for v in each]
        assert any(expected)
        loss = seeded(paper, **arguments, reduction=None)
        actual = evaluate(lambda t: loss(LABELS, t), x)
        assert actual.dtype == dtype
        close(actual, expected, dtype)

        def total(z):
            return reference.mean(reading(paper, mean, LABELS, z, case), weights)

    value, (gradient,) = value_and_grad(lambda t: mean(LABELS, t, weights), x)
    close(value, complex(total(x.astype(float))).real, dtype)
    close(gradient, reference.gradient(total, x.astype(float)), dtype)


TRAINED = [(p, c) for p, c in CASES if p.make(**p.arguments(c)).trained_parts(4)]


@pytest.mark.parametrize(("paper", "case"), TRAINED)
def test_gradients_of_weights_agree_with_the_paper(paper, case, monkeypatch):
    x, loss = rows(), seeded(paper, **paper.arguments(case))
    (part,) = {id(part): part for part, _ in loss.trained_parts(4)}.values()
    arrays = weights_of(loss)
    names = sorted(arrays)

    def total(*tensors):
        given = dict(zip(names, tensors, strict=True))
        monkeypatch.setattr(part, "weight", given.__getitem__)
        return loss(LABELS, x)

    _, gradients = value_and_grad(total, *[arrays[n].astype("float32") for n in names])
    for name, gradient in zip(names, gradients, strict=True):

        def by(w, name=name):
            answer = paper.reading(LABELS, x.astype(float), {**arrays, name: w}, **case)
            return answer if is_whole(answer) else reference.mean(answer)

        close(gradient, reference.gradient(by, arrays[name]), "float32")


@pytest.mark.parametrize(("paper", "case"), CASES)
def test_agrees_with_the_paper_when_distances_tie(paper, case):
    if not paper.ties:
        pytest.skip("equal distances leave the value open")
    # Corners of a square, each twice: every distance occurs often.
    x = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]] * 2, "float32")
    labels = np.array([0, 0, 1, 1, 1, 0, 2, 2])
    loss = seeded(paper, dim=2, **paper.arguments(case))
    each = reading(paper, loss, labels, x.astype(float), case)
    expected = complex(each if is_whole(each) else reference.mean(each)).real
    actual, (gradient,) = value_and_grad(lambda t: loss(labels, t), x)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("paper", "case"), CASES)
def test_config_round_trip_through_json(paper, case):
    cls, arguments = paper.loss, {**paper.required, **paper.arguments(case)}
    arguments["targets"] = paper.targets
    loss = cls(**arguments, reduction="sum", name="mine")
    config = json.loads(json.dumps(loss.get_config()))
    again = cls.from_config(config)
    assert again.get_config() == loss.get_config()
    assert again.distance == loss.distance
    assert (again.name, again.reduction) == ("mine", "sum")
    assert again.targets == paper.targets
    for name, value in arguments.items():
        assert config[name] == value or name == "distance"
    whole = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    assert whole["registered_name"] == f"tensorflow_similarity>{cls.__name__}"
    back = keras.saving.deserialize_keras_object(whole)
    assert back.get_config() == loss.get_config()


# Those with weights, and one of the others, which all do the same there.
SOME = [
    p
    if issubclass(p.loss, losses.ClassLoss | losses.TripletLoss)
    else pytest.param(p, marks=pytest.mark.slow)
    for p in LOSSES
]


@pytest.mark.parametrize("paper", SOME)
def test_a_compiled_model_saves_loads_and_trains_on(paper, tmp_path):
    x, y = rows(), LABELS
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    kwargs = {"distance": "euclidean"} if paper.distances else {}
    model.compile("sgd", loss=paper.loss(**{**paper.required, **kwargs}))
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


@pytest.mark.heavy_on_jax
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("paper", LOSSES)
def test_narrow_embeddings_are_compared_in_float32(paper, dtype, float16_policy):
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    keras.config.set_floatx("float16")
    # 2049 is not a float16: a loss that cast labels would see one class.
    labels = np.array([2048, 2049, 2048, 2049, 7, 8, 9])
    x = np.round(rows())

    if paper.names_matter:
        labels = np.array([3, 4, 3, 4, 7, 8, 9])
    loss = seeded(paper)

    def narrow(t):
        return loss(labels, ops.cast(t, dtype))

    actual = evaluate(narrow, x)
    assert actual.dtype == "float32"
    # The rows are whole numbers of 8 bits or less, so that only the cast is tested.
    expected = evaluate(lambda t: loss(labels, t), x)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    value, (gradient,) = value_and_grad(narrow, x)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("paper", SOME)
def test_trains_under_mixed_float16(paper, float16_policy):
    keras.config.set_dtype_policy("mixed_float16")
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", loss=paper.loss(**paper.required))
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
# What depends on the distance, beyond the loss.
HARD_FOR_DISTANCES = ("identical rows", "zero rows", "zero and one row", "long rows")
NOTHING_TO_LEARN = ("one row", "one class", "no positives", "all unknown")


@pytest.mark.parametrize(
    ("paper", "distance", "batch"),
    [
        pytest.param(
            paper, distance, batch, marks=pytest.mark.heavy_on_jax if i else []
        )
        for paper in PAPERS
        for i, distance in enumerate(paper.distances or [None])
        for batch in (HARD_FOR_DISTANCES if i else HARD_BATCHES)
    ],
)
def test_value_and_gradient_stay_finite(paper, distance, batch):
    labels, x = HARD_BATCHES[batch]
    kwargs = {"distance": distance} if distance else {}
    value, (gradient, _) = value_and_grad(
        call_of(paper, dim=2, **kwargs),
        np.array(x, "float32"),
        np.array(labels, "float32"),
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if batch in NOTHING_TO_LEARN and batch not in paper.learns_from:
        assert value == 0 and not gradient.any()


# torch 2.13 warns of its own doing while it traces.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("paper", LOSSES)
def test_compiles_with_the_same_value_and_gradient(paper):
    loss = seeded(paper)

    def total(x):
        return loss(LABELS, x)

    value, (gradient,) = value_and_grad(total, rows())
    again, (same,) = value_and_grad(total, rows(), compiled=True)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    np.testing.assert_allclose(same, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "paper",
    # Each takes seconds; that every loss compiles is shown above.
    [
        pytest.param(paper, marks=[] if i % 12 == 0 else pytest.mark.slow)
        for i, paper in enumerate(LOSSES)
    ],
)
def test_fit_compiles_on_an_uneven_last_batch(paper):
    if keras.backend.backend() == "torch":
        pytest.skip("a minute of C++ compilation")
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", loss=paper.loss(**paper.required), jit_compile=True)
    history = model.fit(rows(), LABELS, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("paper", LOSSES)
def test_the_order_of_the_batch_does_not_matter(paper):
    x = rows()
    straight = evaluate(call_of(paper), x, LABELS)
    generator = np.random.default_rng(1)
    for _ in range(3):
        order = generator.permutation(len(LABELS))
        shuffled = evaluate(call_of(paper), x[order], LABELS[order])
        np.testing.assert_allclose(shuffled, straight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("paper", [p for p in PAPERS if not p.names_matter])
def test_renaming_classes_does_not_matter(paper):
    straight = evaluate(call_of(paper), rows(), LABELS)
    for names in ([7, 0, 2**31 - 1, 5], [2**24, 2**24 + 1, 1, 2**24 + 2]):
        renamed = np.array(names)[np.unique(LABELS, return_inverse=True)[1]]
        again = evaluate(call_of(paper), rows(), renamed.astype("int32"))
        np.testing.assert_allclose(again, straight, rtol=1e-6)


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
    for paper in PAPERS:
        assert isinstance(paper.make().distance, distances.Distance)
