"""Makes the picture of docs/report.md: python docs/make_report_picture.py

Needs Chromium, chromedriver and selenium. scikit-learn's digits, judged by their
pixels; the page is opened in a headless browser and photographed in two places.
"""

import io
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from PIL import Image  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

from tensorflow_similarity.visualization import report  # noqa: E402
from tests import browser  # noqa: E402

# From the top of which section, in which colours, how many pixels of the page.
_SHOTS = (("verification", False, 860), ("errors", True, 860))
_WIDTH = 1080


def main() -> None:
    digits = load_digits()
    found = report(
        digits.data,
        digits.target,
        images=digits.images / 16,
        class_mapping=[f"digit {i}" for i in range(10)],
        title="Digits by their pixels",
        layout=None,
    )
    shots = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        found.save_html(path)
        for section, dark, height in _SHOTS:
            with browser.started(_WIDTH, height, dark=dark) as driver:
                driver.set_window_size(_WIDTH, height + 150)
                driver.get(f"{path.as_uri()}#{section}")
                png = driver.get_screenshot_as_png()
                shot = Image.open(io.BytesIO(png)).convert("RGB")
                shots.append(shot.crop((0, 0, shot.width, height)))
    page = Image.new("RGB", (sum(shot.width for shot in shots), shots[0].height))
    for i, shot in enumerate(shots):
        page.paste(shot, (i * shots[0].width, 0))
    (HERE / "images").mkdir(exist_ok=True)
    page.quantize(128).save(HERE / "images" / "report.png", optimize=True)


if __name__ == "__main__":
    main()
