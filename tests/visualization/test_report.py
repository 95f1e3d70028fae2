"""The report without a browser: what it says, what it leaves out, what it refuses."""

import html
import math
import os
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.visualization import (
    EmbeddingReport,
    projector,
    report,
    report_plots,
)
from tensorflow_similarity.visualization.pages import checked_path

N = 60
LABELS = np.arange(N) % 4
ROWS = (np.random.default_rng(0).normal(size=(N, 5)) + 2 * np.eye(5)[LABELS]).astype(
    "float32"
)
PICTURES = np.random.default_rng(1).integers(0, 256, (N, 6, 6)).astype("uint8")
WHOLE = {"images": PICTURES, "layout": "pca", "intervals": True}


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Plots are drawn, twice each, only where a test looks at them."""
    if "plots" not in request.fixturenames:
        monkeypatch.setattr(report_plots, "_picture", lambda *_: "data:,")


@pytest.fixture
def plots():
    """Asks for drawn plots."""


@pytest.fixture(scope="module")
def whole():
    """A page with everything drawn."""
    return made(**WHOLE)


def made(rows=ROWS, labels=LABELS, **options):
    options = {"layout": None, "intervals": False} | options
    return report(rows, labels, **options)


class Parts(HTMLParser):
    """Tags that must be closed are; ids, headings, pictures and tables as they come."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.headings = [], [], []
        self.alts, self.links, self.texts, self.tags = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self.tags.append(tag)
        if tag not in ("meta", "link", "img", "br", "source", "input"):
            self.open.append(tag)
        if "id" in facts:
            self.ids.append(facts["id"])
        if tag == "img":
            self.alts.append(facts.get("alt"))
        if tag == "a":
            self.links.append(facts["href"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append((self.open[-1], text))


def text_of(found):
    return " ".join(" ".join(Parts(found.html).texts).split())


def reference_precision_at_1(rows, labels):
    """Share of queries whose nearest other is of their class, one at a time."""
    rows = rows.astype("float64")
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    right = []
    for i in range(len(rows)):
        if labels[i] is None or sum(label == labels[i] for label in labels) < 2:
            continue
        far = [math.inf if j == i else 1 - rows[i] @ rows[j] for j in range(len(rows))]
        right.append(labels[int(np.argmin(far))] == labels[i])
    return float(np.mean(right)), len(right)


def test_numbers_are_those_of_the_definitions():
    found = made()
    expected, _ = reference_precision_at_1(ROWS, LABELS.tolist())
    assert 0.3 < expected < 1
    assert found.numbers["retrieval"]["precision_at_1"] == pytest.approx(expected)
    errors = found.numbers["errors"]
    assert errors["n_wrong"] == round((1 - expected) * N) and errors["n_judged"] == N
    assert found.numbers["verification"]["n_same"] == 4 * 15 * 14 / 2
    assert f"{expected:.4f}" in text_of(found)
    assert set(found.missing) == {"projector"}
    assert repr(found).startswith("EmbeddingReport(sections=['retrieval', ")


def test_unlabelled_and_lone_items_are_counted_and_left_out():
    labels = [None, None, "lone", *(f"class {i % 3}" for i in range(N - 3))]
    found = made(labels=labels)
    expected, n_judged = reference_precision_at_1(ROWS, labels)
    assert n_judged == N - 3
    assert found.numbers["retrieval"]["precision_at_1"] == pytest.approx(expected)
    text = text_of(found)
    assert "items without a label 2 classes of one item 1" in text
    out = "; left out: 2 without a label, 1 alone in its class metric"
    assert f"Means over {N - 3} queries{out}" in text
    numbers = found.numbers["retrieval"]
    assert numbers["n_lone_queries"] == 3 and numbers["n_unlabelled_queries"] == 2
    assert "2 items without a label left out" in text
    # What cannot be right is no error.
    assert not re.search(r"query [012]:", text)


def test_queries_without_a_label_are_not_called_alone():
    text = text_of(made(labels=[None] * 10 + [i % 2 for i in range(N - 10)]))
    assert f"Means over {N - 10} queries; left out: 10 without a label metric" in text
    assert "alone in" not in text


def test_shares_of_confused_classes_are_of_labelled_neighbours():
    labels = [None] * 10 + [i % 2 for i in range(N - 10)]
    found = made(labels=labels)
    rows = ROWS.astype("float64")
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    far = 1 - rows @ rows.T
    np.fill_diagonal(far, np.inf)
    near = [labels[j] for i in range(10, N, 2) for j in far[i].argsort()[:10]]
    share = near.count(1) / (near.count(0) + near.count(1))
    assert near.count(None) > 0
    shares = {(a, b): of for a, b, of in found.numbers["confused"]["most_confused"]}
    assert shares[0, 1] == pytest.approx(share)
    words = "Of the labelled ones among the 10 nearest neighbours of a class's items"
    assert words in text_of(found)


def test_errors_show_the_neighbours_that_are_there():
    found = made(max_errors=2)
    rows = ROWS.astype("float64")
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    far = 1 - rows @ rows.T
    np.fill_diagonal(far, np.inf)
    shown = re.findall(r'<p class="caption">query (\d+): (.*?)</p>', found.html)
    assert len(shown) == 2
    cells = re.findall(r"<figcaption>(.*?)</figcaption>", found.html)
    query, others = int(shown[0][0]), far[int(shown[0][0])].argsort()[:8]
    assert LABELS[others[0]] != LABELS[query]
    assert f"id {query}<" in cells[0]
    for cell, j in zip(cells[1:9], others, strict=True):
        label, distance = re.search(r"</span> (\d) - ([\d.]+)<", cell).groups()
        assert int(label) == LABELS[j]
        assert float(distance) == pytest.approx(far[query, j], abs=2e-5)
        assert f"id {j}<" in cell
        assert (">✓<" in cell) == (LABELS[j] == LABELS[query])
    assert "query 1" not in text_of(made(max_errors=0))


def test_without_errors_the_closest_calls_are_shown_and_no_det_curve(plots):
    rows = 10 * np.eye(5)[LABELS] + np.random.default_rng(0).normal(size=(N, 5)) / 50
    found = made(rows)
    text = text_of(found)
    assert "No nearest neighbour is of another class." in text
    assert "No item has one of another class among its 10 nearest" in text
    assert "No threshold errs both ways" in text
    assert found.numbers["verification"]["auc"] == 1.0


def test_without_labels_each_section_says_so():
    found = made(labels=None)
    judged = {"retrieval", "verification", "errors", "confused", "projector"}
    assert set(found.missing) == judged
    assert found.missing["errors"] == "no item has a label. Pass `labels`."
    assert "effective rank" in text_of(found)
    assert set(made(labels=[None] * N).missing) == judged


@pytest.mark.parametrize("k", [3, np.int64(3), [3], np.array([1, 3])])
def test_k_is_one_or_several(k):
    assert "precision_at_3" in made(k=k).numbers["retrieval"]


def test_k_beyond_the_items_is_told():
    found = made(ROWS[:30], LABELS[:30], k=[5, 29, 30, 100])
    (note,) = found.notes
    assert note.startswith("k = 30, 100 is more than the 29 others that each item has")
    assert note in text_of(found)
    # All others of the class are among all others.
    n_same = (LABELS[:30] == LABELS[:30, None]).sum(axis=1) - 1
    share = found.numbers["retrieval"]["precision_at_100"]
    assert share == pytest.approx(n_same.mean() / 29)


def test_one_class_has_retrieval_but_nothing_to_tell_apart():
    found = made(labels=[7] * N)
    assert found.numbers["retrieval"]["precision_at_1"] == 1.0
    assert set(found.missing) == {"verification", "confused", "projector"}
    assert "no pair is different" in found.missing["verification"]
    assert "Not here: all labelled items are of one class" in text_of(found)


def test_classes_of_one_only_have_no_pair():
    found = made(labels=np.arange(N))
    assert {"retrieval", "verification", "errors"} <= set(found.missing)
    assert "every class is a class of one" in found.missing["retrieval"]
    assert found.numbers["confused"]["most_confused"]


def test_distances_without_a_zero_have_no_health():
    found = made(distance="inner_product")
    assert "one that is 0 between equal items" in found.missing["health"]
    assert "inner_product" in text_of(found)


def test_two_classes():
    look_at_many_classes(2)


def test_many_classes_with_long_names_in_letters_that_matplotlib_lacks(plots):
    look_at_many_classes(200)


def look_at_many_classes(n_classes):
    labels = np.arange(400) % n_classes
    rows = np.random.default_rng(2).normal(size=(400, 4)) + labels[:, None] % 7
    names = [f"a 猫 with a really long name, number {i}" for i in range(n_classes)]
    found = made(rows, labels, class_mapping=names)
    text = text_of(found)
    assert names[1] in text
    n_shown = min(30, n_classes)
    assert f"Bars of the R-precision of {n_shown} classes" in found.html
    of = ": 30 of 200 classes" if n_classes == 200 else ""
    assert f"Retrieval by class, the worst first{of}" in text
    assert len(found.html) < 1_200_000


def test_page_is_one_document_with_contents_headings_captions_and_alternatives(whole):
    found = whole
    parts = Parts(found.html)
    assert len(parts.ids) == len(set(parts.ids))
    assert parts.links == [f"#{name}" for name in found.numbers]
    assert set(found.numbers) <= set(parts.ids)
    assert [level for level, _ in parts.headings].count("h1") == 1
    assert len(parts.headings) == 2 + len(found.numbers)
    assert parts.alts and all(parts.alts)
    assert parts.tags.count("table") == parts.tags.count("caption") == 6
    assert "prefers-color-scheme: dark" in found.html and "@media print" in found.html
    # One projector with one copy of Bokeh, in its frame.
    alone = projector(ROWS, LABELS, layout="pca", show=False).html
    scripts = html.unescape(found.html).count("<script")
    assert scripts == alone.count("<script") > 2
    assert found.html.count("<iframe") == 1 and "<script" not in found.html
    assert len(found.html) < 3_000_000


def test_page_asks_nothing_of_any_other_place(whole):
    page = html.unescape(whole.html)
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page)
    assert not [tag for tag in tags if re.search(r"(src|href)=.?(https?:)?//", tag)]
    for style in re.findall(r"<style>(.*?)</style>", page, re.DOTALL):
        assert "url(" not in style and "@import" not in style


def test_same_arguments_give_the_same_page_and_leave_figures_and_style_alone(
    whole, plots
):
    before = mpl.rcParams.copy()
    figure = plt.figure()
    assert made(**WHOLE).html == whole.html
    assert plt.get_fignums() == [figure.number]
    assert mpl.rcParams == before


LONE, SAME = "has another item of its class", "have the same label"
OTHER, NAMED = "are of different classes", "has a label"


@pytest.mark.parametrize(
    ("labels", "whys"),
    [
        # Each class has two, the three that are drawn have three.
        ([i // 2 for i in range(N)], {"verification": f"no two of {{}} {SAME}"}),
        # The four that have a fellow are not drawn.
        (
            [*range(N - 4), *[N, N + 1] * 2],
            {
                "retrieval": f"none of {{}} {LONE}",
                "errors": f"none of {{}} {LONE}",
                "verification": f"no two of {{}} {SAME}",
            },
        ),
        # Nor are those that have a label.
        (
            [None] * (N - 4) + [0, 0, 1, 1],
            {
                "retrieval": f"none of {{}} {LONE}",
                "errors": f"none of {{}} {LONE}",
                "verification": f"no two of {{}} {OTHER}",
                "confused": f"none of {{}} {NAMED}",
            },
        ),
    ],
)
def test_what_only_the_sample_lacks_is_not_said_of_all(labels, whys):
    missing = made(labels=labels, max_items=3).missing
    assert missing.pop("projector")
    drawn = "the 3 items drawn"
    expected = {
        name: f"{words.format(drawn)}. Raise `max_items`."
        for name, words in whys.items()
    }
    assert missing == expected


def test_thresholds_below_all_distances_are_told_in_words(plots):
    found = made(np.ones((30, 4)), np.arange(30) % 2)
    assert found.numbers["verification"]["best_accuracy_threshold"] == -np.inf
    text = text_of(found)
    always = f"{225 / 435:.4f}"
    words = f"(always saying different: {always}) {always} never the same"
    assert words in text and "equal error rate 0.5000 never the same" in text
    assert "-inf" not in text + " ".join(Parts(found.html).alts)
    assert "of same and of different pairs." in found.html


def test_seed_draws_the_samples():
    options = {"max_items": 50, "max_points": 40, "layout": "pca", "intervals": True}
    one, other, third = (made(seed=seed, **options).html for seed in (3, 3, 4))
    assert one == other != third


def test_samples_are_said_aloud_and_search_among_all():
    found = made(max_items=20, layout="pca", max_points=30)
    text = text_of(found)
    assert "20 of 60 items are judged, chosen at random with seed 0" in text
    assert "The projector draws 30 of 60 items." in text
    assert found.notes == tuple(
        html.unescape(note)
        for note in re.findall(r'<p class="note">(.*?)</p>', found.html)
    )
    assert found.numbers["retrieval"]["n_queries"] == 20
    assert "ranks all other items (59)" in text
    asked = np.sort(np.random.default_rng(0).choice(N, 20, replace=False))
    rows = ROWS.astype("float64")
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    far = 1 - rows @ rows.T
    np.fill_diagonal(far, np.inf)
    right = LABELS[far[asked].argmin(axis=1)] == LABELS[asked]
    assert found.numbers["retrieval"]["precision_at_1"] == pytest.approx(right.mean())
    assert found.numbers["errors"]["n_wrong"] == (~right).sum()
    assert found.numbers["health"]["n_items"] == 20
    assert made(max_items=None, max_points=None).notes == ()


def test_intervals_are_there_when_asked_for():
    found = made(intervals=True, confidence=0.9)
    numbers = found.numbers["retrieval"]
    low, high = (numbers[f"precision_at_1_{end}"] for end in ("low", "high"))
    assert low < numbers["precision_at_1"] < high
    assert "90 % interval, from" in text_of(found) and f"{low:.4f}" in found.html
    assert "interval" not in text_of(made())


def test_calibration_is_drawn_and_its_threshold_marked(calibration):
    found = made(calibration=calibration)
    text = text_of(found)
    assert found.numbers["calibration"] == {"sure": 0.2, "optimal": 0.3}
    assert "line is the calibrated threshold, 0.3." in found.html
    rows = ROWS.astype("float64")
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    first, second = np.triu_indices(N, 1)
    within = (1 - rows @ rows.T)[first, second] <= 0.3
    same = LABELS[first] == LABELS[second]
    numbers = found.numbers["verification"]
    assert numbers["far_at_threshold"] == pytest.approx(within[~same].mean())
    assert numbers["tar_at_threshold"] == pytest.approx(within[same].mean())
    assert "FAR at the calibrated threshold" in text
    assert "calibration" not in made().numbers


def test_names_cannot_become_markup():
    hostile = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    labels = [f"{hostile}{i % 2}" for i in range(N)]
    found = made(
        labels=labels,
        title=hostile,
        metadata={hostile: [hostile] * N},
        layout="pca",
        class_mapping={label: f"{hostile} mapped" for label in labels},
    )
    assert hostile not in found.html
    assert "<script" not in found.html and "onerror" not in Parts(found.html).tags
    assert hostile in text_of(found)
    # Nor inside the projector's frame, which is a page of its own.
    frame = re.search(r'<iframe srcdoc="(.*?)"', found.html, re.DOTALL).group(1)
    assert hostile not in html.unescape(frame)


def test_index_brings_labels_ids_data_and_distance():
    index = Indexer(5, distance="euclidean")
    names = [f"item-{i}" for i in range(N)]
    colours = [{"colour": "red" if i % 2 else "blue"} for i in range(N)]
    index.batch_add(
        ROWS, LABELS, ids=names, data=list(PICTURES), metadata=colours, verbose=0
    )
    found = made(index, None, layout="pca")
    assert "id item-" in found.html
    assert found.numbers["errors"]["n_judged"] == N
    assert "distance euclidean" in text_of(found)
    assert 'alt="picture of' in found.html
    frame = html.unescape(found.html)
    assert "item-59" in frame and '"colour"' in frame


def test_gallery_shows_columns_where_there_is_no_picture_and_takes_render():
    found = made(metadata={"name": [f"thing {i}" for i in range(N)]})
    assert re.search(r'<span class="text">name: thing \d+</span>', found.html)
    found = made(images=PICTURES, render=lambda picture: f"ink {picture.sum()}")
    assert re.search(r'<span class="text">ink \d+</span>', found.html)


def test_path_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("earlier")
    found = made(path=path)
    assert isinstance(found, EmbeddingReport)
    assert path.read_text("utf-8") == found.html
    assert os.listdir(tmp_path) == ["report.html"]

    def broken(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk is full"):
        found.save_html(path)
    assert path.read_text("utf-8") == found.html
    assert os.listdir(tmp_path) == ["report.html"]


def test_paths_that_cannot_be_written_are_refused_before_anything_else(
    tmp_path, monkeypatch
):
    with pytest.raises(FileNotFoundError, match="in a folder that exists"):
        report("no embeddings", path=tmp_path / "nowhere" / "report.html")
    with pytest.raises(IsADirectoryError, match="name of a file, as 'report.html'"):
        report("no embeddings", path=tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="folder that may be written to"):
        report("no embeddings", path=tmp_path / "report.html")
    assert os.listdir(tmp_path) == []


def test_what_is_no_path_or_title_is_refused_before_anything_else():
    for path in (PICTURES, 3, b"report.html"):
        with pytest.raises(TypeError, match="`path` must be the name.*go to `images=`"):
            report("no embeddings", LABELS, path)
    with pytest.raises(TypeError, match="`title` must be a string.*NoneType"):
        report("no embeddings", title=None)


def test_what_is_no_path_is_not_saved_to():
    with pytest.raises(TypeError, match=r"`path` must be .* Received: int\.$"):
        made().save_html(3)


def test_links_stay_links(tmp_path):
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    assert checked_path(tmp_path / "link.html") == tmp_path / "real.html"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": ROWS[:2], "labels": None}, "A report needs at least 3 points"),
        ({"rows": np.where(ROWS == ROWS[3, 0], np.nan, ROWS)}, "first in row 3"),
        ({"labels": LABELS[:-1]}, "`labels` must hold one label for each item"),
        ({"images": PICTURES[:-1]}, "`images` must have one entry for each"),
        ({"class_mapping": ["a", "b"]}, "`class_mapping` must name every label"),
        ({"metadata": {"a": [1]}}, "`metadata"),
        ({"rows": [], "labels": []}, "at least 3 points. Received: 0"),
        ({"k": []}, r"`k` must be at least one integer. Received: k=\[\]"),
        ({"k": 0}, "`k` must be an integer of at least 1"),
        ({"k": [1, 0.5]}, "`k` must be an integer of at least 1"),
        ({"confidence": 1.5}, "`confidence` must be"),
        ({"max_items": 2}, "`max_items` must be an integer of at least 3"),
        ({"max_points": 2}, "`max_points` must be an integer of at least 3"),
        ({"max_errors": -1}, "`max_errors` must be an integer of at least 0"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"distance": "far"}, "far"),
        ({"layout": "mds"}, "Unknown layout 'mds'"),
    ],
)
def test_what_cannot_be_reported_is_refused_and_nothing_is_written(
    options, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        made(path=tmp_path / "report.html", **options)
    assert os.listdir(tmp_path) == []


def test_calibrations_of_another_kind_or_distance_are_refused(calibration):
    with pytest.raises(TypeError, match="`calibration` must be what `model.calibrate`"):
        made(calibration=0.3)
    other = SimpleNamespace(**vars(calibration), settings={"distance": "euclidean"})
    with pytest.raises(ValueError, match="made with the distance 'euclidean'"):
        made(calibration=other)
    with pytest.raises(TypeError, match="`class_mapping` must be a list of names"):
        made(class_mapping=3)


def test_missing_package_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "bokeh.plotting", None)
    with pytest.raises(ImportError, match="pip install bokeh"):
        made()


def test_progress_is_shown_when_asked_for(capsys, monkeypatch):
    import tqdm.auto

    seen = {}

    def bar(steps, **options):
        seen.update(options)
        return steps

    monkeypatch.setattr(tqdm.auto, "tqdm", bar)
    made(verbose=1)
    assert seen == {"desc": "Report", "delay": 2, "disable": False}
    made()
    assert seen["disable"]
    assert capsys.readouterr().out == ""


def test_notebook_shows_the_page_in_a_frame():
    found = made()
    shown = found._repr_html_()
    assert shown.startswith('<iframe srcdoc="')
    assert found.html in html.unescape(shown)
