"""How good the README's network becomes on MNIST, and what a training step costs.

    TFDS_DATA_DIR=... python benchmarks/mnist.py [--quick] [--json FILE]

Needs `mnist` prepared by TensorFlow Datasets (`tfds.load("mnist")` once); without it
the quick form uses scikit-learn's digits. The same network is trained by metric loss
on all ten digits, on 0-4 only, and as a plain softmax classifier on 0-4 whose last
hidden layer serves as the embedding.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from tensorflow_similarity.evaluators import evaluate_retrieval
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.samplers import MultiShotMemorySampler, select_examples


def load(quick):
    """Train and test pictures (n, height, width, 1) uint8 and labels."""
    if quick:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pictures = (digits.images * 15.9).astype("uint8")[..., None]
        return (pictures[:1200], digits.target[:1200]), (
            pictures[1200:],
            digits.target[1200:],
        )
    import tensorflow_datasets as tfds

    parts = tfds.as_numpy(tfds.load("mnist", split=["train", "test"], batch_size=-1))
    return [(part["image"], part["label"]) for part in parts]


def trunk(shape):
    inputs = layers.Input(shape=shape)
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = layers.Flatten()(x)
    return inputs, layers.Dense(64, activation="relu")(x)


def metric_model(shape):
    inputs, x = trunk(shape)
    model = SimilarityModel(inputs, MetricEmbedding(64)(x))
    model.compile("adam", loss=MultiSimilarityLoss())
    return model


def softmax_model(shape, n_classes):
    inputs, x = trunk(shape)
    outputs = layers.Dense(n_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss="sparse_categorical_crossentropy")
    return model, keras.Model(inputs, x)


def sampler(train, classes, steps, seed):
    x, y = train
    return MultiShotMemorySampler(
        x,
        y,
        classes_per_batch=len(classes),
        examples_per_class_per_batch=2,
        steps_per_epoch=steps,
        class_list=classes,
        seed=seed,
    )


def embed(model, x):
    return np.concatenate(
        [model.predict_on_batch(x[i : i + 500]) for i in range(0, len(x), 500)]
    )


def only(data, classes):
    x, y = data
    chosen = np.isin(y, classes)
    return x[chosen], y[chosen]


def retrieval(model, data):
    """Leave-one-out P@1 and MAP@R."""
    found = evaluate_retrieval(embed(model, data[0]), data[1], k=(1,))
    return found["precision_at_1"], found["mean_average_precision_at_r"]


def nearest(model, references, queries):
    """Accuracy of the nearest neighbour."""
    found = evaluate_retrieval(
        embed(model, references[0]),
        references[1],
        embed(model, queries[0]),
        queries[1],
        k=(1,),
    )
    return found["precision_at_1"]


def quality(train, test, seed, epochs, steps):
    shape = train[0].shape[1:]
    seen, unseen = list(range(5)), list(range(5, 10))
    keras.utils.set_random_seed(seed)
    model = metric_model(shape)
    model.fit(sampler(train, list(range(10)), steps, seed), epochs=epochs, verbose=0)
    few = min(200, min(np.bincount(train[1])))
    references = select_examples(*train, None, few, seed=seed)
    p1, map_r = retrieval(model, test)
    found = {"P@1": p1, "MAP@R": map_r, "1-NN": nearest(model, references, test)}

    few = min(100, few)
    references = select_examples(*train, unseen, few, seed=seed)
    queries = only(test, unseen)
    model = metric_model(shape)
    model.fit(sampler(train, seen, steps, seed), epochs=epochs, verbose=0)
    found["P@1 unseen"] = retrieval(model, queries)[0]
    found["1-NN unseen"] = nearest(model, references, queries)
    classifier, features = softmax_model(shape, 5)
    classifier.fit(sampler(train, seen, steps, seed), epochs=epochs, verbose=0)
    found["P@1 unseen, softmax"] = retrieval(features, queries)[0]
    found["1-NN unseen, softmax"] = nearest(features, references, queries)
    return found


def step_times(train, rounds):
    """Median milliseconds of one training step, the two models taking turns."""
    x, y = sampler(train, list(range(10)), 10, 0)[0]
    shape = train[0].shape[1:]
    models = {"metric": metric_model(shape), "softmax": softmax_model(shape, 10)[0]}
    times = {name: [] for name in models}
    for i in range(rounds + 5):
        for name, model in models.items():
            start = time.perf_counter()
            model.train_on_batch(x, y)
            if i >= 5:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(values)) for name, values in times.items()}


GATES = {
    "P@1": 0.978,
    "MAP@R": 0.925,
    "1-NN": 0.972,
    "P@1 unseen": 0.87,
    "1-NN unseen": 0.78,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="digits, one seed")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    train, test = load(arguments.quick)
    n_seeds, epochs, steps = (
        (1, 1, 100) if arguments.quick else (arguments.seeds, 5, 1000)
    )
    runs = []
    for seed in range(n_seeds):
        runs.append(quality(train, test, seed, epochs, steps))
        rounded = {name: round(value, 4) for name, value in runs[-1].items()}
        print(f"seed {seed}:", rounded, flush=True)
    times = step_times(train, 20 if arguments.quick else 400)
    mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    print(f"\n{'mean of ' + str(n_seeds) + ' seeds':24}{'figure':>8}{'gate':>8}")
    for name, value in mean.items():
        gate = f"{GATES[name]:8.3f}" if name in GATES else "      -"
        print(f"{name:24}{value:8.4f}{gate}")
    ratio = times["metric"] / times["softmax"]
    print(
        f"step, ms: metric {times['metric']:.2f}, softmax {times['softmax']:.2f}, "
        f"ratio {ratio:.3f}, gate 1.10"
    )
    found = {"runs": runs, "mean": mean, "step ms": times, "ratio": ratio}
    print(json.dumps(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
