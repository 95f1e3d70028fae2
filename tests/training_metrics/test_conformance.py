"""What every training metric keeps, and its float64 reading in plain loops."""

import json
import math

import keras
import numpy as np
import pytest

from tensorflow_similarity import losses, training_metrics
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.training_metrics import (
    ActiveFraction,
    Alignment,
    BatchMetric,
    DistanceGapMetric,
    DistanceMetric,
    EffectiveRank,
    EmbeddingStd,
    Uniformity,
)
from tests import reference
from tests.gradients import HAS_FLOAT64

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def relatives(labels, i, same):
    """Rows of the class of row i, or of other classes; label -1 is in neither."""
    rows = range(len(labels))
    known = [j for j in rows if j != i and labels[i] != -1 and labels[j] != -1]
    return [j for j in known if (labels[j] == labels[i]) == same]


def unit(x):
    return [[v / math.sqrt(sum(c * c for c in row)) for v in row] for row in x]


# Readings: (labels, rows, weights) to the batch's value and its weight.


def distance_reading(name, aggregate, anchor, strategy):
    def read(labels, x, weights):
        d, found = reference.matrix(name, x, x), []
        for i in range(len(x)):
            others = [d[i][j] for j in relatives(labels, i, anchor == "positive")]
            if others and weights[i] > 0:
                far = (anchor == "positive") == (strategy == "hard")
                found.append((max(others) if far else min(others), weights[i]))
        if not found:
            return 0.0, 0.0
        if aggregate in ("max", "min"):
            return {"max": max, "min": min}[aggregate](v for v, _ in found), 1.0
        total = sum(v * w for v, w in found)
        if aggregate == "sum":
            return total, 1.0
        weight = sum(w for _, w in found)
        return total / weight, weight

    return read


def gap_reading(name):
    def read(labels, x, weights):
        d = reference.matrix(name, x, x)
        within, between = [], []
        for i in range(len(x)):
            if weights[i] > 0:
                within += [d[i][j] for j in relatives(labels, i, True)]
                between += [d[i][j] for j in relatives(labels, i, False)]
        if not within or not between:
            return 0.0, 0.0
        return min(between) - max(within), 1.0

    return read


def active_reading(labels, x, weights):
    """Of anchors with both kinds of pairs, those whose nearest negative is too near."""
    d, active, count = reference.matrix("euclidean", x, x), 0.0, 0.0
    for i in range(len(x)):
        same = [d[i][j] for j in relatives(labels, i, True)]
        other = [d[i][j] for j in relatives(labels, i, False)]
        if same and other:
            count += weights[i]
            if max(same) - min(other) + 0.5 > 0.25:
                active += weights[i]
    return (active / count, count) if count else (0.0, 0.0)


def contrastive_active_reading(labels, x, weights):
    """Every row with a pair counts; near positives and far negatives are inactive."""
    d, active, count = reference.matrix("euclidean", x, x), 0.0, 0.0
    for i in range(len(x)):
        same = [d[i][j] for j in relatives(labels, i, True)]
        other = [d[i][j] for j in relatives(labels, i, False)]
        if same or other:
            count += weights[i]
            if any(v > 2.0 for v in same) or any(v < 1.2 for v in other):
                active += weights[i]
    return (active / count, count) if count else (0.0, 0.0)


def of_two_rows(weights):
    return sum(weights) if sum(w > 0 for w in weights) > 1 else 0.0


def std_reading(labels, x, weights):
    rows, total = unit(x), sum(weights)
    columns = []
    for f in range(len(rows[0])):
        mean = sum(w * row[f] for w, row in zip(weights, rows, strict=True)) / total
        squares = [(row[f] - mean) ** 2 for row in rows]
        variance = sum(w * s for w, s in zip(weights, squares, strict=True)) / total
        columns.append(math.sqrt(variance))
    return sum(columns) / len(columns), of_two_rows(weights)


def rank_reading(labels, x, weights):
    rows = np.array(x) * np.sqrt(np.array(weights))[:, None]
    values = np.linalg.svd(rows, compute_uv=False)
    entropy = 0.0
    for value in values:
        share = value / values.sum()
        if share > 1e-12:
            entropy -= share * math.log(share)
    return math.exp(entropy), of_two_rows(weights)


def uniformity_reading(t):
    def read(labels, x, weights):
        rows, total, count = unit(x), 0.0, 0.0
        for i in range(len(rows)):
            for j in range(len(rows)):
                if i != j:
                    w = weights[i] * weights[j]
                    squared = reference.squared_euclidean(rows[i], rows[j])
                    total, count = total + w * math.exp(-t * squared), count + w
        return (math.log(total / count) if count else 0.0), of_two_rows(weights)

    return read


def alignment_reading(alpha):
    def read(labels, x, weights):
        rows, total, count = unit(x), 0.0, 0.0
        for i in range(len(rows)):
            for j in relatives(labels, i, True):
                squared = reference.squared_euclidean(rows[i], rows[j])
                total += weights[i] * squared ** (alpha / 2)
                count += weights[i]
        return (total / count, count) if count else (0.0, 0.0)

    return read


