"""How fast `fit` trains on a sampler, against one constant batch.

    python benchmarks/sampler.py [--quick] [--json FILE]

The floor is the same model on a `tf.data.Dataset` that repeats one batch. Every feed
is timed in each round, so that what else the machine does falls on all of them; the
figures are medians over the rounds, the ratios medians of the rounds' ratios. "20 ms"
adds a wait of 20 ms to every step, as a model on an accelerator would. "sampler" is
`SimilarityModel.fit(sampler)`, "Keras alone" the `fit` of `keras.Model`.
"""

import argparse
import functools
import json
import os
import statistics
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tensorflow_similarity.losses import MultiSimilarityLoss  # noqa: E402
from tensorflow_similarity.models import SimilarityModel  # noqa: E402
from tensorflow_similarity.samplers import MultiShotMemorySampler  # noqa: E402

SIZES = {
    "28x28x1, batch 128": {
        "shape": (28, 28, 1),
        "n_examples": 60_000,
        "examples_per_class_per_batch": 16,
        "steps": 600,
        "gates": {"as_tf_dataset": 0.9, "sampler": 0.75},
    },
    "224x224x3, batch 32": {
        "shape": (224, 224, 3),
        "n_examples": 2_000,
        "examples_per_class_per_batch": 4,
        "steps": 150,
        "gates": {"as_tf_dataset": 0.8, "sampler": 0.5},
    },
}
N_CLASSES = 10
CLASSES_PER_BATCH = 8
SLOW_STEPS = 100
SLOW_SECONDS = 0.020
SLOW_GATE = 0.97
START_SECONDS = 1.0


class Wait(keras.callbacks.Callback):
    """Stands for a model whose step takes 20 ms on an accelerator."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(SLOW_SECONDS)


class Clock(keras.callbacks.Callback):
    """Times the steps of the epochs after the first, which traces and warms up."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start


def make_model(shape):
    inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    stride = max(1, shape[0] // 28)
    if stride > 1:
        x = keras.layers.AveragePooling2D(stride)(x)
    x = keras.layers.Flatten()(x)
    model = SimilarityModel(inputs, keras.layers.Dense(64)(x))
    model.compile("adam", loss=MultiSimilarityLoss())
    return model


def steps_per_second(fit, feed, steps, callbacks=()):
    """Of the second epoch of `fit`."""
    clock = Clock()
    fit(
        feed,
        epochs=2,
        steps_per_epoch=steps,
        shuffle=not isinstance(feed, tf.data.Dataset),
        verbose=0,
        callbacks=[clock, *callbacks],
    )
    return steps / clock.seconds


def measure(size, n_rounds, share):
    """Medians of steps per second and ratios to the floor, by feed."""
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (size["n_examples"], *size["shape"]), np.uint8)
    y = generator.integers(0, N_CLASSES, size["n_examples"])
    model = make_model(size["shape"])
    keras_alone = functools.partial(keras.Model.fit, model)
    answers = {}
    for slow in (False, True):
        steps = max(20, int((SLOW_STEPS if slow else size["steps"]) * share))
        rounds = []
        for number in range(n_rounds):
            sampler = MultiShotMemorySampler(
                x,
                y,
                classes_per_batch=CLASSES_PER_BATCH,
                examples_per_class_per_batch=size["examples_per_class_per_batch"],
                steps_per_epoch=steps,
                seed=1,
            )
            constant = tf.data.Dataset.from_tensors(sampler[0]).repeat()
            feeds = {
                "floor": constant,
                "as_tf_dataset": sampler.as_tf_dataset(),
                "sampler": sampler,
                "Keras alone": sampler,
            }
            # Another one goes first in each round.
            first = number % len(feeds)
            order = [*feeds, *feeds][first : first + len(feeds)]
            callbacks = [Wait()] if slow else []
            rounds.append(
                {
                    name: steps_per_second(
                        model.fit if name != "Keras alone" else keras_alone,
                        feeds[name],
                        steps,
                        callbacks,
                    )
                    for name in order
                }
            )
        for name in feeds:
            gate = SLOW_GATE if slow else size["gates"].get(name)
            if name in ("floor", "Keras alone"):
                gate = None
            answers[name + (", 20 ms" if slow else "")] = {
                "steps_per_second": statistics.median(r[name] for r in rounds),
                "ratio": statistics.median(r[name] / r["floor"] for r in rounds),
                "gate": gate,
            }
    return answers


def seconds_to_start():
    """Best of three, over 1,000,000 labels of 1,000 classes, first batch included."""
    labels = np.random.default_rng(0).integers(0, 1000, 1_000_000)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        sampler = MultiShotMemorySampler(
            range(len(labels)), labels, classes_per_batch=32, seed=1
        )
        sampler[0]
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    n_rounds, share = (1, 0.2) if arguments.quick else (5, 1.0)

    figures = {"start_seconds": seconds_to_start(), "sizes": {}}
    met = figures["start_seconds"] < START_SECONDS
    print(f"start over 1,000,000 labels: {figures['start_seconds']:.2f} s (gate < 1)")
    for name, size in SIZES.items():
        figures["sizes"][name] = rows = measure(size, n_rounds, share)
        print(f"\n{name:24} {'steps/s':>9} {'ratio':>7} {'gate':>6}")
        for feed, row in rows.items():
            gate = "" if row["gate"] is None else f"{row['gate']:.2f}"
            missed = row["gate"] is not None and row["ratio"] < row["gate"]
            met = met and not missed
            print(
                f"{feed:24} {row['steps_per_second']:9.1f} {row['ratio']:7.3f} "
                f"{gate:>6}{'  missed' if missed else ''}"
            )
    figures["gates_met"] = bool(met)
    print(f"\n{json.dumps(figures)}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=1)
    # A single short round says nothing about speed.
    return 0 if met or arguments.quick else 1


if __name__ == "__main__":
    sys.exit(main())
