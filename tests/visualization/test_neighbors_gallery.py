"""Galleries: the order of queries, the marks, the figure and the page."""

import math
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorflow_similarity.types import NO_LABEL, Lookup, Lookups
from tensorflow_similarity.visualization import NeighborsGallery, neighbors_gallery


def row(*pairs, data=None):
    """Neighbours of one query from (label, distance)."""
    return [
        Lookup(i + 1, distance, label=label, data=data, id=i)
        for i, (label, distance) in enumerate(pairs)
    ]


# Query 0 is right; 1 is wrong, right by far; 2 never right; 3 right, no wrong one.
FOUND = [
    row((0, 0.1), (1, 0.4)),
    row((1, 0.1), (0, 0.9)),
    row((1, 0.2), (1, 0.3)),
    row((1, 0.5), (1, 0.6)),
]
LABELS = [0, 0, 0, 1]


def as_arrays(found, k=2):
    """The same as `Lookups`, padded."""
    ids = np.full((len(found), k), -1)
    distances = np.full((len(found), k), np.inf, "float32")
    labels = np.full((len(found), k), NO_LABEL)
    for i, items in enumerate(found):
        for j, item in enumerate(items):
            ids[i, j], distances[i, j] = j, item.distance
            labels[i, j] = NO_LABEL if item.label is None else item.label
    return Lookups(ids, distances, labels)


@pytest.mark.parametrize("form", [list, as_arrays])
def test_worst_are_those_whose_right_neighbours_are_far_and_wrong_ones_near(form):
    gallery = neighbors_gallery(form(FOUND), labels=LABELS, sort="worst")
    assert gallery.order == [2, 1, 0, 3]
    captions = [row.caption for row in gallery.rows]
    assert captions[0] == "no right one found, nearest wrong one at 0.2"
    assert captions[1] == "nearest right one at 0.9, nearest wrong one at 0.1"
    assert captions[3] == "nearest right one at 0.5, no wrong one found"


def badness(items, label):
    """The definition of "worst", one query at a time."""
    right = min([x.distance for x in items if x.label == label], default=math.inf)
    wrong = min([x.distance for x in items if x.label != label], default=math.inf)
    if right == math.inf:
        return (0, wrong)
    if wrong == math.inf:
        return (2, -right)
    return (1, wrong - right)


tables = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(-1, 2), st.integers(0, 4)), min_size=1, max_size=4
        ),
        st.integers(-1, 2),
    ),
    min_size=1,
    max_size=8,
)


@given(tables)
def test_worst_first_for_any_neighbours_with_ties_and_duplicates(table):
    found = [
        row(*sorted(((label, d / 4) for label, d in items), key=lambda x: x[1]))
        for items, _ in table
    ]
    labels = [label for _, label in table]
    gallery = neighbors_gallery(found, labels=labels, sort="worst", max_queries=100)
    assert sorted(gallery.order) == list(range(len(table)))
    values = [badness(found[i], labels[i]) for i in gallery.order]
    assert values == sorted(values)


def test_confused_are_the_commonest_pairs_of_classes_then_the_nearest():
    found = [
        row((1, 0.3)),  # 0 taken for 1
        row((2, 0.1)),  # 0 taken for 2
        row((0, 0.1)),  # right
        row((1, 0.2)),  # 0 taken for 1
        row((0, 0.05)),  # 1 taken for 0
    ]
    gallery = neighbors_gallery(
        found, labels=[0, 0, 0, 0, 1], sort="confused", class_mapping=["cat", "dog"]
    )
    assert gallery.order == [3, 0, 1, 4]
    assert gallery.rows[0].caption == "cat taken for dog, 2 times"
    assert gallery.rows[2].caption == "cat taken for 2, 1 times"
    assert gallery.note == "4 of 4 that this order is about, among 5 queries"


def test_threshold_orders_by_how_near_the_decision_was():
    gallery = neighbors_gallery(
        [row((0, 0.1)), row((0, 0.45)), [], row((0, 0.5))], sort="threshold",
        threshold={"distance": 0.46},
    )  # fmt: skip
    assert gallery.order == [1, 3, 0]
    assert gallery.rows[0].caption == "within the threshold 0.46 by 0.01"
    assert gallery.rows[1].caption == "beyond the threshold 0.46 by 0.04"


