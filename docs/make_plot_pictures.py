"""Draws the pictures of `docs/plots.md` from scikit-learn's digits.

    python docs/make_plot_pictures.py            # docs/images, what the page shows
    python docs/make_plot_pictures.py FOLDER     # every plot, light and dark, with few
                                                 # and many classes and long names

Embeddings are the pixels themselves: nothing is trained, so there are errors to see.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from tensorflow_similarity import visualization as look
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.types import Lookups

HERE = Path(__file__).parent
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
N_ITEMS = 300


def digits() -> SimpleNamespace:
    """Items, queries, the neighbours of each query, and distances of pairs."""
    data = load_digits()
    embeddings = data.data / np.linalg.norm(data.data, axis=1, keepdims=True)
    embeddings = embeddings.astype(np.float32)
    items, queries = embeddings[:N_ITEMS], embeddings[N_ITEMS:]
    search = LinearSearch("cosine", items.shape[1])
    search.batch_add(items, np.arange(N_ITEMS))
    ids, distances = search.batch_lookup(queries, 5)
    labels, truth = data.target[:N_ITEMS], data.target[N_ITEMS:]
    apart = 1 - queries[:500] @ queries[:500].T
    upper = np.triu_indices(500, 1)
    same = truth[:500, None] == truth[None, :500]
    return SimpleNamespace(
        items=data.images[:N_ITEMS],
        queries=data.images[N_ITEMS:],
        truth=truth,
        ids=ids,
        distances=distances,
        found=labels[ids],
        same=apart[upper][same[upper]],
        different=apart[upper][~same[upper]],
    )


def lookups_of(data: SimpleNamespace) -> Lookups:
    class Pictures:
        def fetch(self, ids: np.ndarray) -> Any:
            nothing = [None] * len(ids)
            pictures = list(data.items[ids])
            return SimpleNamespace(embeddings=nothing, data=pictures, metadata=nothing)

    return Lookups(data.ids, data.distances, data.found, records=Pictures())


def rates(same: np.ndarray, different: np.ndarray) -> tuple[np.ndarray, ...]:
    """(fpr, tpr, thresholds), from the threshold that accepts nothing."""
    thresholds = np.unique(np.concatenate([[-np.inf], same, different]))
    fpr, tpr = (
        np.searchsorted(np.sort(group), thresholds, side="right") / len(group)
        for group in (different, same)
    )
    return fpr, tpr, thresholds


def calibration(nearest: np.ndarray, right: np.ndarray) -> SimpleNamespace:
    """Metrics of taking the nearest neighbour's label up to each distance."""
    order = np.argsort(nearest)
    true, answered = np.cumsum(right[order]), np.arange(1, len(order) + 1)
    precision, recall = true / answered, true / right.sum()
    f1 = 2 * precision * recall / (precision + recall)
    distance = nearest[order]
    cutpoints = {
        "optimal": {"name": "optimal", "distance": float(distance[f1.argmax()])},
        "precision above 0.98": {
            "distance": float(distance[np.flatnonzero(precision >= 0.98)[-1]])
        },
    }
    thresholds = {"distance": distance, "precision": precision, "recall": recall}
    return SimpleNamespace(
        thresholds={**thresholds, "f1": f1, "value": f1}, cutpoints=cutpoints
    )


