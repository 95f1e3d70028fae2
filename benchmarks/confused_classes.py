"""Training on classes that the index confuses, against plain batches. Same steps.

    python benchmarks/confused_classes.py [--quick] [--json FILE]

Pictures of digits joined in threes side by side: 1,000 classes of 30 pictures, and
classes that share digits look alike. 800 classes are trained on, 200 are unseen; the
digits of the unseen come from pictures that training never saw. The same network, loss,
batches of 16 classes x 4 and number of steps; `MultiShotMemorySampler` against
`ConfusedClassesSampler` with `RefreshConfusedClasses` at each epoch. MAP@R of the
unseen classes, every picture a query to the others, for three seeds. Seconds are those
of `fit`, the refreshing included.

`--quick` takes one seed, 100 classes and a few steps.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from tensorflow_similarity.callbacks import RefreshConfusedClasses
from tensorflow_similarity.evaluators import evaluate_retrieval
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.samplers import (
    ConfusedClassesSampler,
    MultiShotMemorySampler,
)

N_PER_CLASS = 30
STEPS, EPOCHS = 200, 15


def load(n_classes):
    """Three digits in a row; classes to train on and classes to judge by."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pictures = (data.images / 16).astype("float32")
    generator = np.random.default_rng(0)
    fresh = generator.random(len(pictures)) < 0.3
    classes = generator.permutation(1000)[:n_classes]
    n_seen = n_classes * 4 // 5
    parts = []
    for chosen, of_fresh in ((classes[:n_seen], False), (classes[n_seen:], True)):
        by_digit = [
            np.flatnonzero((data.target == digit) & (fresh == of_fresh))
            for digit in range(10)
        ]
        labels = np.repeat(chosen, N_PER_CLASS)
        columns = []
        for place in (100, 10, 1):
            digit = labels // place % 10
            rows = [generator.choice(by_digit[one]) for one in digit]
            columns.append(pictures[rows])
        x = np.concatenate(columns, axis=2)[..., None]
        x += generator.normal(scale=0.15, size=x.shape).astype("float32")
        parts.append((x, labels))
    return parts


def make_model():
    inputs = layers.Input((8, 24, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    model = SimilarityModel(inputs, MetricEmbedding(32)(x))
    model.compile(keras.optimizers.Adam(1e-3), loss=MultiSimilarityLoss())
    return model


def run(kind, seen, unseen, seed, steps, epochs):
    keras.utils.set_random_seed(seed)
    arguments = {
        "classes_per_batch": 16,
        "examples_per_class_per_batch": 4,
        "steps_per_epoch": steps,
        "seed": seed,
    }
    callbacks = []
    if kind == "plain":
        sampler = MultiShotMemorySampler(*seen, **arguments)
    else:
        sampler = ConfusedClassesSampler(*seen, **arguments)
        callbacks.append(RefreshConfusedClasses(sampler))
    model = make_model()
    start = time.perf_counter()
    model.fit(sampler, epochs=epochs, callbacks=callbacks, verbose=0)
    seconds = time.perf_counter() - start
    embeddings = model.predict(unseen[0], verbose=0)
    found = evaluate_retrieval(embeddings, unseen[1], k=1)
    return {
        "map_at_r": found["mean_average_precision_at_r"],
        "precision_at_1": found["precision_at_1"],
        "seconds": seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    seen, unseen = load(100 if arguments.quick else 1000)
    steps, epochs = (10, 3) if arguments.quick else (STEPS, EPOCHS)
    results = {"plain": [], "confused classes": []}
    for seed in range(1 if arguments.quick else 3):
        for kind, found in results.items():
            found.append(run(kind, seen, unseen, seed, steps, epochs))
            print(kind, seed, found[-1], flush=True)
    print("| batches | MAP@R of each seed | mean | P@1 | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for kind, found in results.items():
        values = [one["map_at_r"] for one in found]
        print(
            f"| {kind} | {', '.join(f'{value:.4f}' for value in values)} "
            f"| {statistics.mean(values):.4f} "
            f"| {statistics.mean(one['precision_at_1'] for one in found):.4f} "
            f"| {statistics.mean(one['seconds'] for one in found):.1f} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