def test_calibration_is_a_threshold_too():
    calibration = SimpleNamespace(cutpoints={"optimal": {"distance": 0.2}})
    gallery = neighbors_gallery(FOUND, sort="threshold", threshold=calibration)
    assert gallery.order[0] == 2


def test_marks_say_right_wrong_or_neither():
    gallery = neighbors_gallery(
        [row((0, 0.1), (1, 0.2), (None, 0.3))] * 2, labels=[0, None]
    )
    assert [cell.mark for cell in gallery.rows[0].neighbors] == [1, -1, 0]
    assert [cell.mark for cell in gallery.rows[1].neighbors] == [0, 0, 0]
    titles = [cell.title for cell in gallery.rows[0].neighbors]
    assert titles == ["0 - 0.10000", "1 - 0.20000", "no label - 0.30000"]


def test_minus_one_is_a_class():
    gallery = neighbors_gallery([row((-1, 0.1), (0, 0.2))], labels=[-1])
    assert [cell.mark for cell in gallery.rows[0].neighbors] == [1, -1]


def test_only_as_many_as_asked_for_and_it_says_so():
    gallery = neighbors_gallery(FOUND, max_queries=2, max_neighbors=1)
    assert gallery.order == [0, 1] and len(gallery) == 2
    assert [len(row.neighbors) for row in gallery.rows] == [1, 1]
    assert repr(gallery) == "NeighborsGallery(2 of 4 queries)"


