"""The report's page, opened in a headless Chromium; skipped where there is none."""

import pytest

from tensorflow_similarity.visualization import report
from tests import browser

pytestmark = pytest.mark.skipif(
    browser.missing() is not None, reason=str(browser.missing())
)


@pytest.fixture(scope="module")
def found(digits):
    images, labels = digits
    return report(
        images.reshape(len(images), -1)[:300],
        [f"<script>alert({label})</script>" for label in labels[:300]],
        images=images[:300],
        layout="pca",
        intervals=False,
        title="</title><script>throw 1</script>",
    )


@pytest.fixture(scope="module")
def address(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("reports") / "report.html"
    found.save_html(path)
    return path.as_uri()


def look(driver, found):
    """Every section is to be seen, every picture is loaded, the projector answers."""
    run = driver.execute_script
    shown = run(
        "return [...document.querySelectorAll('main > section')]"
        ".map(one => [one.id, one.checkVisibility(), one.clientHeight])"
    )
    assert [name for name, _, _ in shown] == list(found.numbers)
    assert all(visible and height > 100 for _, visible, height in shown)
    widths = run("return [...document.images].map(one => one.naturalWidth)")
    assert len(widths) > 100 and all(widths)
    root = "document.documentElement"
    assert run(f"return {root}.scrollWidth <= {root}.clientWidth")
    targets = run(
        "return [...document.querySelectorAll('nav a')]"
        ".map(one => document.querySelector(one.hash)?.tagName)"
    )
    assert targets == ["SECTION"] * len(found.numbers)
    driver.switch_to.frame(driver.find_element("css selector", "#projector iframe"))
    page = browser.Page(driver)
    page.run("page.pick(3)")
    assert page.run("return document.querySelectorAll('#details ol button').length")
    driver.switch_to.default_content()


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (500, True)])
def test_page_opens_without_a_network_and_the_projector_answers(
    found, address, width, dark
):
    with browser.started(width, 800, dark=dark) as driver:
        browser.visit(driver, address)
        look(driver, found)
        chosen = driver.execute_script(
            "const plot = document.querySelector('.plot');"
            "return [plot.querySelector('img').currentSrc,"
            "plot.querySelector(arguments[0])[arguments[1]]]",
            *(("source", "srcset") if dark else ("img", "src")),
        )
        assert chosen[0] == chosen[1]
        assert driver.title == "</title><script>throw 1</script>"
        assert browser.complaints(driver) == []
        asked = browser.requests(driver)
        assert asked[0] == address
        assert all(url.startswith(("file://", "about:srcdoc")) for url in asked)
