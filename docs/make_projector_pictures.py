"""Makes the pictures of docs/projector.md: python docs/make_projector_pictures.py

Needs Chromium, chromedriver and selenium. scikit-learn's digits by densMAP of their
pixels; the page is opened in a headless browser, clicked, and photographed.
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from sklearn.datasets import load_digits  # noqa: E402

from tensorflow_similarity.visualization import projector  # noqa: E402
from tests import browser  # noqa: E402


def main() -> None:
    digits = load_digits()
    projection = projector(
        digits.data,
        digits.target,
        images=digits.images / 16,
        class_mapping=[f"digit {i}" for i in range(10)],
        pt_size=5,
        show=False,
    )
    (HERE / "images").mkdir(exist_ok=True)
    right = digits.target[projection.neighbors[:, 0]] == digits.target
    # Far from what stands beside the plot, which its picture would cover.
    across = projection.coordinates[:, 0] + 1e6 * right
    wrong = int(across.argmin())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        projection.save_html(path)
        with browser.started(940, 800) as driver:
            page = browser.Page(driver, path.as_uri())
            page.click(wrong)
            near = projection.neighbors[wrong]
            # The one whose picture covers nothing beside the plot.
            page.hover(int(near[projection.coordinates[near, 0].argmin()]))
            page.save(HERE / "images" / "projector.png")
        with browser.started(940, 800, dark=True) as driver:
            page = browser.Page(driver, path.as_uri())
            page.run("page.search('digit 9'); page.classes.choose(1)")
            page.save(HERE / "images" / "projector_search.png")


if __name__ == "__main__":
    main()