def history(n_epochs: int = 12) -> dict[str, list[float]]:
    """Curves as a training logs them; made up, to show the panels."""
    epoch = np.arange(n_epochs)
    down = np.exp(-epoch / 4)
    return {
        name: values.tolist()
        for name, values in {
            "loss": 0.2 + down,
            "avg_pos": 0.1 + 0.4 * down,
            "avg_neg": 0.9 - 0.3 * down,
            "dist_gap": 0.5 - 0.8 * down,
            "effective_rank": 20 - 12 * down,
            "val_loss": 0.3 + down,
            "binary_accuracy_known_classes": 0.95 - 0.5 * down,
            "binary_accuracy_unknown_classes": 0.8 - 0.5 * down,
            "learning_rate": 1e-3 * 0.5 ** (epoch // 4),
        }.items()
    }


def views(data: SimpleNamespace) -> list[np.ndarray]:
    pictures = data.queries[:8]
    faint = 0.5 * pictures + np.random.default_rng(0).normal(0, 2, pictures.shape)
    return [np.roll(pictures, 1, axis=2), faint]


def page_pictures(data: SimpleNamespace, folder: Path) -> None:
    """The pictures of the page, light."""
    folder.mkdir(parents=True, exist_ok=True)
    found = calibration(data.distances[:, 0], data.found[:, 0] == data.truth)
    cut = found.cutpoints["optimal"]

    answer = np.where(data.distances[:, 0] <= cut["distance"], data.found[:, 0], -1)
    ax, _ = look.confusion_matrix(answer, data.truth, labels=NAMES, show=False)
    save(ax.figure, folder / "confusion_matrix.png")

    figure, axes = plt.subplots(2, 2, figsize=(11, 9.4), layout="constrained")
    curve = rates(data.same, data.different)
    look.plot_roc(curve, cutpoint="eer", ax=axes[0, 0])
    look.plot_det(curve, cutpoint="eer", ax=axes[0, 1])
    look.plot_precision_recall(found, ax=axes[1, 0])
    equal = float(curve[2][np.maximum(curve[0], 1 - curve[1]).argmin()])
    look.plot_distances(data.same, data.different, threshold=equal, ax=axes[1, 1])
    save(figure, folder / "verification_plots.png")

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    look.plot_calibration(found, ax=axes[0])
    right = (data.found == data.truth[:, None]).mean(axis=1)
    by_class = {name: right[data.truth == i].mean() for i, name in enumerate(NAMES)}
    look.plot_retrieval_by_class(by_class, "precision_at_5", ax=axes[1])
    save(figure, folder / "calibration_and_classes.png")

    save(look.plot_history(history())[0].figure, folder / "history.png")
    gallery = look.neighbors_gallery(
        lookups_of(data), data.queries, data.truth, sort="worst", max_queries=4
    )
    save(gallery.figure(), folder / "neighbors_gallery.png")


def every_picture(data: SimpleNamespace, folder: Path) -> None:
    """All plots, to be looked at: light and dark, 2 and 200 classes, long names."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    found = calibration(data.distances[:, 0], data.found[:, 0] == data.truth)
    curve = rates(data.same, data.different)
    other = rates(data.same * rng.uniform(0.5, 1.5, len(data.same)), data.different)
    long = [f"a class with quite a long name, of ${i}$" for i in range(200)]
    true = rng.integers(0, 200, 6000)
    guess = np.where(rng.uniform(size=6000) < 0.6, true, rng.integers(-1, 200, 6000))
    for style in ("default", "dark_background"):

        def keep(drawn: Any, name: str, style: str = style) -> None:
            save(np.ravel(drawn)[0].figure, folder / f"{name}_{style}.png")

        with plt.style.context(style):
            for n_classes in (2, 10, 200):
                kept = true < n_classes
                pair = np.where(guess < n_classes, guess, -1)[kept], true[kept]
                drawn = look.confusion_matrix(
                    *pair, labels=long[:n_classes], show=False, title=f"{n_classes}"
                )
                keep(drawn[0], f"confusion_{n_classes}")
                values = rng.uniform(0.2, 1, n_classes)
                by_class = dict(zip(long, values, strict=False))
                keep(look.plot_retrieval_by_class(by_class), f"classes_{n_classes}")
            keep(look.confusion_matrix([0, 1, 1], [0, 1, 0], show=False)[0], "small")
            counts = look.confusion_matrix(
                data.found[:, 0], data.truth, False, NAMES, cmap="cividis", show=False
            )
            keep(counts[0], "confusion_counts")
            keep(look.plot_roc(curve, cutpoint="eer"), "roc")
            two = {"pixels": curve, "a model with a rather long name": other}
            many = {f"{long[i]}": curve if i % 2 else other for i in range(8)}
            keep(look.plot_roc(two, cutpoint=0.3, log_x=True), "roc_log")
            keep(look.plot_roc(many), "roc_many")
            keep(look.plot_det(two, cutpoint="eer"), "det")
            keep(look.plot_precision_recall(found), "precision_recall")
            keep(
                look.plot_distances(data.same, data.different, threshold=0.28),
                "distances",
            )
            keep(look.plot_calibration(found), "calibration")
            keep(look.plot_history(history()), "history")
            points = [0.71, 0.93, 0.99], [0.08, 0.2, 0.9], [16, 64, 256]
            exact = [1.0], [2.2], ["exact"]
            keep(
                look.plot_recall_latency({"nmslib": points, "linear": exact}),
                "recall_latency",
            )
            keep(
                look.visualize_views(
                    views(data),
                    labels=data.truth[:8],
                    predictions=data.truth[:8] // 2 * 2,
                    max_pixel_value=16.0,
                    show=False,
                ),
                "views",
            )
            for sort in ("worst", "confused", "threshold"):
                gallery = look.neighbors_gallery(
                    lookups_of(data),
                    data.queries,
                    data.truth,
                    class_mapping=long,
                    sort=sort,
                    threshold=found,
                    max_queries=4,
                )
                save(gallery.figure(), folder / f"gallery_{sort}_{style}.png")
                if style == "default":
                    gallery.save_html(folder / f"gallery_{sort}.html")


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    if sys.argv[1:]:
        every_picture(digits(), Path(sys.argv[1]))
    else:
        page_pictures(digits(), HERE / "images")
