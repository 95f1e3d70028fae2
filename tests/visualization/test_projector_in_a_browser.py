"""The projector's page, driven in a headless Chromium; skipped where there is none."""

import functools
import http.server
import io
import threading

import numpy as np
import pytest
from PIL import Image

from tensorflow_similarity.visualization import projector
from tests import browser

pytestmark = pytest.mark.skipif(
    browser.missing() is not None, reason=str(browser.missing())
)

NAMES = [f"digit {i}" for i in range(10)]


@pytest.fixture(scope="module")
def projection(digits):
    images, labels = digits
    return projector(
        images.reshape(len(images), -1)[:300],
        labels[:300],
        class_mapping=NAMES,
        images=images[:300],
        tooltips_info=[f"text of {i}" for i in range(300)],
        metadata={"ink": images[:300].mean(axis=(1, 2, 3))},
        layout="pca",
        pt_size=6,
        show=False,
    )


@pytest.fixture(scope="module")
def folder(projection, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    projection.save_html(folder / "page.html")
    frame = f"<!DOCTYPE html><link rel='icon' href='data:,'>{projection._frame()}"
    (folder / "notebook.html").write_text(frame, "utf-8")
    return folder


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as driver:
        yield driver


@pytest.fixture
def page(chromium, folder):
    """The page opened anew from its file; at the end nothing has complained."""
    page = browser.Page(chromium, (folder / "page.html").as_uri())
    yield page
    assert browser.complaints(chromium) == []
    asked = browser.requests(chromium)
    assert asked and all(url.startswith("file://") for url in asked)


def lonely(projection):
    """A point that no other one covers."""
    places = projection.coordinates
    far = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(far, np.inf)
    return int(far.min(axis=1).argmax())


def points_in(page, selector):
    return page.run(
        "return [...document.querySelectorAll(arguments[0])]"
        ".map(item => Number(item.dataset.point))",
        selector,
    )


def test_pointer_shows_picture_label_and_texts(page, projection, digits):
    i = lonely(projection)
    page.hover(i)
    text = browser.until(lambda: page.text("#tip"))
    assert f"label {NAMES[digits[1][i]]}" in text
    assert f"text of {i}" in text and f"id {i}" in text
    assert points_in(page, "#tip canvas") == [i]
    pixels = page.run(
        "const c = document.querySelector('#tip canvas');"
        "return [c.width, [...c.getContext('2d').getImageData(0, 0, 64, 64).data]]"
    )
    assert pixels[0] == 64
    grey = np.reshape(pixels[1], (64, 64, 4))[4::8, 4::8, 0]
    assert np.abs(grey - 255 * digits[0][i, ..., 0]).max() <= 1


def test_click_shows_the_nearest_neighbours_with_their_distances(page, projection):
    i = lonely(projection)
    page.click(i)
    browser.until(lambda: points_in(page, "#details li button"))
    expected = projection.neighbors[i].tolist()
    assert points_in(page, "#details li button") == expected
    assert f"{projection.neighbor_distances[i, 0]:.4g}" in page.text("#details li")
    rings = page.run("return page.marks.data.x.length")
    assert rings == 11
    # A neighbour is picked in its turn, and knows how far the others are.
    page.run("document.querySelectorAll('#details li button')[1].click()")
    expected = projection.neighbors[expected[1]].tolist()
    assert points_in(page, "#details li button") == expected
    page.hover(expected[0])
    page.run(
        "page.details.hover(arguments[0], 9, 9, page.distanceTo(arguments[0]))",
        expected[0],
    )
    assert "distance" in page.text("#tip")


def test_lasso_selects_the_points_inside(page, projection):
    page.run(
        "page.figure.toolbar.active_drag = page.figure.toolbar.tools"
        ".find(tool => tool.type === 'LassoSelectTool')"
    )
    places = projection.coordinates
    i = int(np.linalg.norm(places - np.median(places, axis=0), axis=1).argmin())
    x, y = page.place(i)
    mouse = page.mouse().to(x - 60, y - 60).down()
    for at in ((x + 60, y - 60), (x + 60, y + 60), (x - 60, y + 60), (x - 60, y - 58)):
        mouse.to(*at)
    mouse.up().perform()
    found = browser.until(lambda: page.run("return page.source.selected.indices"))
    places = np.array([page.place(j) for j in range(300)])
    inside = (np.abs(places - [x, y]) <= 58).all(axis=1)
    maybe = (np.abs(places - [x, y]) <= 62).all(axis=1)
    assert set(np.flatnonzero(inside)) <= set(found) <= set(np.flatnonzero(maybe))
    assert f"{len(found)} points selected" in page.text("#details")
    assert points_in(page, "#details canvas")[:5] == found[:5]


def test_hidden_classes_are_neither_drawn_nor_found_by_the_pointer(
    page, projection, digits
):
    i = lonely(projection)
    label = int(digits[1][i])
    row = f"#classes li:nth-child({label + 1})"
    page.run("document.querySelector(arguments[0]).click()", f"{row} input")
    shown = page.run("return page.shown.indices")
    assert shown == np.flatnonzero(digits[1][:300] != label).tolist()
    page.hover(i)
    assert page.text("#tip") == ""
    page.run("document.getElementById('all').click()")
    assert page.run("return page.shown.indices") is None
    page.run("document.querySelector(arguments[0]).click()", f"{row} button")
    assert page.run("return page.shown.indices") == (
        np.flatnonzero(digits[1][:300] == label).tolist()
    )
    assert page.run("return document.querySelectorAll('#classes :checked').length") == 1


@pytest.mark.parametrize("text", ["digit 7", "TEXT OF 29", "123"])
def test_search_finds_labels_texts_and_ids(page, text, digits):
    page.run(
        "const box = document.getElementById('search'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('input'))",
        text,
    )
    expected = {
        "digit 7": np.flatnonzero(digits[1][:300] == 7).tolist(),
        "TEXT OF 29": [29, *range(290, 300)],
        # Its id, and the text that has it.
        "123": [123],
    }[text]
    assert page.run("return page.source.selected.indices") == expected
    assert page.text("#found") == f"{len(expected)} found"
    assert points_in(page, "#details canvas") == expected[:60]


def test_points_are_coloured_by_column_and_by_error(page, projection):
    options = page.run("return [...document.getElementById('colour').options].length")
    assert options == 3  # every text differs: it is no class
    for which in (1, 2):
        page.run(
            "const list = document.getElementById('colour'); list.value = arguments[0];"
            "list.dispatchEvent(new Event('change'))",
            which,
        )
        values = page.run("return [...page.source.data.value]")
        expected = projection._colourings[which].values
        np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert page.run("return document.querySelectorAll('#classes li').length") == 2
    assert page.text("#classes .name") == "right"


def test_dragging_moves_the_plot(page):
    page.run(
        "page.figure.toolbar.active_drag = page.figure.toolbar.tools"
        ".find(tool => tool.type === 'PanTool')"
    )
    before = page.place(0)
    page.mouse().to(300, 300).down().to(320, 320).to(350, 340).up().perform()
    assert np.abs(np.subtract(page.place(0), before) - [50, 40]).max() <= 2


def test_without_a_graphics_card_points_are_drawn_on_a_canvas_in_their_colours(page):
    assert page.run("return page.figure.output_backend") == "canvas"
    picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png()))
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The blue of the first class, 10% lighter.
    blue = (np.abs(pixels - [26, 128, 186]) < 3).all(axis=2)
    assert blue.sum() > 10 * 30


