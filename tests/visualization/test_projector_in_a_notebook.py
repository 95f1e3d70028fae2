"""The projector under a cell of an executed notebook, driven in a headless Chromium."""

import ast
import os
from pathlib import Path

import numpy as np
import pytest

from tests import browser

pytest.importorskip("ipykernel")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytestmark = pytest.mark.skipif(
    browser.missing() is not None, reason=str(browser.missing())
)

PROGRAM = """
import keras
from sklearn.datasets import load_digits
from tensorflow_similarity.models import SimilarityModel

digits = load_digits()
x, y = digits.images[:200], digits.target[:200]
inputs = keras.Input((8, 8))
model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
projection = model.project(
    x, y, [f"digit {i}" for i in range(10)], x * 255 / 16, layout="pca", pt_size=6
)
"""
FACTS = """
print(projection.neighbors[:, :10].tolist())
print(projection.coordinates.tolist())
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    cells = [nbformat.v4.new_code_cell(text) for text in (PROGRAM, FACTS)]
    book = nbformat.v4.new_notebook(cells=cells)
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    client = nbclient.NotebookClient(
        book,
        kernel_name="python3",
        timeout=120,
        resources={"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}},
    )
    client.execute(env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"})
    return book


@pytest.fixture(scope="module")
def output(notebook):
    """What `project` put under its cell, by kind."""
    shown = [one for one in notebook.cells[0].outputs if one.output_type != "stream"]
    assert len(shown) == 1 and shown[0].output_type == "display_data"
    return shown[0].data


@pytest.fixture(scope="module")
def facts(notebook):
    text = "".join(one.text for one in notebook.cells[1].outputs if "text" in one)
    neighbors, coordinates = (
        ast.literal_eval(line) for line in text.strip().split("\n")[-2:]
    )
    return neighbors, np.array(coordinates)


@pytest.fixture(scope="module")
def page(output, tmp_path_factory):
    """The output in a page, as hosts of notebooks put it, with a cell above it."""
    path = tmp_path_factory.mktemp("page") / "notebook.html"
    path.write_text(
        "<!DOCTYPE html><meta charset='utf-8'><link rel='icon' href='data:,'>"
        f"<body><pre>model.project(x, y)</pre><div>{output['text/html']}</div>",
        "utf-8",
    )
    # High enough for all of the frame: the pointer reaches only what is in the window.
    with browser.started(height=1200) as driver:
        browser.requests(driver)
        browser.visit(driver, path.as_uri())
        frame = driver.execute_script(
            "const box = document.querySelector('iframe').getBoundingClientRect();"
            "return [box.left, box.top]"
        )
        driver.switch_to.frame(0)
        yield Framed(driver, frame)
        asked = browser.requests(driver)
        assert asked
        assert all(url.startswith(("file://", "about:srcdoc")) for url in asked), asked
        assert browser.complaints(driver) == []


class Framed(browser.Page):
    """A page in a frame; the pointer's places are those of the window around it."""

    def __init__(self, driver, corner):
        self.corner = corner
        super().__init__(driver)

    def place(self, i):
        x, y = super().place(i)
        return round(x + self.corner[0]), round(y + self.corner[1])


def points_in(page, selector):
    return page.run(
        "return [...document.querySelectorAll(arguments[0])]"
        ".map(item => Number(item.dataset.point))",
        selector,
    )


def lonely(coordinates):
    far = np.linalg.norm(coordinates[:, None] - coordinates[None], axis=2)
    np.fill_diagonal(far, np.inf)
    return int(far.min(axis=1).argmax())


def test_output_has_words_where_pages_are_not_shown(output):
    assert output["text/plain"] == "Projection(n_points=200, n_given=200, layout='pca')"


def test_hover_click_and_search_work_under_a_cell(page, facts):
    neighbors, coordinates = facts
    i = lonely(coordinates)
    page.hover(i)
    assert "label digit" in browser.until(lambda: page.text("#tip"))
    assert points_in(page, "#tip canvas") == [i]

    page.click(i)
    browser.until(lambda: points_in(page, "#details li button"))
    assert points_in(page, "#details li button") == neighbors[i]

    page.run(
        "const box = document.getElementById('search'); box.value = 'digit 7';"
        "box.dispatchEvent(new Event('input'))"
    )
    found = page.run("return page.source.selected.indices")
    assert len(found) > 10 and page.text("#found") == f"{len(found)} found"
    assert points_in(page, "#details canvas")[:5] == found[:5]
