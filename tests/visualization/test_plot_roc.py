"""The ROC curve: what is drawn and what is written."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.visualization import plot_roc


def test_draws_the_rates_of_results_with_their_area(results, legend):
    ax = plot_roc(results)
    line = ax.get_lines()[0]
    np.testing.assert_array_equal(line.get_xdata(), results.fpr)
    np.testing.assert_array_equal(line.get_ydata(), results.tpr)
    assert legend(ax) == ["AUC 0.5000"]


def test_area_of_arrays_is_that_of_all_pairs_of_pairs(pairs, results, legend):
    same, different = pairs
    nearer = [(s < d) + 0.5 * (s == d) for s in same for d in different]
    ax = plot_roc((results.fpr, results.tpr))
    assert legend(ax) == [f"AUC {np.mean(nearer):.4f}"]


@pytest.mark.parametrize("cutpoint", [0.45, 0.455, {"distance": 0.455}])
def test_cutpoint_is_where_that_many_pairs_are_accepted(
    pairs, results, legend, cutpoint
):
    # Both accept the pairs at 0.45, which there are, and none beyond.
    same, different = pairs
    assert 0.45 in same
    ax = plot_roc(results, cutpoint=cutpoint)
    (x,), (y,) = ax.get_lines()[1].get_data()
    assert (x, y) == (np.mean(different <= 0.45), np.mean(same <= 0.45))
    assert legend(ax)[1] == f"distance 0.45: FAR {x:.3g}, TAR {y:.3g}"


def test_cutpoint_may_be_the_equal_error_rate(results):
    ax = plot_roc((results.fpr, results.tpr), cutpoint="eer")
    (x,), (y,) = ax.get_lines()[1].get_data()
    assert max(x, 1 - y) == np.maximum(results.fpr, 1 - results.tpr).min()


def test_curves_to_compare_differ_in_colour_and_in_kind(results, legend):
    ax = plot_roc({f"model ${i}$": results for i in range(9)})
    lines = ax.get_lines()[:9]
    styles = {(line.get_color(), str(line._dash_pattern)) for line in lines}
    assert len(styles) == 9
    assert legend(ax)[0] == "model $0$: AUC 0.5000"
    ax.figure.canvas.draw()


def test_logarithmic_axis_begins_at_the_smallest_rate(results):
    ax = plot_roc(results, log_x=True)
    assert ax.get_xscale() == "log"
    assert ax.get_xlim() == (results.fpr[results.fpr > 0].min(), 1.0)


def test_long_curves_keep_their_shape_in_few_points():
    rates = np.linspace(0, 1, 300_001)
    ax = plot_roc((rates**4, rates))
    x, y = ax.get_lines()[0].get_data()
    assert len(x) < 5000 and (np.diff(x) >= 0).all()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    at = np.geomspace(1e-8, 1, 1000)
    np.testing.assert_allclose(np.interp(at, x, y), at**0.25, rtol=0.02)


def test_colours_stand_out_on_light_and_on_dark(results):
    light = plot_roc(results).get_lines()[0].get_color()
    with plt.style.context("dark_background"):
        dark = plot_roc(results).get_lines()[0].get_color()
    assert light != dark
    for ground, expected in (("black", dark), ("white", light)):
        ax = plt.subplots()[1]
        ax.figure.set_facecolor(ground)
        ax.set_facecolor("none")
        assert plot_roc(results, ax=ax).get_lines()[0].get_color() == expected


def test_draws_on_given_axes_with_a_title_and_shows_if_asked(results, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    ax = plt.subplots()[1]
    assert plot_roc(results, ax=ax, title="$5 a pair") is ax
    assert ax.get_title() == "$5 a pair" and not shown
    plot_roc(results, show=True)
    assert shown == [1]
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    "given, options, error, words",
    [
        (3, {}, TypeError, "`results` must be what `evaluate_verification` gives"),
        ({}, {}, ValueError, "at least one curve"),
        (([0, 1], [0, 0.5, 1]), {}, ValueError, "must have one length"),
        (([0, 2], [0, 1]), {}, ValueError, "`fpr` must be rates from 0 to 1"),
        (([0, 1], [1, 0]), {}, ValueError, "`tpr` must be rates .* never fall"),
        (([0, np.nan], [0, 1]), {}, ValueError, "`fpr` must not be NaN"),
        (([0, 1], [0, 1], [0.5, 0.1]), {}, ValueError, "similarities"),
        (([0, 1], [0, 1]), {"cutpoint": 0.5}, ValueError, "has no thresholds"),
        (([0, 1], [0, 1]), {"cutpoint": np.nan}, ValueError, "must not be NaN"),
        (([0, 1], [0, 1]), {"cutpoint": "x"}, TypeError, "`cutpoint` must be"),
        ((["a"], [0]), {}, ValueError, "`fpr` must be numbers"),
        (([], []), {}, ValueError, "`fpr` must be numbers"),
        (([0, 1], [0, 1]), {"ax": 3}, TypeError, "`ax` must be Matplotlib axes"),
    ],
)
def test_bad_input_is_named(given, options, error, words):
    with pytest.raises(error, match=words):
        plot_roc(given, **options)
    assert not plt.get_fignums()


def test_calibration_without_optimal_is_named(results):
    results.cutpoints = {"mine": {"distance": 1.0}}
    with pytest.raises(ValueError, match=r"no cutpoint 'optimal', only \['mine'\]"):
        plot_roc(results, cutpoint=results)


def test_missing_matplotlib_names_the_command(results, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="ROC curve needs matplotlib. .*pip install"):
        plot_roc(results)


def test_curves_go_from_nothing_to_all_though_arrays_may_not(legend):
    ax = plot_roc(([0.5, 0.75], [0.9, 1.0], [0.2, 0.3]), cutpoint=0.1)
    x, y = ax.get_lines()[0].get_data()
    assert (x.tolist(), y.tolist()) == ([0, 0.5, 0.75, 1], [0, 0.9, 1, 1])
    area = 0.5 * 0.45 + 0.25 * 0.95 + 0.25
    assert legend(ax) == [f"AUC {area:.4f}", "cutpoint: FAR 0, TAR 0"]


def test_names_that_begin_with_an_underscore_stand_in_the_legend(legend):
    ax = plot_roc({"_v2": ([0, 0.5, 1], [0, 0.9, 1]), "v1": ([0, 1], [0, 1])})
    words = [text.lstrip("\N{ZERO WIDTH SPACE}") for text in legend(ax)]
    assert words == ["_v2: AUC 0.7000", "v1: AUC 0.5000"]
