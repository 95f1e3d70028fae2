"""Whether the false positive rate that a calibration promises is the one that comes.

    TFDS_DATA_DIR=... python benchmarks/open_set_thresholds.py [--quick]
        [--resamplings N] [--json FILE]

Needs `fashion_mnist` prepared by TensorFlow Datasets (`tfds.load("fashion_mnist")`);
the quick form uses scikit-learn's digits.
A small network is trained on eight of the ten classes and indexes them. The test
pictures of all ten classes, none of which it has seen, are split into two halves, over
and over: one half calibrates, the other is matched. The rate is that of queries that
would get a wrong label, those of the two unknown classes among them, and are accepted:
fp / (fp + tn). The interval promised by one half is that of the rate on the other.
"""

import argparse
import json
import logging
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from tensorflow_similarity.evaluators import calibrate_lookups
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.matchers import count, make_classification_matcher
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.samplers import MultiShotMemorySampler, select_examples

UNKNOWN = (8, 9)  # bags and ankle boots
RATES = (0.001, 0.01, 0.05)


def load(quick):
    """Train and test pictures, uint8 with one channel, and labels."""
    if quick:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pictures = (digits.images * 15.9).astype("uint8")[..., None]
        halves = slice(0, 900), slice(900, None)
        return [(pictures[half], digits.target[half]) for half in halves]
    import tensorflow_datasets as tfds

    parts = tfds.as_numpy(
        tfds.load("fashion_mnist", split=["train", "test"], batch_size=-1)
    )
    return [(part["image"], part["label"]) for part in parts]


def trained(x, y, steps):
    """A network trained on the known classes, which it has indexed too."""
    known = np.setdiff1d(np.unique(y), UNKNOWN)
    inputs = layers.Input(x.shape[1:])
    h = layers.Rescaling(1 / 255)(inputs)
    for filters in (16, 32):
        h = layers.Conv2D(filters, 3, strides=2, activation="relu")(h)
    h = layers.Dense(64, activation="relu")(layers.Flatten()(h))
    model = SimilarityModel(inputs, MetricEmbedding(32)(h))
    model.compile("adam", loss=MultiSimilarityLoss())
    sampler = MultiShotMemorySampler(
        x,
        y,
        classes_per_batch=8,
        examples_per_class_per_batch=8,
        steps_per_epoch=steps,
        class_list=known,
        seed=1,
    )
    model.fit(sampler, epochs=1, verbose=0)
    items = select_examples(x, y, known, 500, seed=2)
    model.index(*items, verbose=0)
    return model


def resampling(lookups, y, rate, seed):
    """What one half promises of a rate, and what the other half shows."""
    order = np.random.default_rng(seed).permutation(len(y))
    halves = np.split(order, [len(y) // 2])
    words = f"fpr<={rate}"
    parts = [part_of(lookups, rows) for rows in halves]
    results = calibrate_lookups(
        y[halves[0]], parts[0], {"target": rate}, "fpr", n_new=len(halves[1]), seed=seed
    )
    promised = results.achieved["target"]
    judged = make_classification_matcher("match_nearest").judge(
        y[halves[1]], parts[1].labels, parts[1].distances
    )
    distance = np.array([results.cutpoints["target"]["distance"]])
    found = count(judged.distances.round(8), judged.matches, distance)
    shown = float(found.fp[0] / (found.fp[0] + found.tn[0]))
    return {
        "target": words,
        "calibration": promised["value"],
        "n": promised["n"],
        "supported": promised["supported"],
        "low": promised["low"],
        "high": promised["high"],
        "test": shown,
        "recall": float(found.tp[0] / (found.tp[0] + found.fn[0])),
        "inside": promised["low"] <= shown <= promised["high"],
    }


def part_of(lookups, rows):
    return type(lookups)(
        lookups.ids[rows], lookups.distances[rows], lookups.labels[rows]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="digits, less of everything"
    )
    parser.add_argument("--resamplings", type=int, default=20, help="splits")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    keras.utils.set_random_seed(1)
    # The table says which targets are not supported.
    logging.getLogger("tensorflow_similarity").setLevel(logging.ERROR)
    (x, y), (x_test, y_test) = load(options.quick)
    model = trained(x, y, steps=50 if options.quick else 1000)
    lookups = model.lookup(x_test, k=1, verbose=0)
    known = ~np.isin(y_test, UNKNOWN)
    accuracy = (lookups.labels[known, 0] == y_test[known]).mean()
    print(f"nearest neighbour right, known classes: {accuracy:.3f}")
    n_resamplings = 5 if options.quick else options.resamplings
    rows = {
        rate: [resampling(lookups, y_test, rate, seed) for seed in range(n_resamplings)]
        for rate in RATES
    }
    heads = "target | negatives | supported | test | interval | inside | recall"
    print(f"| {heads} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for rate, found in rows.items():
        mean = {
            key: np.mean([row[key] for row in found])
            for key in ("n", "supported", "test", "low", "high", "recall")
        }
        inside = sum(row["inside"] for row in found)
        supported = "yes" if mean["supported"] == 1 else "no"
        cells = [
            f"fpr<={rate}",
            f"{mean['n']:.0f}",
            supported,
            f"{mean['test']:.4f}",
            f"{mean['low']:.4f} to {mean['high']:.4f}",
            f"{inside} of {len(found)}",
            f"{mean['recall']:.3f}",
        ]
        print(f"| {' | '.join(cells)} |")
    if options.json:
        options.json.write_text(json.dumps({str(k): v for k, v in rows.items()}))


if __name__ == "__main__":
    main()