class Reader(HTMLParser):
    """Tags that have no partner, and all addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attributes):
        self.addresses += [v for k, v in attributes if k in ("src", "href")]
        if tag not in ("img", "br", "meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_one_file_without_addresses_elsewhere(tmp_path):
    pictures = [np.eye(8)] * 4
    found = [row((0, 0.1), (1, 0.2), data=np.eye(8)) for _ in range(4)]
    gallery = neighbors_gallery(found, pictures, LABELS, title="Mine & yours")
    path = gallery.save_html(tmp_path / "gallery.html")
    text = path.read_text("utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert all(address.startswith("data:") for address in reader.addresses)
    assert len([a for a in reader.addresses if "image/png" in a]) == 4 * 3
    assert "http" not in text and "<script" not in text
    assert "<title>Mine &amp; yours</title>" in text


def test_marks_in_the_page_are_colour_and_sign():
    html = neighbors_gallery([row((0, 0.1), (1, 0.2))], labels=[0])._repr_html_()
    right, wrong = re.findall(r'<figure class="(?:right|wrong)">.*?</figure>', html)
    assert 'class="right"' in right and "\N{CHECK MARK}" in right
    assert 'class="wrong"' in wrong and "\N{MULTIPLICATION SIGN}" in wrong
    assert html.startswith('<div class="tfsim-gallery">')


def test_texts_are_escaped():
    found = [[Lookup(1, 0.5, label="<i>a</i>", data="<script>alert(1)</script>")]]
    html = neighbors_gallery(found, ["<b>query</b>"], ["<i>a</i>"]).html()
    assert "<script" not in html and "<b>" not in html and "<i>" not in html
    assert "&lt;script&gt;alert(1)" in html


class Markup:
    def _repr_html_(self):
        return "<b>own</b> &amp; bold"


@pytest.mark.parametrize(
    "render, in_page, in_figure",
    [
        (lambda data: f"<{data}>", "&lt;1&gt;", "<1>"),
        (lambda data: Markup(), "<b>own</b> &amp; bold", "own & bold"),
        (lambda data: np.eye(8), "data:image/png", None),
        (None, '<span class="text">1</span>', "1"),
    ],
)
def test_render_gives_text_html_or_a_picture(render, in_page, in_figure):
    found = [row((0, 0.1), data=1)]
    gallery = neighbors_gallery(found, [1], render=render)
    assert gallery.html().count(in_page) == 2
    axes = gallery.figure().axes
    if in_figure is None:
        assert all(len(axis.images) == 1 for axis in axes)
    else:
        assert [axis.texts[0].get_text() for axis in axes] == [in_figure] * 2


def test_data_of_any_kind_are_shown_without_render():
    data = [{"title": "a", "price": 3}, b"bytes", np.zeros(7), 1.5, "x" * 400]
    html = neighbors_gallery([[] for _ in data], data).html()
    for words in ("title: a\nprice: 3", "bytes", "ndarray of shape (7,)", "1.5", "x…"):
        assert words in html
    assert "x" * 300 not in html
    assert html.count("nothing found") == len(data)


def test_figure_has_a_row_for_each_query_with_signs_and_frames():
    found = [row((0, 0.1), (1, 0.2), data=np.eye(8))] * 2
    figure = neighbors_gallery(
        found, [np.eye(8)] * 2, [0, 1], class_mapping=["a", "b"]
    ).figure()
    assert len(figure.axes) == 6
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:3] == ["a", "\N{CHECK MARK} a - 0.10000", "× b - 0.20000"]
    right, wrong = (axis.spines["left"] for axis in figure.axes[1:3])
    assert right.get_edgecolor() != wrong.get_edgecolor()
    assert wrong.get_linewidth() > 2 * right.get_linewidth()
    assert "2 of 2 queries" in [text.get_text() for text in figure.texts]
    figure.canvas.draw()


def test_names_with_dollars_and_dashes_are_drawn_as_they_are():
    found = [[Lookup(1, 0.5, label="$a - b$", data="costs $5 and $x^$")]]
    figure = neighbors_gallery(found, ["$"], ["$a - b$"]).figure()
    assert figure.axes[0].get_title() == "$a - b$"
    assert figure.axes[1].get_title() == "\N{CHECK MARK} $a - b$ - 0.50000"
    figure.canvas.draw()


def test_no_queries_make_an_empty_gallery():
    gallery = neighbors_gallery([], [], [])
    assert isinstance(gallery, NeighborsGallery) and not gallery.rows
    assert "0 of 0 queries" in gallery.html()
    gallery.figure().canvas.draw()


@pytest.mark.parametrize(
    "arguments, options, error, words",
    [
        ((FOUND, [1, 2]), {}, ValueError, "`queries` must hold one for each of the 4"),
        (
            (FOUND, None, [1]),
            {},
            ValueError,
            "`labels` must hold one for each of",
        ),
        ((None,), {}, TypeError, "`lookups` must be `Lookups`.*Received: NoneType"),
        ((FOUND, None, 3), {}, TypeError, "`labels` must hold one for each.*int"),
        ((FOUND,), {"title": None}, TypeError, "`title` must be a string"),
        ((FOUND,), {"sort": "best"}, ValueError, "`sort` must be one of"),
        ((FOUND,), {"sort": "worst"}, ValueError, "pass `labels` of the queries"),
        ((FOUND,), {"sort": "confused"}, ValueError, "pass `labels` of the queries"),
        ((FOUND,), {"sort": "threshold"}, ValueError, "needs `threshold`"),
        ((FOUND,), {"max_queries": 0}, ValueError, "`max_queries` must be an integer"),
        ((FOUND,), {"max_neighbors": 1.5}, ValueError, "`max_neighbors` must be"),
        ((FOUND[0],), {}, TypeError, r"pass `\[neighbors\]`"),
        ((FOUND, None, list("abcd")), {}, TypeError, "labels are strings, those of"),
        ((FOUND,), {"threshold": "far"}, TypeError, "`threshold` must be a distance"),
        (
            ([row((0, 0.1), data=1)],),
            {"render": lambda data: 3},
            TypeError,
            "For the neighbour of rank 1 it gave: int",
        ),
    ],
)
def test_bad_input_is_named(arguments, options, error, words):
    with pytest.raises(error, match=words):
        neighbors_gallery(*arguments, **options)


def test_pictures_with_holes_are_named():
    whole = np.full((8, 8), 0.5)
    holed = np.where(np.eye(8), np.nan, whole)
    words = r"`queries\[2\]` must not be NaN.*8 NaN in 64"
    with pytest.raises(ValueError, match=words):
        neighbors_gallery(FOUND, [whole, whole, holed, whole])
    found = [row((0, 0.1), data=np.stack([holed] * 3, axis=-1))]
    words = "picture of the neighbour of rank 1 must not be NaN.*nan_to_num"
    with pytest.raises(ValueError, match=words):
        neighbors_gallery(found)