CASES = [
    (
        lambda: DistanceMetric("cosine"),
        distance_reading("cosine", "mean", "positive", "hard"),
    ),
    (
        lambda: DistanceMetric("euclidean", "avg", "negative"),
        distance_reading("euclidean", "mean", "negative", "hard"),
    ),
    (
        lambda: DistanceMetric("l1", "max", negative_mining_strategy="easy"),
        distance_reading("manhattan", "max", "positive", "hard"),
    ),
    (
        lambda: DistanceMetric(
            "snr", "min", "positive", positive_mining_strategy="easy"
        ),
        distance_reading("snr", "min", "positive", "easy"),
    ),
    (
        lambda: DistanceMetric(
            "inner_product", "max", "negative", negative_mining_strategy="easy"
        ),
        distance_reading("inner_product", "max", "negative", "easy"),
    ),
    (
        lambda: DistanceMetric("sql2", "sum", "negative"),
        distance_reading("squared_euclidean", "sum", "negative", "hard"),
    ),
    (lambda: DistanceGapMetric("euclidean"), gap_reading("euclidean")),
    (lambda: DistanceGapMetric("inner_product"), gap_reading("inner_product")),
    (
        lambda: ActiveFraction(
            losses.TripletLoss(
                "euclidean", negative_mining_strategy="hard", margin=0.5
            ),
            threshold=0.25,
        ),
        active_reading,
    ),
    (
        lambda: ActiveFraction(losses.ContrastiveLoss("euclidean", 2.0, 1.2)),
        contrastive_active_reading,
    ),
    (EmbeddingStd, std_reading),
    (EffectiveRank, rank_reading),
    (Uniformity, uniformity_reading(2.0)),
    (lambda: Uniformity(t=0.7), uniformity_reading(0.7)),
    (Alignment, alignment_reading(2.0)),
    (lambda: Alignment(alpha=1.0), alignment_reading(1.0)),
]
CASES = [
    pytest.param(make, read, id=f"{i}-{make().name}")
    for i, (make, read) in enumerate(CASES)
]
MAKERS = [pytest.param(case.values[0], id=case.id) for case in CASES]


def batches(dtype="float32"):
    """Rows of unequal norms; singletons, unknown labels, a tie, a batch of one."""
    generator = np.random.default_rng(4)
    for labels in (
        [3, 1, 3, 5, 1, -1, 3],
        [0, 0, 7, 7, 7, -1, 2],
        [2, 2, 2],  # one class
        [4, 5, 6],  # no positives
        [9],
    ):
        x = generator.normal(size=(len(labels), 4))
        x *= generator.uniform(0.3, 3.0, size=(len(x), 1))
        if len(labels) == 7:
            x[1] = x[4]  # equal rows: a distance of 0, and ties
        yield np.array(labels), x.astype(dtype)


def expected_of(read, epoch, weights):
    total = count = 0.0
    for (labels, x), w in zip(epoch, weights, strict=True):
        value, weight = read(labels.tolist(), x.astype(float).tolist(), w)
        total, count = total + value * weight, count + weight
    assert count > 0
    return total / count


def test_every_public_class_has_a_reading():
    public = [getattr(training_metrics, name) for name in training_metrics.__all__]
    classes = {c for c in public if isinstance(c, type)}
    assert classes - {BatchMetric} == {type(case.values[0]()) for case in CASES}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64"] if HAS_FLOAT64 else ["float32"]
)
@pytest.mark.parametrize(("make", "read"), CASES)
def test_agrees_with_its_reading_over_an_epoch(make, read, dtype, weighted):
    metric, epoch = make(), list(batches(dtype))
    weights = [[1.0] * len(labels) for labels, _ in epoch]
    if weighted:
        weights = [[0.5, 2.0, 1.0, 0.0, 3.0, 1.0, 0.25][: len(w)] for w in weights]
    for (labels, x), w in zip(epoch, weights, strict=True):
        metric.update_state(labels, x, np.array(w) if weighted else None)
    expected = expected_of(read, epoch, weights)
    assert abs(expected) > 0.01
    np.testing.assert_allclose(float(metric.result()), expected, rtol=2e-5, atol=2e-6)
    metric.reset_state()
    assert float(metric.result()) == 0.0


@pytest.mark.parametrize("make", MAKERS)
def test_config_round_trip_through_json(make):
    metric = make()
    config = json.loads(json.dumps(metric.get_config(), allow_nan=False))
    again = type(metric).from_config(config)
    assert again.get_config() == metric.get_config()
    assert (again.name, again.dtype) == (metric.name, "float32")
    whole = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    assert whole["registered_name"] == f"tensorflow_similarity>{type(metric).__name__}"
    back = keras.saving.deserialize_keras_object(whole)
    assert back.get_config() == metric.get_config()
    named = type(metric).from_config({**config, "name": "mine"})
    assert named.name == "mine"


