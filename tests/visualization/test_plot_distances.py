"""Histograms of distances."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.visualization import plot_distances


def shares(ax):
    return [patch.get_data().values for patch in ax.patches]


def test_each_histogram_is_the_share_of_its_pairs(pairs, legend):
    ax = plot_distances(*pairs, bins=20)
    edges = ax.patches[0].get_data().edges
    for values, drawn in zip(pairs, shares(ax), strict=True):
        for i, share in enumerate(drawn):
            last = i == len(drawn) - 1
            below = values <= edges[i + 1] if last else values < edges[i + 1]
            assert share == pytest.approx(np.mean((values >= edges[i]) & below))
    assert legend(ax) == ["same: 200 pairs", "different: 300 pairs"]


def test_results_are_drawn_as_their_pairs_are(pairs, results):
    expected = shares(plot_distances(*pairs))
    for drawn, wanted in zip(shares(plot_distances(results)), expected, strict=True):
        np.testing.assert_allclose(drawn, wanted)


def test_threshold_says_what_lies_on_the_wrong_side(pairs, results, legend):
    same, different = pairs
    missed, taken = 100 * np.mean(same > 0.4), 100 * np.mean(different <= 0.4)
    for arguments in (pairs, (results,)):
        ax = plot_distances(*arguments, threshold=0.4)
        words = f"threshold 0.4: {missed:.3g} % missed, {taken:.3g} % taken for same"
        assert legend(ax)[-1] == words
        assert ax.get_lines()[0].get_xdata()[0] == 0.4


def test_the_two_differ_in_hatch_and_colour(pairs):
    first, second = plot_distances(*pairs).patches
    assert first.get_hatch() != second.get_hatch()
    assert first.get_edgecolor() != second.get_edgecolor()


def test_one_distance_only_and_a_logarithmic_axis_are_drawn():
    ax = plot_distances([0.5], [0.5], log_y=True)
    assert ax.get_yscale() == "log"
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    "arguments, options, error, words",
    [
        (([0.1],), {}, ValueError, "`different` is missing"),
        (([], [1]), {}, ValueError, "`same` must be numbers"),
        (([np.inf], [1]), {}, ValueError, "`same` must be finite"),
        (([0], [1]), {"bins": 0}, ValueError, "`bins` must be an integer"),
        (([0], [1]), {"bins": True}, ValueError, "`bins` must be an integer"),
        (([0], [1]), {"threshold": []}, TypeError, "`threshold` must be a distance"),
    ],
)
def test_bad_input_is_named(arguments, options, error, words):
    with pytest.raises(error, match=words):
        plot_distances(*arguments, **options)
    assert not plt.get_fignums()
