"""The projector without a browser: what is drawn, what is refused."""

import json
import logging
import re
import sys
import types

import keras
import numpy as np
import pytest

from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.visualization import projection as projections
from tensorflow_similarity.visualization import projector

N = 12
ROWS = np.random.default_rng(0).normal(size=(N, 4)).astype("float32")
LABELS = np.arange(N) % 3
PICTURES = np.random.default_rng(1).integers(0, 256, (N, 6, 6)).astype("uint8")


def drawn(rows=ROWS, labels=LABELS, **options):
    options = {"layout": "pca", "show": False} | options
    return projector(rows, labels, **options)


def facts(projection):
    text = re.search(r'id="facts">(.*?)</script>', projection.html, re.DOTALL)
    return json.loads(text.group(1))


def test_same_arguments_give_the_same_page_to_the_byte():
    one, other = (drawn(images=PICTURES, max_points=8, seed=3) for _ in range(2))
    assert one.html == other.html
    assert drawn(images=PICTURES, max_points=8, seed=4).html != one.html


def test_page_asks_nothing_of_any_other_place(tmp_path):
    drawn(images=PICTURES).save_html(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", text)
    assert tags
    assert not [tag for tag in tags if re.search(r"(src|href)=.?(https?:)?//", tag)]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    assert "url(" not in style and "@import" not in style
    assert len(text) < 2_500_000


def test_neighbours_are_the_nearest_by_the_embeddings():
    projection = drawn(distance="euclidean", neighbors=4)
    far = np.sqrt(((ROWS[:, None].astype("float64") - ROWS[None]) ** 2).sum(axis=2))
    np.fill_diagonal(far, np.inf)
    np.testing.assert_array_equal(projection.neighbors, far.argsort(axis=1)[:, :4])
    np.testing.assert_allclose(
        projection.neighbor_distances, np.sort(far, axis=1)[:, :4], rtol=1e-5
    )
    assert facts(projection)["nNeighbors"] == 4
    assert facts(drawn(neighbors=0))["nNeighbors"] == 0


def test_sample_is_said_and_its_rows_are_known():
    projection = drawn(max_points=5, seed=7, layout=ROWS[:, :2], images=PICTURES)
    assert projection.sampled
    assert len(projection.rows) == 5 and (np.diff(projection.rows) > 0).all()
    np.testing.assert_array_equal(projection.coordinates, ROWS[projection.rows, :2])
    said = "5 of 12 points are drawn, chosen at random with seed 7."
    assert said in projection.notes and said in projection.html
    assert not drawn().sampled
    assert len(drawn(max_points=None).rows) == N


def test_wrong_means_nearest_other_has_another_label_unless_said():
    rows = np.array([[0, 0], [0, 1], [5, 5], [5, 6], [9, 9]], "float32")
    projection = drawn(rows, ["a", "a", "b", "a", None], distance="euclidean")
    colouring = projection._colourings[-1]
    assert colouring.name == "right or wrong neighbour"
    assert colouring.values.tolist() == [0, 0, 1, 1, 2]
    said = drawn(rows, None, errors=[True, False, False, True, False])
    assert said._colourings[-1].values.tolist() == [1, 0, 0, 1, 0]


def test_texts_and_columns_are_on_the_page_and_colour():
    projection = drawn(
        tooltips_info=[f"text {i}" for i in range(N)],
        metadata={"size": np.linspace(0, 1, N), "kind": ["x", "y"] * 6},
        class_mapping=["zero", "one", "two"],
    )
    page = facts(projection)
    assert page["columns"]["info"][3] == "text 3"
    assert page["columns"]["size"][0] == "0"
    names = [colouring["name"] for colouring in page["colourings"]]
    assert names == ["label", "size", "kind", "right or wrong neighbour"]
    assert page["colourings"][0]["names"] == ["zero", "one", "two"]


def test_columns_come_as_a_data_frame_or_as_dicts_too():
    import pandas as pd

    table = {"kind": ["x", "y"] * 6}
    rows = [{"kind": kind} for kind in table["kind"]]
    expected = facts(drawn(metadata=table))["columns"]
    assert facts(drawn(metadata=pd.DataFrame(table)))["columns"] == expected
    assert facts(drawn(metadata=rows))["columns"] == expected


def test_columns_named_as_what_the_page_says_itself_are_told_apart():
    kinds = ["x", "y"] * 6
    table = dict.fromkeys(["kind", "label", "label (column)", "id", "distance"], kinds)
    projection = drawn(metadata=table)
    page = facts(projection)
    names = [colouring["name"] for colouring in page["colourings"]]
    assert len(set(names)) == len(names) == 7
    assert list(page["columns"]) == [
        "kind",
        "label (column) (column)",
        "label (column)",
        "id (column)",
        "distance (column)",
    ]
    assert page["columns"]["id (column)"] == kinds
    said = 'The column "id" is called "id (column)".'
    assert said in projection.notes
    assert len([note for note in projection.notes if "column" in note]) == 3
    assert not [note for note in drawn(metadata={"kind": kinds}).notes if "col" in note]


def test_texts_cannot_end_the_block_they_stand_in():
    evil = "</script><script>alert(1)</script><!--"
    projection = drawn(tooltips_info=[evil] * N, title=evil)
    assert evil not in projection.html
    assert facts(projection)["columns"]["info"] == [evil] * N


def test_without_labels_everything_has_one_colour():
    assert [c.names for c in drawn(labels=None)._colourings] == [("all",)]


def test_an_index_brings_all_it_knows():
    index = Indexer(4, "euclidean")
    index.batch_add(
        ROWS,
        labels=LABELS,
        data=PICTURES,
        ids=np.arange(N) + 100,
        metadata=[{"colour": "red" if i % 2 else "blue"} for i in range(N)],
    )
    projection = projector(index, layout="pca", show=False)
    page = facts(projection)
    assert page["ids"] == [str(i + 100) for i in range(N)]
    assert page["columns"]["colour"][:2] == ["blue", "red"]
    assert page["pictures"]["tile"] == 6
    assert projection.layout.distance == index.distance
    np.testing.assert_array_equal(
        projection.neighbors, drawn(distance="euclidean").neighbors
    )


def test_texts_of_an_index_are_shown():
    index = Indexer(4)
    index.batch_add(ROWS, data=[f"text {i}" for i in range(N)])
    page = facts(projector(index, layout="pca", show=False))
    assert page["columns"]["data"][2] == "text 2"
    assert page["pictures"] is None and not page["labelled"]


def test_new_points_are_drawn_in_an_earlier_layout():
    first = drawn()
    second = drawn(ROWS[:5], LABELS[:5], layout=first.layout)
    np.testing.assert_allclose(second.coordinates, first.coordinates[:5], atol=1e-5)
    assert second.layout is first.layout
    assert "fitted before" in second.notes[0]


@pytest.fixture
def model():
    inputs = keras.Input((6, 6))
    outputs = keras.layers.Dense(4)(keras.layers.Flatten()(inputs))
    return SimilarityModel(inputs, outputs)


def test_model_projects_examples_with_their_pictures(model):
    x = PICTURES / np.float32(255)
    projection = model.project(x, LABELS, layout="pca", show=False)
    expected = drawn(model.predict(x, verbose=0), images=x)
    np.testing.assert_allclose(
        projection.coordinates, expected.coordinates, rtol=1e-3, atol=1e-5
    )
    assert facts(projection)["pictures"]["tile"] == 6
    options = {"layout": "pca", "show": False, "images": False}
    assert facts(model.project(x, **options))["pictures"] is None
    # What cannot be drawn is left out where nobody asked for it.
    assert facts(model.project(x - 1, layout="pca", show=False))["pictures"] is None


def test_model_projects_its_index_by_the_distance_of_the_index(model):
    x = PICTURES / np.float32(255)
    with pytest.raises(RuntimeError, match="has no index"):
        model.project(show=False)
    model.create_index("euclidean")
    model.index(x, LABELS, data=x, verbose=0)
    projection = model.project(layout="pca", show=False)
    assert projection.layout.distance.name == "euclidean"
    assert facts(projection)["labelled"]
    assert model.project(x, layout="pca", show=False).layout.distance.name == (
        "euclidean"
    )


class Notebook:
    kernel = True
    execution_count = 4


def test_notebook_shows_the_page_in_a_frame_once(monkeypatch):
    shown = []
    display = types.ModuleType("IPython.display")
    display.display = lambda data, raw: shown.append(data)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(projections, "_notebook", Notebook)
    projection = drawn(show=True)
    assert len(shown) == 1 and shown[0]["text/html"].startswith("<iframe srcdoc=")
    assert shown[0]["text/plain"] == repr(projection)
    assert "<iframe" not in projection._repr_html_()
    monkeypatch.setattr(Notebook, "execution_count", 5)
    assert "<iframe" in projection._repr_html_()


def test_without_a_notebook_a_browser_is_opened(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(projections.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(projections.webbrowser, "open", lambda u: opened.append(u) or 1)
    drawn(show=True)
    assert opened[0].startswith("file://") and opened[0].endswith(".html")
    assert len(list(tmp_path.iterdir())) == 1


def test_no_browser_is_said_with_the_cure(monkeypatch, tmp_path, caplog):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(projections.tempfile, "tempdir", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        drawn(show=True)
    assert "No browser could be opened" in caplog.text
    assert "save_html(path)" in caplog.text


def test_page_is_written_only_into_a_folder_that_exists(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder that exists"):
        drawn().save_html(tmp_path / "nowhere" / "page.html")


NAN = ROWS.copy()
NAN[3, 1] = np.nan


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"rows": NAN}, "finite numbers.*first in row 3"),
        ({"rows": ROWS[:2], "labels": None}, "at least 3 points. Received: 2"),
        ({"rows": [], "labels": []}, "at least 3 points. Received: 0"),
        ({"rows": np.array([]), "labels": []}, "at least 3 points. Received: 0"),
        ({"labels": LABELS[:5]}, r"shape \(12,\)"),
        ({"images": PICTURES[:5]}, "`images` must have one entry.*12. Received: 5"),
        ({"images": 7}, "sequence of pictures"),
        ({"class_mapping": ["zero", "one"]}, r"none for the labels \[2\]"),
        (
            {"class_mapping": {"0": "zero", "1": "one", "2": "two"}},
            r"labels \[0, 1, 2\].*keys are strings: `{int\(key\)",
        ),
        ({"tooltips_info": ["a"]}, "`tooltips_info` must have one entry"),
        ({"metadata": {"size": [1]}}, r"`metadata\['size'\]` must have one entry"),
        ({"errors": [True]}, "`errors` must be 12 booleans"),
        ({"errors": np.arange(N)}, "`errors` must be 12 booleans"),
        ({"image_size": 0}, "`image_size` must be an integer of at least 1"),
        ({"plot_size": 10}, "`plot_size` must be an integer of at least 100"),
        ({"neighbors": -1}, "`neighbors` must be an integer of at least 0"),
        ({"max_points": 2}, "`max_points` must be an integer of at least 3"),
        ({"seed": -1}, "`seed` must be an integer of at least 0.*Received: seed=-1"),
        ({"seed": "a"}, "`seed` must be an integer of at least 0.*Received: seed='a'"),
        ({"seed": None}, "`seed` must be an integer of at least 0"),
        ({"seed": 2**32}, "`seed` must be .* at most 4294967295"),
        ({"pt_size": 0}, "`pt_size` must be above 0"),
        ({"pt_size": np.inf}, "`pt_size` must be above 0 and finite"),
        ({"pt_size": np.nan}, "`pt_size` must be above 0 and finite"),
        ({"pt_size": "3"}, "`pt_size` must be above 0 and finite"),
        ({"pastel_factor": 2}, "`pastel_factor` must be from 0 to 1"),
        ({"active_drag": "zoom"}, "`active_drag` must be one of"),
        ({"layout": ROWS[:5, :2], "max_points": 4}, "one place for each embedding"),
    ],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        drawn(**arguments)


def test_options_may_be_numbers_of_numpy():
    options = {"image_size": 8, "pt_size": 3, "plot_size": 200, "neighbors": 2}
    options |= {"max_points": 10, "seed": 1, "pastel_factor": 0}
    expected = drawn(images=PICTURES, **options).html
    options = {name: np.int64(value) for name, value in options.items()}
    assert drawn(images=PICTURES, **options).html == expected


def test_title_that_is_no_text_is_named():
    with pytest.raises(TypeError, match="`title` must be a string.*NoneType"):
        drawn(title=None)


def test_columns_that_are_no_table_are_named():
    with pytest.raises(TypeError, match="`metadata` must be a dict"):
        drawn(metadata="size")


@pytest.mark.parametrize(
    "module, options, package",
    [
        ("bokeh.plotting", {}, "bokeh"),
        ("PIL.Image", {"images": PICTURES}, "pillow"),
        ("umap", {"layout": "umap"}, "umap-learn"),
        ("sklearn.manifold", {"layout": "tsne"}, "scikit-learn"),
    ],
)
def test_missing_package_is_named_with_the_line_that_installs_it(
    module, options, package, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        drawn(**options)


@pytest.mark.parametrize(
    "module, options, package",
    [
        ("bokeh.plotting", {"layout": "pca"}, "bokeh"),
        ("umap", {}, "umap-learn"),
        ("sklearn.manifold", {"layout": "tsne"}, "scikit-learn"),
    ],
)
def test_missing_package_is_named_before_anything_is_embedded(
    module, options, package, model, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(model, "predict_on_batch", None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        model.project(PICTURES, LABELS, show=False, **options)