HARD_BATCHES = {
    "one class": ([1] * 4, [[1.0, 2.0], [2.0, 0.1], [-1.0, 1.0], [0.3, 3.0]]),
    "no positives": ([1, 2, 3, 4], [[1.0, 2.0], [2.0, 0.1], [-1.0, 1.0], [0.3, 3.0]]),
    "identical rows": ([1, 1, 2, 2], [[1.0, 2.0]] * 4),
    "zero rows": ([1, 1, 2, 2], [[0.0, 0.0]] * 4),
    "all unknown": ([-1] * 4, [[1.0, 2.0], [2.0, 0.1], [-1.0, 1.0], [0.3, 3.0]]),
    "long rows": ([1, 1, 2, 2], [[1e15, 0.0], [0.0, 1e15], [-1e15, 1.0], [5.0, 1e15]]),
    "short rows": ([1, 1, 2, 2], [[1e-25, 0.0], [0.0, 1e-25], [1e-25, 1.0], [0, 0]]),
    "one row": ([1], [[1.0, 2.0]]),
}


@pytest.mark.parametrize("make", MAKERS)
def test_stays_finite(make):
    metric = make()
    for name, (labels, x) in HARD_BATCHES.items():
        metric.reset_state()
        metric.update_state(np.array(labels), np.array(x, "float32"))
        assert math.isfinite(float(metric.result())), name
    metric.reset_state()
    weights = np.zeros(4)
    metric.update_state(np.array([1, 1, 2, 2]), np.eye(4, dtype="float32"), weights)
    assert float(metric.result()) == 0.0


@pytest.mark.parametrize("make", MAKERS)
def test_embeddings_that_diverged_are_nan_until_the_reset(make):
    metric = make()
    for bad in (np.nan, np.inf):
        x = np.eye(4, dtype="float32")
        x[1, 2] = bad
        metric.update_state(np.array([1, 1, 2, 2]), x)
        assert math.isnan(float(metric.result()))
        metric.reset_state()
    metric.update_state(np.array([1, 1, 2, 2]), np.eye(4, dtype="float32"))
    assert math.isfinite(float(metric.result()))


@pytest.mark.parametrize("make", MAKERS)
def test_embeddings_of_another_rank_are_refused(make):
    with pytest.raises(ValueError, match="y_pred"):
        make().update_state(np.zeros(4, int), np.zeros((4, 2, 2), "float32"))


# Whole models: one metric of each class at once, since compiling takes the time.
IN_MODELS = [0, 5, 6, 8, 10, 11, 12, 14]


def all_metrics():
    metrics = {i: CASES[i].values[0]() for i in IN_MODELS}
    return [
        type(m).from_config({**m.get_config(), "name": f"metric_{i}"})
        for i, m in metrics.items()
    ]


def data():
    """Labels that float32 would take for one class, and two that are unlike."""
    generator = np.random.default_rng(8)
    y = 2**24 + np.array([0, 1, 0, 1, 5, 5, 9, 1, 0, 0, 1, 5])
    return generator.normal(size=(12, 6)).astype("float32"), y


def compiled_model(jit_compile=False):
    inputs = keras.Input((6,))
    model = SimilarityModel(inputs, MetricEmbedding(4)(inputs))
    model.compile(
        "sgd",
        loss=losses.MultiSimilarityLoss(),
        metrics=all_metrics(),
        jit_compile=jit_compile,
    )
    return model


def check_against_readings(model):
    """`evaluate` in batches of 5, 5 and 2."""
    x, y = data()
    found = model.evaluate(x, y, batch_size=5, verbose=0, return_dict=True)
    embeddings = model.predict(x, verbose=0).astype("float32")
    epoch = [(y[i : i + 5], embeddings[i : i + 5]) for i in (0, 5, 10)]
    ones = [[1.0] * len(labels) for labels, _ in epoch]
    for i in IN_MODELS:
        expected = expected_of(CASES[i].values[1], epoch, ones)
        actual = found[f"metric_{i}"]
        np.testing.assert_allclose(
            actual, expected, rtol=1e-4, atol=1e-5, err_msg=CASES[i].id
        )
    return found


def test_models_have_one_of_each_class():
    kinds = {type(case.values[0]()) for case in CASES}
    assert {type(metric) for metric in all_metrics()} == kinds


def test_a_compiled_model_trains_saves_and_loads(tmp_path):
    model = compiled_model()
    x, y = data()
    history = model.fit(x, y, batch_size=5, verbose=0).history
    assert all(math.isfinite(values[0]) for values in history.values())
    found = check_against_readings(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    after = again.evaluate(x, y, batch_size=5, verbose=0, return_dict=True)
    assert after.keys() == found.keys()
    for name, value in found.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_jit_compiled_models_measure_the_same():
    if keras.backend.backend() == "torch":
        pytest.skip("a minute of C++ compilation")
    check_against_readings(compiled_model(jit_compile=True))


@pytest.fixture
def float16_policy():
    before, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_floatx("float16")
    yield
    keras.config.set_dtype_policy(before)
    keras.config.set_floatx(floatx)


def test_mixed_float16_measures_in_float32(float16_policy):
    for metric in all_metrics():
        assert metric.dtype == "float32"
        assert {v.dtype for v in metric.variables} == {"float32"}
    check_against_readings(compiled_model())
