"""The DET curve: both error rates on axes of normal deviates."""

from statistics import NormalDist

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.evaluators import evaluate_verification
from tensorflow_similarity.visualization import plot_det


def test_draws_rates_between_nothing_and_all(results, legend):
    ax = plot_det(results)
    x, y = ax.get_lines()[0].get_data()
    fnr = 1 - results.tpr
    inside = (results.fpr > 0) & (results.fpr < 1) & (fnr > 0) & (fnr < 1)
    np.testing.assert_array_equal(x, results.fpr[inside])
    np.testing.assert_array_equal(y, fnr[inside])
    # Between 0.44 and 0.45 the errors cross.
    assert legend(ax) == ["equal error rate 0.0571"]


def test_the_equal_error_rate_is_that_of_the_evaluation(legend):
    embeddings = [[0, 0], [0, 0], [1, 0], [1, 0], [3, 0], [10, 0], [10, 1], [2, 2]]
    labels = ["a", "b", "a", "b", "c", "d", "d", "a"]
    found = evaluate_verification(embeddings, labels, distance="euclidean")
    words = f"equal error rate {found.eer:.3g}"
    assert legend(plot_det(found)) == [words]
    assert legend(plot_det((found.fpr, found.tpr))) == [words]


def test_two_normal_distributions_are_a_straight_line():
    at = np.linspace(-2, 4, 60)
    fpr = np.array([NormalDist(2, 1).cdf(t) for t in at])
    tpr = np.array([NormalDist(0, 1).cdf(t) for t in at])
    ax = plot_det((fpr, tpr))
    x, y = ax.transData.transform(np.transpose(ax.get_lines()[0].get_data())).T
    slope = np.polyfit(x, y, 1)
    np.testing.assert_allclose(np.polyval(slope, x), y, atol=0.5)
    assert slope[0] < 0


def test_cutpoint_is_marked_with_its_rates(pairs, results, legend):
    same, different = pairs
    ax = plot_det(results, cutpoint=0.45)
    (x,), (y,) = ax.get_lines()[1].get_data()
    np.testing.assert_allclose(x, np.mean(different <= 0.45))
    np.testing.assert_allclose(y, np.mean(same > 0.45))
    assert legend(ax)[1] == f"distance 0.45: FAR {x:.3g}, FRR {y:.3g}"


def test_whole_curve_lies_in_the_axes_and_ticks_are_per_cent(results):
    ax = plot_det({"a": results, "b": results})
    x, y = ax.get_lines()[0].get_data()
    assert ax.get_xlim()[0] < min(x.min(), y.min())
    assert "20" in [tick.get_text() for tick in ax.get_xticklabels()]
    ax.figure.canvas.draw()


def test_pairs_without_errors_have_no_curve():
    with pytest.raises(ValueError, match="There is no DET curve .* `plot_distances`"):
        plot_det(([0, 0, 1], [0, 1, 1]))
    assert not plt.get_fignums()


def test_cutpoint_needs_thresholds():
    with pytest.raises(ValueError, match="has no thresholds"):
        plot_det(([0, 0.5, 1], [0, 0.7, 1]), cutpoint=0.3)