def test_points_keep_their_colours_while_many_of_them_move(page):
    page.run("page.figure.lod_threshold = 10")
    page.run(
        "page.figure.toolbar.active_drag = page.figure.toolbar.tools"
        ".find(tool => tool.type === 'PanTool')"
    )
    page.mouse().to(300, 300).down().to(320, 320).to(330, 330).perform()
    picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png()))
    page.mouse().up().perform()
    pixels = np.asarray(picture.convert("RGB")).astype(int)[70:620, 20:600]
    # About half of them stay while they move, in three colours and more.
    blue, vermilion = (
        (np.abs(pixels - colour) < 3).all(axis=2).sum()
        for colour in ([26, 128, 186], [217, 110, 26])
    )
    assert 50 < blue < 30 * 20
    assert vermilion > 50


@pytest.fixture
def narrow(page):
    """Changes the width of the window that the page is in."""

    def to(width):
        options = {"height": 800, "deviceScaleFactor": 1, "mobile": False}
        page.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, **options}
        )
        browser.until(lambda: page.run("return innerWidth") == width)
        drawn = "return page.view.frame.bbox.width < document.body.clientWidth"
        browser.until(lambda: page.run(drawn))

    yield to
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width, side", [(500, 484), (360, 344), (800, 472)])
def test_page_fits_a_narrow_window(page, projection, narrow, width, side):
    narrow(width)
    sizes = page.run(
        "const plot = page.view.el.getBoundingClientRect();"
        "return [plot.width, plot.height, document.documentElement.scrollWidth]"
    )
    assert sizes == [side, side, width]
    i = lonely(projection)
    page.hover(i)
    assert f"text of {i}" in browser.until(lambda: page.text("#tip"))
    page.click(i)
    expected = projection.neighbors[i].tolist()
    browser.until(lambda: points_in(page, "#details li button") == expected)


