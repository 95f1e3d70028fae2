"""Names, worked examples and refusals of the metrics that look at distances."""

import numpy as np
import pytest

from tensorflow_similarity import training_metrics
from tensorflow_similarity.training_metrics import (
    Alignment,
    BatchMetric,
    DistanceGapMetric,
    DistanceMetric,
    dist_gap,
)

pytestmark = pytest.mark.backend_smoke

FACTORIES = {
    "max_pos": "max_pos",
    "max_neg": "max_neg",
    "avg_pos": "mean_pos",
    "avg_neg": "mean_neg",
    "min_pos": "min_pos",
    "min_neg": "min_neg",
    "sum_pos": "sum_pos",
    "sum_neg": "sum_neg",
    "dist_gap": "dist_gap",
}

# On a line: 0 and 1 are one class, 4 and 9 another.
LABELS = np.array([0, 0, 1, 1])
ROWS = np.array([[0.0], [1.0], [4.0], [9.0]], "float32")


def measured(metric, labels=LABELS, rows=ROWS):
    metric.update_state(labels, rows)
    return float(metric.result())


@pytest.mark.parametrize(
    ("factory", "value"),
    [
        ("max_pos", 5.0),
        ("max_neg", 8.0),
        ("avg_pos", 3.0),
        ("avg_neg", 4.5),
        ("min_pos", 1.0),
        ("min_neg", 3.0),
        ("sum_pos", 12.0),
        ("sum_neg", 18.0),
        ("dist_gap", -2.0),
    ],
)
def test_factories_have_known_names_and_worked_values(factory, value):
    metric = getattr(training_metrics, factory)("euclidean")
    assert metric.name == FACTORIES[factory]
    assert metric.distance.name == "euclidean"
    assert measured(metric) == value


def test_every_factory_is_tested_here():
    public = [getattr(training_metrics, name) for name in training_metrics.__all__]
    functions = {f.__name__ for f in public if not isinstance(f, type)}
    assert functions == set(FACTORIES)


def test_the_gap_is_negative_for_classes_that_overlap_and_positive_for_others():
    apart = np.array([[0.0], [1.0], [4.0], [5.5]], "float32")
    assert measured(dist_gap("euclidean"), rows=apart) == 1.5
    mixed = np.array([[0.0], [8.0], [1.0], [9.0]], "float32")
    assert measured(dist_gap("euclidean"), rows=mixed) == -7.0


def test_labels_above_2_to_the_24_stay_apart():
    labels = 2**24 + np.array([0, 1, 0, 1])
    rows = np.array([[0.0], [1.0], [0.5], [1.25]], "float32")
    metric = DistanceMetric("euclidean", "max")
    assert measured(metric, labels, rows) == 0.5


def test_float_labels_are_refused():
    with pytest.raises(TypeError, match="must be integers"):
        measured(dist_gap("cosine"), LABELS.astype("float32"))


def test_columns_of_labels_are_labels():
    assert measured(dist_gap("euclidean"), LABELS[:, None]) == -2.0


@pytest.mark.parametrize(
    ("targets", "y"),
    [
        ("multi_hot", np.array([[1, 0], [1, 0], [0, 1], [0, 1]])),
        ("labels_ids", np.array([[0, 10], [0, 11], [1, 12], [1, 13]])),
        ("relation", np.kron(np.eye(2), np.ones((2, 2)))),
    ],
)
def test_other_targets_are_read_as_a_loss_reads_them(targets, y):
    assert measured(DistanceGapMetric("euclidean", targets=targets), y) == -2.0
    metric = DistanceMetric("euclidean", "sum", targets=targets)
    assert measured(metric, y) == 12.0
    assert metric.get_config()["targets"] == targets
    # The row 0 has no direction: a pair of it is 1 apart.
    assert measured(Alignment(targets=targets), y) == 0.5


def test_default_names_follow_the_aggregate():
    assert DistanceMetric("cosine").name == "mean_pos"
    assert DistanceMetric("cosine", "avg", "negative").name == "avg_neg"
    assert DistanceMetric("cosine", name="mine").name == "mine"
    assert DistanceGapMetric("cosine", name=None).name == "dist_gap"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("aggregate", "median"),
        ("anchor", "query"),
        ("positive_mining_strategy", "semi-hard"),
        ("negative_mining_strategy", "semi-hard"),
        ("targets", "classes"),
        ("distance", "far"),
    ],
)
def test_unknown_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be"):
        DistanceMetric(**{"distance": "cosine", argument: value})


def test_rows_of_labels_and_embeddings_must_be_equally_many():
    with pytest.raises(ValueError, match="same number of"):
        measured(dist_gap("cosine"), LABELS[:3])


def test_a_metric_without_measure_says_so():
    with pytest.raises(NotImplementedError, match="must write `measure"):
        BatchMetric("mine").update_state(None, ROWS)
