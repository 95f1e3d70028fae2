"""Which loss finds classes that it never saw: Fashion-MNIST, same network, same steps.

    TFDS_DATA_DIR=... python benchmarks/metric_learning.py [--quick] [--json FILE]
                                                           [--only NAME,...]

Trained on classes 0-4 of the training split with batches of 5 classes x 16, 1,500 steps
of Adam; judged on classes 5-9 of the test split, which nobody trained on: each picture
is a query to all the others. Mean and spread (standard deviation) over three seeds.
Every loss has this library's defaults unless the table names an argument. "softmax" is
a plain Keras classifier whose last hidden layer, made unit length, is the embedding.

Needs `fashion_mnist` prepared by TensorFlow Datasets; `--quick` takes scikit-learn's
digits, every fourth loss, one seed and a few steps.
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

from tensorflow_similarity import losses
from tensorflow_similarity.evaluators import evaluate_retrieval
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.samplers import MultiShotMemorySampler

SEEN, UNSEEN = range(5), range(5, 10)
PROXIES = {"num_classes": len(SEEN), "learning_rate_multiplier": 10.0}
LOSSES = {
    "ContrastiveLoss": {},
    "TripletLoss": {},
    "MultiSimilarityLoss": {},
    "CircleLoss": {},
    "GeneralizedLiftedStructureLoss": {"distance": "euclidean"},
    "MarginLoss": {"distance": "euclidean", "miner": "distance_weighted"},
    "NTXentLoss": {},
    "SupConLoss": {},
    "SigLIPLoss": {},
    "NormalizedSoftmaxLoss": PROXIES,
    "ArcFaceLoss": PROXIES,
    "ProxyNCALoss": PROXIES,
    "ProxyAnchorLoss": PROXIES,
    "SoftTripleLoss": PROXIES,
    "FastAPLoss": {},
    "SmoothAPLoss": {},
}
METRICS = {
    "P@1": "precision_at_1",
    "R-precision": "r_precision",
    "MAP@R": "mean_average_precision_at_r",
}


def load(quick):
    """Pictures and labels: the seen classes to train on, the unseen to judge by."""
    if quick:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pictures = (digits.images * 15.9).astype("uint8")[..., None]
        train = test = (pictures, digits.target)
    else:
        import tensorflow_datasets as tfds

        parts = tfds.load("fashion_mnist", split=["train", "test"], batch_size=-1)
        train, test = [(p["image"], p["label"]) for p in tfds.as_numpy(parts)]
    return only(train, SEEN), only(test, UNSEEN)


def only(data, classes):
    x, y = data
    chosen = np.isin(y, classes)
    return x[chosen], y[chosen]


def trunk(shape):
    inputs = layers.Input(shape)
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(32, 3, strides=2, activation="relu")(x)
    x = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Flatten()(x)
    return inputs, layers.Dense(128, activation="relu")(x)


def compiled(name, shape):
    """A model to fit and the model that embeds; the same one but for softmax."""
    inputs, x = trunk(shape)
    if name == "softmax":
        features = layers.Dense(64)(x)
        outputs = layers.Dense(len(SEEN), activation="softmax")(features)
        model = keras.Model(inputs, outputs)
        model.compile("adam", loss="sparse_categorical_crossentropy")
        return model, keras.Model(inputs, features)
    model = SimilarityModel(inputs, MetricEmbedding(64)(x))
    model.compile("adam", loss=getattr(losses, name)(**LOSSES[name]))
    return model, model


def run(name, train, test, seed, steps):
    """Figures of one training: metrics and seconds."""
    keras.utils.set_random_seed(seed)
    model, embedding = compiled(name, train[0].shape[1:])
    sampler = MultiShotMemorySampler(
        *train,
        classes_per_batch=len(SEEN),
        examples_per_class_per_batch=16,
        steps_per_epoch=steps,
        seed=seed,
    )
    start = time.perf_counter()
    model.fit(sampler.as_tf_dataset(), verbose=0, shuffle=False)
    seconds = time.perf_counter() - start
    embeddings = embedding.predict(test[0], batch_size=500, verbose=0)
    found = evaluate_retrieval(embeddings, test[1], distance="cosine", k=1)
    return {**{m: found[key] for m, key in METRICS.items()}, "train s": seconds}


def summary(runs):
    """Mean and standard deviation of each figure."""
    return {
        figure: (
            statistics.mean(r[figure] for r in runs),
            statistics.stdev([r[figure] for r in runs]) if len(runs) > 1 else 0.0,
        )
        for figure in runs[0]
    }


def described(name):
    arguments = LOSSES.get(name, {})
    said = [f"{k}={v}" for k, v in arguments.items() if k != "num_classes"]
    return name + (f" ({', '.join(said)})" if said else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="digits, one seed")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--only", help="names of losses, with commas between")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    train, test = load(arguments.quick)
    seeds, steps = (1, 30) if arguments.quick else (arguments.seeds, 1500)
    names = [*LOSSES][:: 4 if arguments.quick else 1] + ["softmax"]
    if arguments.only:
        names = arguments.only.split(",")
    figures = {}
    print(f"{'':64}" + "".join(f"{metric:>16}" for metric in [*METRICS, "train s"]))
    for name in names:
        runs = [run(name, train, test, seed, steps) for seed in range(seeds)]
        figures[name] = {"arguments": LOSSES.get(name, {}), "runs": runs}
        shown = summary(runs)
        cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in shown.values()]
        print(f"{described(name):64}" + "".join(f"{c:>16}" for c in cells), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=1))
    print("\n" + json.dumps(figures))


if __name__ == "__main__":
    main()
