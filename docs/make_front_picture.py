"""Makes docs/images/front.png: python docs/make_front_picture.py, about a minute.

A network learns the digits 0 to 6 of scikit-learn's; 7, 8 and 9 are only indexed. On
the left queries beside their neighbours, the last one misled; on the right the test
digits by UMAP.
"""

from pathlib import Path

import keras
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.samplers import MultiShotMemorySampler, select_examples
from tensorflow_similarity.visualization import projector

PATH = Path(__file__).parent / "images" / "front.png"
TRAINED = range(7)
K = 5
RIGHT, WRONG = "#0072B2", "#D55E00"


def main() -> None:
    keras.utils.set_random_seed(1)
    digits = load_digits()
    x, y = (digits.images[..., None] / 16).astype("float32"), digits.target
    x_train, y_train, x_test, y_test = x[:1200], y[:1200], x[1200:], y[1200:]
    sampler = MultiShotMemorySampler(
        x_train,
        y_train,
        classes_per_batch=7,
        examples_per_class_per_batch=8,
        steps_per_epoch=100,
        class_list=TRAINED,
        seed=1,
    )
    inputs = layers.Input((8, 8, 1))
    h = layers.Conv2D(32, 3, activation="relu")(inputs)
    h = layers.Dense(64, activation="relu")(layers.Flatten()(h))
    model = SimilarityModel(inputs, MetricEmbedding(32)(h))
    model.compile("adam", loss=MultiSimilarityLoss())
    model.fit(sampler, epochs=4, verbose=0)
    items, labels = select_examples(x_train, y_train, None, 50, seed=1)
    model.index(items, labels, data=items, verbose=0)

    lookups = model.lookup(x_test, k=K, verbose=0)
    right = lookups.labels == y_test[:, None]
    all_right = right.all(axis=1)
    queries = [int(np.flatnonzero(all_right & (y_test == c))[0]) for c in (3, 7, 8, 9)]
    # One that two neighbours of another class come near to.
    queries.append(int(np.flatnonzero(right[:, 0] & (right.sum(axis=1) == 3))[0]))

    figure = plt.figure(figsize=(12, 5.2), dpi=100, layout="constrained")
    left, plane = figure.subfigures(1, 2, width_ratios=[1.15, 1])
    draw_neighbours(left, x_test, y_test, lookups, queries)
    draw_plane(plane.subplots(), model.predict(x_test, verbose=0), y_test)
    figure.savefig(PATH, facecolor="white")


def draw_neighbours(figure, x, y, lookups, queries):
    axes = figure.subplots(len(queries), K + 1)
    for row, query in zip(axes, queries, strict=True):
        show(row[0], x[query], f"query: {y[query]}", "black", 1.0)
        for axis, neighbour in zip(row[1:], lookups[query], strict=True):
            right = neighbour.label == y[query]
            text = (
                f"{'' if right else '× '}{neighbour.label}   {neighbour.distance:.2f}"
            )
            colour, width = (RIGHT, 1.5) if right else (WRONG, 4.0)
            show(axis, neighbour.data, text, colour, width)
    figure.suptitle("Queries and their nearest neighbours, with distances", fontsize=11)


def show(axis, picture, title, colour, width):
    axis.imshow(picture.squeeze(), cmap="Greys")
    axis.set_title(title, fontsize=9, color=WRONG if "×" in title else "black", pad=3)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=width)


def draw_plane(axis, embeddings, labels):
    projection = projector(embeddings, labels, layout="umap", show=False)
    places, labels = projection.coordinates, labels[projection.rows]
    for label in range(10):
        mine = places[labels == label]
        seen = label in TRAINED
        colour = plt.get_cmap("tab10")(label)
        axis.scatter(*mine.T, s=9, color=colour, marker="o" if seen else "^")
        axis.annotate(
            str(label) if seen else f"{label} (new)",
            np.median(mine, axis=0),
            # Classes that lie on one another keep their names apart.
            xytext=(0, 18 if seen else -18),
            textcoords="offset points",
            fontsize=12,
            weight="bold",
            ha="center",
            va="center",
            bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": colour},
        )
    axis.set(xticks=[], yticks=[])
    axis.set_title(
        "Embeddings of held-out digits: 7, 8 and 9 were never trained on", fontsize=11
    )


if __name__ == "__main__":
    main()
