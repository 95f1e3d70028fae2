"""Time over recall."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.visualization import plot_recall_latency


def test_points_are_joined_by_recall_and_named():
    ax = plot_recall_latency([0.99, 0.8, 0.9], [2.0, 0.5, 1.0], names=[300, 10, 50])
    assert ax.get_lines()[0].get_xydata().tolist() == [[0.8, 0.5], [0.9, 1], [0.99, 2]]
    assert [(text.get_text(), text.xy) for text in ax.texts] == [
        ("10", (0.8, 0.5)),
        ("50", (0.9, 1.0)),
        ("300", (0.99, 2.0)),
    ]
    assert ax.get_yscale() == "log" and ax.get_legend() is None


def test_indexes_are_compared(legend):
    ax = plot_recall_latency({"a": ([0.9], [1.0]), "b": ([1.0], [3.0], ["$all^$"])})
    assert legend(ax) == ["a", "b"]
    first, second = ax.get_lines()
    assert first.get_marker() != second.get_marker()
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    "arguments, options, words",
    [
        (([0.9],), {}, "`latency` is missing"),
        (({},), {}, "at least one index"),
        (([0.9], [1.0, 2.0]), {}, "must have one length"),
        (([0.9], [1.0]), {"names": []}, "must have one length"),
        (([90], [1.0]), {}, "`recall` must be shares"),
        (([0.9], [0.0]), {}, "`latency` must be milliseconds above 0"),
        (([0.9], [np.nan]), {}, "`latency` must not be NaN"),
    ],
)
def test_bad_input_is_named(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        plot_recall_latency(*arguments, **options)
    assert not plt.get_fignums()
