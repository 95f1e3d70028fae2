"""A model's report: what is embedded, what is taken from the index."""

import os

import numpy as np
import pytest

from tensorflow_similarity._core import embedding
from tensorflow_similarity.visualization import report_plots
from tests.models.conftest import small_model

# Plots have tests of their own.
OPTIONS = {"layout": None, "intervals": False, "verbose": 0}


@pytest.fixture
def no_plots(monkeypatch):
    monkeypatch.setattr(report_plots, "_picture", lambda *_: "data:,")


def test_examples_are_judged_by_the_models_distance(data, tmp_path, no_plots):
    x, y = data
    model = small_model(compiled=False)
    model.compile("adam", loss="mse", distance="euclidean")
    path = tmp_path / "report.html"
    found = model.report(x, y, path, class_mapping=list("abcdef"), **OPTIONS)
    assert path.read_text("utf-8") == found.html
    assert "<td" in found.html and "euclidean" in found.html
    assert set(found.missing) == {"projector"}
    far = model.predict(x, verbose=0).astype("float64")
    far = np.sqrt(((far[:, None] - far[None]) ** 2).sum(axis=2))
    np.fill_diagonal(far, np.inf)
    right = (y[far.argmin(axis=1)] == y).mean()
    assert found.numbers["retrieval"]["precision_at_1"] == pytest.approx(right)
    # Negative values are no picture.
    assert "<img src" in found.html and "picture of" not in found.html
    assert model.report(np.abs(x), y, **OPTIONS).html.count("picture of") > 12
    drawn = model.report(np.abs(x), y, images=False, **OPTIONS)
    assert "picture of" not in drawn.html


def test_index_and_calibration_are_taken_where_they_are(indexed, data, monkeypatch):
    x, y = data
    indexed.calibrate(x + 0.3, y, verbose=0)
    found = indexed.report(**OPTIONS)
    monkeypatch.setattr(report_plots, "_picture", lambda *_: "data:,")
    assert found.numbers["retrieval"]["n_queries"] == 60
    assert found.numbers["calibration"].keys() == {"optimal"}
    assert "picture of" in found.html
    assert "calibration" in indexed.report(x, y, **OPTIONS).numbers
    for options in ({"calibration": None}, {"distance": "euclidean"}):
        assert "calibration" not in indexed.report(x, y, **OPTIONS, **options).numbers


def test_labels_without_examples_are_for_the_items_of_the_index(
    indexed, data, no_plots
):
    labels = np.array([f"new {i % 2}" for i in range(60)])
    found = indexed.report(None, labels, **OPTIONS)
    assert "new 1" in found.html
    assert found.numbers["retrieval"]["n_queries"] == 60
    for draw in (indexed.report, indexed.project):
        with pytest.raises(ValueError, match="each of the 60 items of the index.*: 7"):
            draw(None, labels[:7])


def test_without_examples_and_index_there_is_nothing_to_report(model):
    with pytest.raises(RuntimeError, match="The model has no index"):
        model.report(**OPTIONS)


def test_bad_path_is_refused_before_anything_is_embedded(
    model, data, tmp_path, monkeypatch
):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(embedding, "embed_in_lots", never)
    with pytest.raises(FileNotFoundError, match="in a folder that exists"):
        model.report(*data, tmp_path / "nowhere" / "report.html", **OPTIONS)
    with pytest.raises(IsADirectoryError, match="name of a file"):
        model.report(*data, tmp_path, **OPTIONS)
    with pytest.raises(TypeError, match="Pictures go to `images=`"):
        model.report(*data, data[0], **OPTIONS)
    assert os.listdir(tmp_path) == []
