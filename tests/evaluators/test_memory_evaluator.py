import numpy as np
import pytest

from tensorflow_similarity.evaluators import MemoryEvaluator
from tensorflow_similarity.types import Lookup


class Hits:
    """A metric by the contract of retrieval metrics."""

    def __init__(self, k):
        self.k, self.name = k, f"hits@{k}"

    def compute(self, *, query_labels, lookup_labels, lookup_distances, match_mask):
        expected = query_labels[:, None] == lookup_labels
        np.testing.assert_array_equal(match_mask, expected)
        assert lookup_distances.dtype == np.float64
        return match_mask[:, : self.k].any(axis=1).mean()


ROWS = [
    [Lookup(1, 0.123456789, 1), Lookup(2, 0.2, 2)],
    [Lookup(1, 0.3, 2), Lookup(2, 0.4, 1)],
]


def test_retrieval_metrics_get_arrays():
    found = MemoryEvaluator().evaluate_retrieval([1, 1], ROWS, [Hits(1), Hits(2)])
    assert {name: float(value) for name, value in found.items()} == {
        "hits@1": 0.5,
        "hits@2": 1.0,
    }


def test_classification_by_hand():
    found = MemoryEvaluator().evaluate_classification(
        [1, 2, 3], [[1], [2], [1]], [[0.1], [0.3], [0.4]], [0.4, 0.1],
        ["precision", "binary_accuracy"], "match_nearest",
    )  # fmt: skip
    assert found["distance"].tolist() == [0.1, 0.4]
    assert found["precision"].tolist() == [1.0, 2 / 3]
    assert found["binary_accuracy"].tolist() == [1 / 3, 2 / 3]


def test_thresholds_are_rounded_as_distances_are():
    arguments = ([1], [[1]], [[0.14]], [0.12], ["recall"], "match_nearest")
    evaluate = MemoryEvaluator().evaluate_classification
    assert evaluate(*arguments)["recall"] == [0.0]
    assert evaluate(*arguments, distance_rounding=1)["recall"] == [1.0]


def test_calibrate_takes_the_known_arguments():
    found = MemoryEvaluator().calibrate(
        [1, 1], ROWS, {"some": 0.5}, "f1score", "match_nearest", ["precision"],
        distance_rounding=3, metric_rounding=2, verbose=1,
    )  # fmt: skip
    assert found.thresholds["distance"].tolist() == [0.123, 0.3]
    assert set(found.thresholds) == {"distance", "f1score", "precision", "value"}
    assert set(found.cutpoints) == {"optimal", "some"}


def test_decimals_that_no_number_has_are_refused():
    with pytest.raises(ValueError, match="`distance_rounding` must be an integer"):
        MemoryEvaluator().evaluate_retrieval([1, 1], ROWS, [Hits(1)], 400)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ([Hits(3)], "need 3 neighbours of each query, and some have 2"),
        ([], "one or more RetrievalMetric"),
        (["recall"], "Received: 'recall'"),
        (None, "Received: None"),
        ([Hits(1), Hits(1)], "distinct names"),
    ],
)
def test_wrong_metrics_are_said(metrics, words):
    with pytest.raises(ValueError, match=words):
        MemoryEvaluator().evaluate_retrieval([1, 1], ROWS, metrics)