def test_plot_is_as_large_as_asked_where_there_is_room(page, narrow):
    sizes = "const { width, height } = page.view.el.getBoundingClientRect();"
    assert page.run(f"{sizes} return [width, height]") == [600, 600]
    assert page.run("return document.querySelector('aside').offsetHeight") == 600
    narrow(500)
    narrow(1100)
    assert page.run(f"{sizes} return [width, height]") == [600, 600]


def test_pointer_box_goes_when_the_window_changes(page, projection, narrow):
    page.hover(lonely(projection))
    browser.until(lambda: page.text("#tip"))
    narrow(500)
    browser.until(lambda: page.text("#tip") == "")


def test_served_page_asks_its_own_address_only(chromium, folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/page.html"
            browser.requests(chromium)
            page = browser.Page(chromium, url)
            page.click(0)
            assert browser.until(lambda: points_in(page, "#details li button"))
            assert browser.requests(chromium) == [url]
            assert browser.complaints(chromium) == []
        finally:
            server.shutdown()
            thread.join()


def test_frame_of_a_notebook_holds_the_same_page(chromium, folder, projection):
    browser.requests(chromium)
    chromium.get((folder / "notebook.html").as_uri())
    chromium.switch_to.frame(0)
    page = browser.Page(chromium)
    page.run("page.pick(3)")
    expected = projection.neighbors[3].tolist()
    assert points_in(page, "#details li button") == expected
    asked = browser.requests(chromium)
    assert all(url.startswith(("file://", "about:srcdoc")) for url in asked), asked
    assert browser.complaints(chromium) == []


@pytest.fixture(scope="module")
def wordy(folder):
    """A page with pictures, long names and long texts, in words and in one."""
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    projector(
        rows,
        np.arange(40) % 4,
        [f"a class with quite a long name, number {i}" for i in range(4)],
        images=np.full((40, 8, 8), 0.5, "float32"),
        tooltips_info=["a line of caption " * 25, "caption" * 60] * 20,
        layout="pca",
        show=False,
    ).save_html(folder / "wordy.html")
    return (folder / "wordy.html").as_uri()


@pytest.mark.parametrize("i", [0, 1])
def test_long_texts_leave_the_picture_square_and_the_panel_to_the_neighbours(
    chromium, wordy, i
):
    page = browser.Page(chromium, wordy)
    page.run("page.pick(arguments[0])", i)
    size, words, panel = page.run(
        "const sizes = (box) => [box.offsetWidth, box.offsetHeight, box.scrollWidth,"
        "  box.clientWidth, box.scrollHeight, box.clientHeight];"
        "return ['.picked canvas', '.picked div', '#details']"
        "  .map((path) => sizes(document.querySelector(path)))"
    )
    assert size[:2] == [64, 64]
    # Nothing is cut off at the right; what is below scrolls.
    assert words[2] <= words[3] and panel[2] <= panel[3]
    assert words[4] > words[5] and words[1] < 0.5 * panel[1]
    # A neighbour's label and distance are whole.
    words = page.run(
        "const words = document.querySelector('#details li div');"
        "const range = document.createRange();"
        "range.setStart(words, 0); range.setEnd(words, 2);"
        "return range.getBoundingClientRect().right <= "
        "  document.getElementById('details').getBoundingClientRect().right"
    )
    assert words
    page.run("page.details.hover(arguments[0], 300, 300)", i)
    tip = page.run("return document.getElementById('tip').getBoundingClientRect()")
    assert tip["width"] <= 280 and tip["height"] < 300


def test_200_classes_scroll_beside_the_plot(chromium, folder):
    rows = np.random.default_rng(0).normal(size=(400, 3)).astype("float32")
    labels = [f"a class with quite a long name, number {i % 200}" for i in range(400)]
    path = folder / "many.html"
    projector(rows, labels, layout="pca", neighbors=0, show=False).save_html(path)
    page = browser.Page(chromium, path.as_uri())
    heights = page.run(
        "const list = document.getElementById('classes');"
        "return [list.children.length, list.scrollHeight, list.clientHeight,"
        "list.scrollWidth, list.clientWidth, document.body.scrollHeight]"
    )
    assert heights[0] == 200
    assert heights[1] > heights[2] > 100
    assert heights[3] <= heights[4]
    assert heights[5] < 700
    # The ends, in which the names differ, are in sight.
    cut, end, row = page.run(
        "const name = document.querySelectorAll('#classes .name')[117];"
        "return [name.children[0].scrollWidth > name.children[0].clientWidth,"
        "  name.children[1].textContent, name.closest('li').title]"
    )
    assert cut and row.endswith(end)
    ends = page.run(
        "const list = document.getElementById('classes').getBoundingClientRect();"
        "return [...document.querySelectorAll('#classes .name span:last-child')]"
        "  .filter((end) => end.getBoundingClientRect().right < list.right)"
        "  .map((end) => end.textContent)"
    )
    assert len(set(ends)) == 200
