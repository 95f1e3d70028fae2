"""The pictures, read back from the axes and from the pixels."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tensorflow_similarity.types import Lookup
from tensorflow_similarity.visualization import viz_neigbors_imgs, viz_neighbors_imgs
from tensorflow_similarity.visualization.neighbors import _RIGHT, _WRONG

pytestmark = pytest.mark.backend_smoke


@pytest.fixture(autouse=True)
def figures():
    yield
    plt.close("all")


def picture(*shape, dtype="float32", low=0.0, high=1.0, seed=0):
    values = np.random.default_rng(seed).uniform(low, high, shape)
    return values.astype(dtype)


def found(*labels, shape=(8, 8), **options):
    return [
        Lookup(
            rank=i + 1,
            distance=0.125 * (i + 1),
            label=label,
            data=picture(*shape, seed=i, **options),
        )
        for i, label in enumerate(labels)
    ]


def axes_of(*args, **options):
    drawn = viz_neighbors_imgs(*args, show=False, **options)
    return drawn.gcf().axes


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255.0


def has_colour(image, colour):
    return bool((np.abs(image - np.array(to_rgb(colour))).max(axis=-1) < 0.02).any())


def test_query_comes_first_then_neighbours_titled_with_label_and_distance():
    query = picture(8, 8)
    neighbors = found(3, 3, 7)
    axes = axes_of(query, 3, neighbors)
    assert [axis.get_title() for axis in axes] == [
        "query: 3",
        "3 - 0.12500",
        "3 - 0.25000",
        "× 7 - 0.37500",
    ]
    np.testing.assert_array_equal(axes[0].images[0].get_array(), query)
    for axis, neighbor in zip(axes[1:], neighbors, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), neighbor.data)


def test_wrong_neighbours_of_one_channel_are_red():
    axes = axes_of(picture(8, 8), 3, found(3, 7), cmap="Greys")
    names = [axis.images[0].get_cmap().name for axis in axes]
    assert names == ["Greys", "Greys", "Reds"]


def test_wrong_neighbours_in_colour_have_their_own_frame_in_the_pixels():
    grey = np.full((8, 8, 3), 0.5)
    for label, colour, absent in ((3, _RIGHT, _WRONG), (7, _WRONG, _RIGHT)):
        lookups = [Lookup(rank=1, distance=0.5, label=label, data=grey)]
        viz_neighbors_imgs(grey, 3, lookups, show=False)
        image = pixels(plt.gcf())
        assert has_colour(image, colour)
        assert not has_colour(image, absent)


def test_wrong_frame_is_wider_than_right_frame():
    _, right, wrong = axes_of(picture(8, 8), 3, found(3, 7))
    widths = [axis.spines["left"].get_linewidth() for axis in (right, wrong)]
    assert widths[1] > 2 * widths[0]


def stretched(x):
    return (x - x.min()) / (x.max() - x.min())


@pytest.mark.parametrize(
    "options, shape, expected",
    [
        ({"dtype": "uint8", "high": 255}, (8, 8), None),
        ({"dtype": "uint8", "high": 255}, (8, 8, 1), None),
        ({"dtype": "float32", "high": 255}, (8, 8, 1), None),
        ({"dtype": "bool"}, (8, 8), None),
        ({"dtype": "uint8", "high": 255}, (8, 8, 3), lambda x: x),
        ({"dtype": "int64", "high": 255}, (8, 8, 3), lambda x: x),
        ({"dtype": "float32", "high": 1}, (8, 8, 3), lambda x: x),
        ({"dtype": "float16", "high": 1}, (8, 8, 3), lambda x: x.astype("float32")),
        ({"dtype": "float32", "high": 255}, (8, 8, 3), lambda x: x / 255),
        ({"dtype": "uint8", "high": 255}, (8, 8, 4), lambda x: x),
        ({"dtype": "float32", "low": -1, "high": 1}, (8, 8, 3), stretched),
    ],
)
def test_pictures_of_every_kind_are_drawn_as_they_are(options, shape, expected):
    data = picture(*shape, **options)
    lookups = [Lookup(rank=1, distance=0.5, label=0, data=data)]
    for axis in axes_of(data, 0, lookups):
        drawn = axis.images[0].get_array()
        wanted = data.reshape(8, 8) if expected is None else expected(data)
        np.testing.assert_allclose(np.asarray(drawn, "float64"), wanted, rtol=1e-6)
    pixels(plt.gcf())


@pytest.mark.parametrize(
    "label",
    [
        3,
        np.int64(3),
        np.array(3),
        np.array([3], "uint8"),
        np.float32(3.0),
    ],
)
def test_class_of_the_query_may_be_any_single_value(label):
    axes = axes_of(picture(8, 8), label, found(3))
    assert axes[0].get_title() == "query: 3"
    assert axes[1].images[0].get_cmap().name == "viridis"


def test_class_of_the_query_may_be_a_tensor():
    from keras import ops

    axes = axes_of(ops.ones((8, 8, 1)), ops.convert_to_tensor(3), found(3))
    assert axes[0].get_title() == "query: 3"


@pytest.mark.parametrize("label", ["cat", b"cat", np.array("cat"), np.array(b"cat")])
def test_labels_may_be_strings(label):
    axes = axes_of(picture(8, 8), label, found("cat", "dog"))
    titles = [axis.get_title() for axis in axes]
    assert titles == ["query: cat", "cat - 0.12500", "× dog - 0.25000"]


def test_unknown_labels_are_never_wrong():
    for label, neighbour in ((None, 3), (3, None)):
        axis = axes_of(picture(8, 8), label, found(neighbour))[1]
        assert axis.images[0].get_cmap().name == "viridis"
        assert not axis.axison
    assert axis.get_title() == "no label - 0.12500"


class Names:
    def get(self, key, default=None):
        return {0: "cat", 1: "dog"}.get(key, default)


@pytest.mark.parametrize(
    "mapping",
    [{0: "cat", 1: "dog"}, ["cat", "dog"], ("cat", "dog"), Names()],
)
def test_class_mapping_names_the_labels_it_knows(mapping):
    axes = axes_of(picture(8, 8), np.array(0), found(0, 1, 2, -1), mapping)
    titles = [axis.get_title() for axis in axes]
    assert titles[0] == "query: cat"
    assert [re.sub(" - .*", "", title) for title in titles[1:]] == [
        "cat",
        "× dog",
        "× 2",
        "× -1",
    ]


def test_query_without_neighbours_stands_alone():
    assert len(axes_of(picture(8, 8), 3, [])) == 1


def test_figure_has_the_size_asked_for():
    drawn = viz_neighbors_imgs(picture(8, 8), 3, found(3), fig_size=(6, 2), show=False)
    assert tuple(drawn.gcf().get_size_inches()) == (6, 2)


@pytest.mark.parametrize("fig_size", [(24, 4), (16, 2), (8, 8)])
def test_titles_lie_inside_the_figure(fig_size):
    axes = axes_of(picture(8, 8), 3, found(3, 7, 3, 3, 3), fig_size=fig_size)
    figure = plt.gcf()
    figure.canvas.draw()
    for axis in axes:
        box = axis.title.get_window_extent()
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert box.y0 >= axis.get_window_extent().y1


def test_shows_and_returns_nothing_by_default(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    assert viz_neighbors_imgs(picture(8, 8), 3, found(3)) is None
    assert len(shown) == 1


def test_the_misspelt_name_draws_too():
    drawn = viz_neigbors_imgs(picture(8, 8), 3, found(3), show=False)
    assert drawn is plt


def test_can_be_saved(tmp_path):
    path = tmp_path / "neighbours.png"
    viz_neighbors_imgs(picture(8, 8), 3, found(3, 7), show=False).savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_neighbour_without_data_names_the_cure():
    with pytest.raises(ValueError, match=r"model\.index\(x, y, data=x\)"):
        viz_neighbors_imgs(picture(8, 8), 3, [Lookup(rank=1, distance=0.5, label=3)])
    assert not plt.get_fignums()


def holed(*shape):
    """A picture with one value missing."""
    values = np.full(shape, 0.5)
    values[2, 3] = np.nan
    return values


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ((picture(8), 3, []), ValueError, "`example` must be one picture"),
        ((picture(2, 8, 8, 3), 3, []), ValueError, "`example` must be one picture"),
        ((picture(8, 8, 2), 3, []), ValueError, r"shape=\(8, 8, 2\)"),
        (("a.png", 3, []), ValueError, "must be one picture of numbers"),
        (([[1], [1, 2]], 3, []), ValueError, "must be one picture of numbers"),
        (
            (np.full((8, 8, 3), np.nan), 3, []),
            ValueError,
            "`example` must not be NaN.*192 NaN in 192 values.*nan_to_num",
        ),
        (
            (picture(8, 8), 3, [Lookup(rank=2, distance=0.5, data=holed(8, 8))]),
            ValueError,
            "`data` of the neighbour of rank 2 must not be NaN.*1 NaN in 64 values",
        ),
        ((picture(8, 8), [1, 2], []), ValueError, "`example_class` must be one label"),
        ((picture(8, 8), np.nan, []), ValueError, "one label, or None.*NaN"),
        ((picture(8, 8), 3, None), TypeError, "item of type NoneType"),
        ((picture(8, 8), 3, [found(3)]), TypeError, r"lookups\[0\]"),
        ((picture(8, 8), 3, found(3), "names"), TypeError, r"must have `\.get`"),
        (
            (picture(8, 8), 3, [Lookup(rank=1, distance=0.5, data="a.png")]),
            ValueError,
            "`data` of the neighbour of rank 1",
        ),
    ],
)
def test_bad_input_is_named(arguments, error, words):
    with pytest.raises(error, match=words):
        viz_neighbors_imgs(*arguments)
    assert not plt.get_fignums()
