"""How smoothly the projector moves, how large its page is, and how long a layout takes.

    python benchmarks/projector.py [--quick] [--json FILE]

Clusters of 64-dimensional unit rows, seeded, each with a 28 x 28 picture. A headless
Chromium without a graphics card opens the page and drags the plot to and fro; the time
between two frames is that of `requestAnimationFrame`. Layouts are timed beside
umap-learn alone, both fitted to the same rows with one thread and one seed, after a
small fit that compiles it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from tests import browser  # noqa: E402

DIM, N_CLASSES = 64, 10


def clusters(n, seed=0):
    """Unit rows around class centres, labels, and pictures as digits have them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(N_CLASSES, size=n)
    rows = rng.normal(size=(N_CLASSES, DIM))[labels] + 0.7 * rng.normal(size=(n, DIM))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")
    return rows, labels, pictures(labels, rng)


def pictures(labels, rng):
    """scikit-learn's digits of those classes, 28 x 28, moved and noisy: uint8."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = digits.images / 16
    found = np.zeros((len(labels), 28, 28), np.uint8)
    for label in range(N_CLASSES):
        members = np.flatnonzero(labels == label)
        drawn = rng.choice(np.flatnonzero(digits.target == label), len(members))
        large = small[drawn].repeat(3, axis=1).repeat(3, axis=2)
        # Each a little different, so that no two compress to one.
        large = large * rng.uniform(0.6, 1.0, (len(members), 1, 1))
        noise = rng.uniform(0, 0.15, large.shape) * (large > 0)
        found[members, 2:26, 2:26] = np.clip((large + noise) * 255, 0, 255)
    return found


def timed(call):
    start = time.perf_counter()
    answer = call()
    return time.perf_counter() - start, answer


def frames(path, seconds):
    """Milliseconds between frames while panning, and seconds until the page is."""
    with browser.started() as driver:
        opening, page = timed(lambda: browser.Page(driver, path.as_uri()))
        backend = page.run("return page.figure.output_backend")
        page.run(
            "window.times = []; const tick = t => { times.push(t);"
            "requestAnimationFrame(tick); }; requestAnimationFrame(tick);"
        )
        x, y = page.run(
            "const r = document.getElementById('plot').getBoundingClientRect();"
            "return [r.left + r.width / 2, r.top + r.height / 2]"
        )
        before = page.run("return page.figure.x_range.start")
        page.mouse().to(round(x), round(y)).down().perform()
        page.run("times.length = 0")
        end, i = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            mouse = page.mouse()
            for _ in range(20):
                i += 1
                across, up = 90 * np.sin(i / 15), 60 * np.sin(i / 7)
                mouse.to(round(x + across), round(y + up))
            mouse.perform()
        page.mouse().to(round(x) + 40, round(y)).up().perform()
        times = np.diff(page.run("return times"))
        moved = page.run("return page.figure.x_range.start") != before
        errors = browser.complaints(driver)
    if not moved or errors:
        raise RuntimeError(f"The plot moved: {moved}; errors: {errors}.")
    return {
        "opening_s": round(opening, 2),
        "drawn_by": backend,
        "n_frames": len(times),
        "median_frame_ms": round(float(np.median(times)), 1),
        "frame_ms_95": round(float(np.quantile(times, 0.95)), 1),
    }


def measure_page(n, seconds, folder):
    from tensorflow_similarity.visualization import projector

    rows, labels, images = clusters(n)
    coordinates = rows[:, :2] + 0.1 * rows[:, 2:4]
    making, projection = timed(
        lambda: projector(
            rows,
            labels,
            images=images,
            layout=coordinates,
            active_drag="pan",
            max_points=None,
            show=False,
        )
    )
    path = folder / f"{n}.html"
    writing, _ = timed(lambda: projection.save_html(path))
    return {
        "n": n,
        "pictures_and_neighbours_s": round(making, 1),
        "writing_s": round(writing, 1),
        "html_mb": round(path.stat().st_size / 1e6, 1),
        **frames(path, seconds),
    }


def measure_layout(n):
    """Seconds of the layout, its search included, and of umap-learn alone."""
    import umap

    from tensorflow_similarity import distances
    from tensorflow_similarity.visualization.layout import layout_of
    from tensorflow_similarity.visualization.nearest_points import nearest_points

    rows, labels, _ = clusters(n)
    cosine = distances.get("cosine")

    def ours(rows, densmap=True):
        return layout_of(
            rows, "umap", cosine, nearest_points(rows, 14, cosine), densmap
        )

    def alone(rows, densmap=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = umap.UMAP(
                metric="cosine", densmap=densmap, random_state=0, n_jobs=1
            )
            return model.fit_transform(rows)

    for call in (ours, alone):
        call(rows[:300]), call(rows[:300], False)
    found = {"n": n}
    for name, densmap in (("densmap", True), ("umap", False)):
        found[f"{name}_s"] = round(timed(lambda d=densmap: ours(rows, d))[0], 1)
        found[f"{name}_learn_alone_s"] = round(
            timed(lambda d=densmap: alone(rows, d))[0], 1
        )
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 points")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    reason = browser.missing()
    if reason:
        print(f"Only layouts are measured; frames need a browser: {reason}")
    sizes, seconds = ([500], 1.0) if options.quick else ([20_000, 100_000], 5.0)
    report = {"cores": os.cpu_count(), "pages": []}
    with tempfile.TemporaryDirectory() as folder:
        for n in sizes if not reason else ():
            report["pages"].append(measure_page(n, seconds, Path(folder)))
            print(json.dumps(report["pages"][-1], indent=2), flush=True)
    report["layout"] = measure_layout(sizes[0])
    print(json.dumps(report["layout"], indent=2))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
