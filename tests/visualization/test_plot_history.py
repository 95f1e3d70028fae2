"""Training curves by quantity."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.visualization import plot_history

LOGS = {
    "loss": [0.9, 0.4],
    "avg_pos": [0.5, 0.2],
    "max_neg": [0.6, 0.9],
    "dist_gap": [0.0, 0.3],
    "f1_known_classes": [0.1, 0.5],
    "f1_unknown_classes": [0.2, 0.3],
    "val_loss": [1.0, 0.6],
    "val_avg_pos": [0.6, 0.3],
    "learning_rate": [1e-3, 1e-4],
}


def titles(axes):
    return [axis.get_title() for axis in axes]


def labels(axis):
    return [line.get_label() for line in axis.get_lines()]


def test_each_quantity_has_a_panel_and_validation_stands_beside():
    axes = plot_history(LOGS)
    assert titles(axes) == ["loss", "distances in the batch", "f1", "learning rate"]
    assert labels(axes[0]) == ["loss", "validation loss"]
    assert labels(axes[1]) == ["avg pos", "max neg", "dist gap", "validation avg pos"]
    assert labels(axes[2]) == ["f1 known classes", "f1 unknown classes"]
    assert axes[3].get_yscale() == "log"
    axes[0].figure.canvas.draw()


def test_values_stand_over_epochs_from_one():
    axes = plot_history(LOGS, "loss")
    training, validation = axes[0].get_lines()
    assert training.get_xydata().tolist() == [[1, 0.9], [2, 0.4]]
    assert validation.get_ydata().tolist() == [1.0, 0.6]
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert training.get_color() == validation.get_color()


def test_epochs_of_a_resumed_training_go_on():
    history = SimpleNamespace(history={"loss": [0.3, 0.2]}, epoch=[5, 6])
    line = plot_history(history)[0].get_lines()[0]
    assert line.get_xdata().tolist() == [6, 7]


def test_keras_history_is_taken():
    import keras

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2, verbose=0)
    line = plot_history(history)[0].get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), history.history["loss"])


def test_missing_values_leave_a_gap():
    line = plot_history({"loss": [1.0, float("nan"), 0.5]})[0].get_lines()[0]
    np.testing.assert_array_equal(line.get_ydata(), [1.0, np.nan, 0.5])


def test_metrics_are_chosen_without_their_prefix():
    axes = plot_history(LOGS, ["avg_pos", "f1"])
    assert titles(axes) == ["distances in the batch", "f1"]
    assert labels(axes[0]) == ["avg pos", "validation avg pos"]


def test_draws_on_axes_of_the_user():
    mine = plt.subplots(1, 2)[1]
    axes = plot_history({"loss": [1.0], "f1": [0.5]}, ax=mine)
    assert list(axes) == list(mine)
    single = plt.subplots()[1]
    assert plot_history({"loss": [1.0]}, ax=single)[0] is single


@pytest.mark.parametrize(
    "given, options, error, words",
    [
        (3, {}, TypeError, "`history` must be what `model.fit` gives"),
        ({}, {}, ValueError, "`history` is empty"),
        ({"loss": ["low"]}, {}, ValueError, r"`history\['loss'\]` must be numbers"),
        (LOGS, {"metrics": "val_loss"}, ValueError, "`metrics` must be among"),
        (LOGS, {"metrics": []}, ValueError, "`metrics` must be among"),
        (LOGS, {"ax": [1, 2]}, ValueError, "`ax` must be 4 axes"),
    ],
)
def test_bad_input_is_named(given, options, error, words):
    with pytest.raises(error, match=words):
        plot_history(given, **options)
    assert not plt.get_fignums()
