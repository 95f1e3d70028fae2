import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorflow_similarity import classification_metrics
from tensorflow_similarity.classification_metrics import (
    BinaryAccuracy,
    ClassificationMetric,
    F1Score,
    FalsePositiveRate,
    NegativePredictiveValue,
    Precision,
    Recall,
    make_classification_metric,
)

ALL = [
    BinaryAccuracy,
    F1Score,
    FalsePositiveRate,
    NegativePredictiveValue,
    Precision,
    Recall,
]
# tp, fp, tn, fn of 10 queries at three thresholds.
TP, FP = np.array([2.0, 3.0, 5.0]), np.array([0.0, 1.0, 5.0])
COUNTS = (TP, FP, 5 - FP, 5 - TP, 10)


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        (Precision(), [1, 3 / 4, 5 / 10]),
        (Recall(), [2 / 5, 3 / 5, 1]),
        (F1Score(), [4 / 7, 6 / 9, 10 / 15]),
        (BinaryAccuracy(), [0.2, 0.3, 0.5]),
        (FalsePositiveRate(), [0, 1 / 5, 1]),
        (NegativePredictiveValue(), [5 / 8, 4 / 6, 0]),
    ],
)
def test_values_by_hand(metric, values):
    np.testing.assert_allclose(metric.compute(*COUNTS), values)


def test_flags_are_the_known_ones():
    assert not FalsePositiveRate().maximize and not Precision().increasing
    others = [kind() for kind in ALL if kind is not FalsePositiveRate]
    assert all(metric.maximize for metric in others)
    assert all(kind().increasing for kind in ALL if kind is not Precision)


def test_precision_begins_at_one_where_nothing_is_accepted():
    zero = np.zeros(2)
    found = Precision().compute(zero, zero, zero + 1, zero + 1, 2)
    assert found.tolist() == [1.0, 0.0]
    # A wrong first match is no empty answer, and one threshold is no curve.
    wrong = Precision().compute(zero, zero + 1, zero, zero, 2)
    assert wrong.tolist() == [0.0, 0.0]
    assert Precision().compute(zero[:1], zero[:1], zero[:1], zero[:1], 0) == [0.0]


@pytest.mark.parametrize("kind", ALL)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=1, max_size=4))
def test_values_lie_between_0_and_1(kind, rows):
    tp, fp, tn, fn = np.array(rows, float).T
    metric, total = kind(), int(max((tp + fp + tn + fn).max(), 1))
    values = metric.compute(tp, fp, tn, fn, total)
    assert values.shape == tp.shape and ((values >= 0) & (values <= 1)).all()
    trials = metric.trials(tp, fp, tn, fn, total)
    if trials is not None:
        # A share: its numerator is whole.
        parts = (values * trials)[1:]
        np.testing.assert_allclose(parts, parts.round(), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("recall", Recall),
        ("precision", Precision),
        ("f1", F1Score),
        ("f1score", F1Score),
        ("f1_score", F1Score),
        ("binary_accuracy", BinaryAccuracy),
        ("npv", NegativePredictiveValue),
        ("negative_predicitve_value", NegativePredictiveValue),
        ("negative_predictive_value", NegativePredictiveValue),
        ("fpr", FalsePositiveRate),
        ("false_positive_rate", FalsePositiveRate),
    ],
)
def test_the_name_is_the_one_that_was_passed(name, kind):
    metric = make_classification_metric(name.upper())
    assert type(metric) is kind and metric.name == name
    assert make_classification_metric(name, name="mine").name == "mine"
    assert make_classification_metric(metric) is metric


@keras.saving.register_keras_serializable(package="tests")
class Lift(ClassificationMetric):
    def __init__(self, name="lift@k", weight=2.0):
        super().__init__(name, "lift", maximize=True, increasing=False)
        self.weight = weight

    def compute(self, tp, fp, tn, fn, count):
        return self.weight * tp / count

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


@pytest.mark.parametrize("metric", [kind("f1@k") for kind in ALL] + [Lift(weight=3.0)])
def test_metrics_come_back_from_their_config(metric):
    config = classification_metrics.serialize(metric)
    again = classification_metrics.deserialize(config)
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    np.testing.assert_array_equal(again.compute(*COUNTS), metric.compute(*COUNTS))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: make_classification_metric("typo"), ValueError, "binary_accuracy"),
        (lambda: make_classification_metric(7), TypeError, "`metric` must be a name"),
        (
            lambda: classification_metrics.deserialize(
                {"class_name": "No", "config": {}}
            ),
            ValueError,
            "a metric that Keras knows",
        ),
        (
            lambda: classification_metrics.deserialize(
                keras.saving.serialize_keras_object(keras.layers.Dense(1))
            ),
            ValueError,
            "a description of Dense",
        ),
    ],
)
def test_wrong_use_is_said(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
