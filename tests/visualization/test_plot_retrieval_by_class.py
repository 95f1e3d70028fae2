"""Bars by class, the worst first."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.evaluators import evaluate_retrieval
from tensorflow_similarity.visualization import plot_retrieval_by_class


def names(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def widths(ax):
    return [patch.get_width() for patch in ax.patches]


@pytest.fixture
def table():
    return SimpleNamespace(
        classes=np.array([0, 1, 2]),
        metrics={
            "recall_at_1": np.array([0.9, 0.2, np.nan]),
            "r_precision": np.array([0.1, 0.3, np.nan]),
        },
    )


def test_worst_class_is_on_top_and_the_mean_is_told(table):
    ax = plot_retrieval_by_class(table)
    assert (names(ax), widths(ax)) == (["1", "0"], [0.2, 0.9])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    np.testing.assert_allclose(ax.get_lines()[0].get_xdata(), 0.55)
    words = "recall_at_1; 1 without a value\ndashed: mean of 2 classes, 0.55"
    assert ax.get_xlabel() == words


def test_table_is_found_in_what_the_evaluation_gives():
    rows = np.random.default_rng(0).normal(size=(30, 4))
    metrics = evaluate_retrieval(rows, np.arange(30) % 3, per_class=True)
    ax, other = (
        plot_retrieval_by_class(given, "r_precision")
        for given in (metrics, metrics["per_class"])
    )
    assert (names(ax), widths(ax)) == (names(other), widths(other))
    assert sorted(names(ax)) == ["0", "1", "2"]


def test_metric_may_be_chosen_and_classes_named(table):
    ax = plot_retrieval_by_class(table, "r_precision", class_mapping=["cat", "dog"])
    assert (names(ax), widths(ax)) == (["cat", "dog"], [0.1, 0.3])


def test_of_many_classes_the_worst_are_drawn_and_the_mean_is_of_all():
    values = np.random.default_rng(0).uniform(size=200)
    ax = plot_retrieval_by_class((range(200), values), max_classes=25)
    assert widths(ax) == sorted(values)[:25]
    assert names(ax) == [str(i) for i in np.argsort(values)[:25]]
    assert "the worst 25 of 200 classes" in ax.get_xlabel()
    np.testing.assert_allclose(ax.get_lines()[0].get_xdata(), values.mean())


def test_long_names_are_shortened():
    ax = plot_retrieval_by_class({"x" * 80 + "$y^$": 0.5, "b": 0.2})
    assert names(ax)[0] == "b" and len(names(ax)[1]) == 28
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    "given, options, error, words",
    [
        (3, {}, TypeError, "`table` must be a `ClassTable`"),
        (({}), {}, ValueError, "`values` must be numbers"),
        (([1, 2], [0.5]), {}, ValueError, "must have one length"),
        ({"a": np.nan}, {}, ValueError, "no class with a value"),
        ({"a": 1}, {"max_classes": 0}, ValueError, "`max_classes` must be"),
    ],
)
def test_bad_input_is_named(given, options, error, words):
    with pytest.raises(error, match=words):
        plot_retrieval_by_class(given, **options)
    assert not plt.get_fignums()


def test_unknown_metric_lists_the_known_ones(table):
    with pytest.raises(ValueError, match=r"among \['r_precision', 'recall_at_1'\]"):
        plot_retrieval_by_class(table, "f1")
