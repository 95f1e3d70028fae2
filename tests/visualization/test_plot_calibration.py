"""Metrics over distance, with cutpoints."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.visualization import plot_calibration


def labels(ax):
    return [line.get_label() for line in ax.get_lines()]


def test_each_metric_is_a_line_and_each_cutpoint_upright(calibration):
    ax = plot_calibration(calibration)
    assert labels(ax) == [
        "precision",
        "recall",
        "f1",
        "sure: distance 0.2",
        "optimal: distance 0.3",
    ]
    for line, name in zip(ax.get_lines(), ("precision", "recall", "f1"), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), [0.1, 0.2, 0.3, 0.4])
        np.testing.assert_array_equal(line.get_ydata(), calibration.thresholds[name])
    assert list(ax.get_lines()[3].get_xdata()) == [0.2, 0.2]


def test_metrics_and_cutpoints_may_be_chosen(calibration):
    ax = plot_calibration(calibration, "f1", cutpoints="optimal")
    assert labels(ax) == ["f1", "optimal: distance 0.3"]
    ax = plot_calibration(calibration.thresholds, ["recall"], cutpoints={"mine": 0.25})
    assert labels(ax) == ["recall", "mine: distance 0.25"]


def test_infinite_distances_are_left_out(calibration):
    calibration.thresholds["distance"][-1] = np.inf
    calibration.cutpoints["all"] = {"distance": np.inf}
    ax = plot_calibration(calibration, "f1")
    assert ax.get_lines()[0].get_xdata().tolist() == [0.1, 0.2, 0.3]
    assert len(labels(ax)) == 3
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    "given, options, error, words",
    [
        (3, {}, TypeError, "`calibration` must be what `model.calibrate` gives"),
        ({"f1": [1]}, {}, ValueError, "must have 'distance' and at least one"),
        ({"distance": [1]}, {}, ValueError, "must have 'distance' and at least one"),
        ({"distance": [1, 2], "f1": [1]}, {}, ValueError, "must have one length"),
        ({"distance": [1], "f1": [1]}, {"metrics": "f2"}, ValueError, r"\['f1'\]"),
        ({"distance": [1], "f1": [1]}, {"cutpoints": "x"}, ValueError, "`cutpoints`"),
        ({"distance": [np.nan], "f1": [1]}, {}, ValueError, "must not be NaN"),
    ],
)
def test_bad_input_is_named(given, options, error, words):
    with pytest.raises(error, match=words):
        plot_calibration(given, **options)
    assert not plt.get_fignums()
