"""Precision over recall."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.visualization import plot_precision_recall

# Before the curves come the four lines of equal F1.
N_LINES = 4


def test_calibration_is_drawn_with_its_optimal_cutpoint(calibration, legend):
    ax = plot_precision_recall(calibration)
    curve, mark = ax.get_lines()[N_LINES:]
    np.testing.assert_array_equal(curve.get_xdata(), calibration.thresholds["recall"])
    np.testing.assert_array_equal(
        curve.get_ydata(), calibration.thresholds["precision"]
    )
    assert mark.get_xydata().tolist() == [[0.8, 0.8]]
    assert legend(ax)[1] == "distance 0.3: precision 0.8, recall 0.8"


def test_its_arrays_alone_are_enough(calibration):
    ax = plot_precision_recall(calibration.thresholds, cutpoint=0.29)
    assert ax.get_lines()[-1].get_xydata().tolist() == [[0.5, 0.9]]


def test_cutpoint_below_every_distance_is_the_nearest(calibration):
    ax = plot_precision_recall(calibration, cutpoint=0.0)
    assert ax.get_lines()[-1].get_xydata().tolist() == [[0.1, 1.0]]


def test_pairs_have_the_precision_of_those_accepted(pairs, results):
    same, different = pairs
    ax = plot_precision_recall(results, cutpoint=0.5)
    true, false = (same <= 0.5).sum(), (different <= 0.5).sum()
    x, y = ax.get_lines()[-1].get_xydata()[0]
    np.testing.assert_allclose((x, y), (true / len(same), true / (true + false)))
    assert np.isfinite(ax.get_lines()[N_LINES].get_ydata()).all()


def test_lines_of_equal_f1_are_so():
    ax = plot_precision_recall(([1, 0.5], [0.5, 1]))
    for line, f1 in zip(ax.get_lines(), (0.2, 0.4, 0.6, 0.8), strict=False):
        recall, precision = line.get_data()
        np.testing.assert_allclose(2 / (1 / recall + 1 / precision), f1)


def test_several_are_compared_by_name(calibration, legend):
    ax = plot_precision_recall({"a": calibration, "b": ([1.0, 0.5], [0.5, 1.0])})
    assert [words for words in legend(ax) if "distance" not in words] == ["a", "b"]


@pytest.mark.parametrize(
    "given, options, error, words",
    [
        (3, {}, TypeError, "`results` must be a calibration"),
        ({}, {}, ValueError, "at least one curve"),
        (([1], [2]), {}, ValueError, "`recall` must be from 0 to 1"),
        (([1], [1, 1]), {}, ValueError, "must have one length"),
        (([1], [1]), {"cutpoint": 0.5}, ValueError, "the curve has no distances"),
    ],
)
def test_bad_input_is_named(given, options, error, words):
    with pytest.raises(error, match=words):
        plot_precision_recall(given, **options)
    assert not plt.get_fignums()


def test_calibration_without_precision_names_the_cure(calibration):
    del calibration.thresholds["precision"]
    with pytest.raises(ValueError, match=r"no \['precision'\].*extra_metrics"):
        plot_precision_recall(calibration)
