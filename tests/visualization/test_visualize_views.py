"""Views of pictures, read back from the axes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.visualization import visualize_views, vizualize_views


def views(n=6, shape=(8, 8, 3), n_views=2, high=1.0):
    rng = np.random.default_rng(0)
    return tuple(rng.uniform(0, high, (n, *shape)) for _ in range(n_views))


def titles(axes):
    return [axis.get_title() for axis in axes.ravel() if axis.images]


def test_views_of_one_picture_are_neighbours():
    given = views()
    axes = visualize_views(given, views_per_col=3, show=False)
    assert axes.shape == (2, 6)
    for i in range(6):
        for j in range(2):
            drawn = axes[i // 3, i % 3 * 2 + j].images[0].get_array()
            np.testing.assert_allclose(drawn, given[j][i])
    assert titles(axes)[:4] == ["0", "view 2", "1", "view 2"]


def test_the_call_of_the_notebooks_draws():
    axes = visualize_views(
        views=views(20, high=255.0),
        num_imgs=16,
        views_per_col=8,
        max_pixel_value=255.0,
        min_pixel_value=0,
        show=False,
    )
    assert axes.shape == (2, 16)
    assert tuple(axes[0, 0].figure.get_size_inches()) == (24, 4)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3)])
def test_values_are_scaled_between_the_limits_and_cut(shape):
    given = (
        np.full((1, *shape), -1.0),
        np.full((1, *shape), 0.5),
        np.full((1, *shape), 9.0),
    )
    axes = visualize_views(given, min_pixel_value=-1, max_pixel_value=1, show=False)
    drawn = [np.unique(axis.images[0].get_array()) for axis in axes[0]]
    assert drawn == [0.0, 0.75, 1.0]
    assert all(axis.images[0].get_clim() == (0.0, 1.0) for axis in axes[0])


def test_labels_and_predictions_stand_above_and_mistakes_have_a_cross():
    axes = visualize_views(
        views(3), ["cat", "dog", "cat"], ["cat", "cat", "$x^$"], show=False
    )
    expected = ["cat, predicted cat", "× dog, predicted cat", "× cat, predicted $x^$"]
    assert titles(axes)[::2] == expected


def test_scores_are_numbers_or_stand_for_the_best_class():
    axes = visualize_views(views(1), [2], [0.91234], show=False)
    assert titles(axes)[0] == "2, predicted 0.912"
    axes = visualize_views(views(1), [2], [[0.1, 0.7, 0.2]], show=False)
    assert titles(axes)[0] == "× 2, predicted 1"


def test_tensors_are_taken_and_the_last_row_may_be_short():
    from keras import ops

    given = [ops.convert_to_tensor(view) for view in views(5)]
    axes = visualize_views(given, views_per_col=4, show=False)
    assert axes.shape == (2, 8)
    assert sum(bool(axis.images) for axis in axes.ravel()) == 10


def test_shows_by_default_under_both_names(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    visualize_views(views(1))
    vizualize_views(views(1))
    assert shown == [1, 1]


@pytest.mark.parametrize(
    "given, options, words",
    [
        ((), {}, "`views` must hold at least one"),
        ((np.zeros((2, 8, 8)), np.zeros((3, 8, 8))), {}, r"pictures: \[2, 3\]"),
        ((np.zeros(8),), {}, r"`views\[0\]` must be pictures"),
        ((np.zeros((2, 8, 8, 5)),), {}, r"`views\[0\]\[0\]` must be one picture"),
        (
            (np.zeros((2, 8, 8, 3)), np.full((2, 8, 8, 3), np.nan)),
            {},
            r"`views\[1\]\[0\]` must not be NaN.*nan_to_num",
        ),
        (views(2), {"num_imgs": 0}, "`num_imgs` must be an integer"),
        (views(2), {"views_per_col": 1.5}, "`views_per_col` must be an integer"),
        (views(2), {"max_pixel_value": 0}, "must be above `min_pixel_value`"),
        (views(2), {"labels": [1]}, "`labels` must hold one value for each"),
        (views(2), {"predictions": [1]}, "`predictions` must hold one value"),
    ],
)
def test_bad_input_is_named(given, options, words):
    with pytest.raises(ValueError, match=words):
        visualize_views(given, **{"show": False, **options})
    assert not plt.get_fignums()
