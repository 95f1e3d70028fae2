"""What re-ranking and query expansion do to MAP@R, and what they cost.

    TFDS_DATA_DIR=... python benchmarks/post_processing.py [--quick] [--json FILE]

Nothing is trained: embeddings are the pictures by PCA to 64 dimensions, fitted without
labels. Two data sets: Fashion-MNIST's test split (10,000, prepared by TensorFlow
Datasets) and scikit-learn's digits (1,797). Every picture is a query to all the others
and is left out of its own answer. Each method answers with a whole ranking down to the
largest R; "seconds" is the method with its search, beside the plain search alone, and
MAP@R has the spread of 1,000 resamplings of the queries. Parameters are the papers'.

`--quick` takes 1,000 digits.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tensorflow_similarity.evaluators import (
    augment_database,
    bootstrap_interval,
    rerank,
)
from tensorflow_similarity.search import LinearSearch

DIM = 64
# Neighbours that re-ranking puts in a new order; the others keep theirs, behind.
N_RERANKED = 500


def digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data, data.target


def fashion():
    import tensorflow_datasets as tfds

    part = tfds.as_numpy(tfds.load("fashion_mnist", split="test", batch_size=-1))
    return part["image"].reshape(len(part["image"]), -1), part["label"]


def components(pictures):
    from sklearn.decomposition import PCA

    x = np.asarray(pictures, np.float64)
    n = min(DIM, x.shape[1])
    return PCA(n, random_state=0).fit_transform(x).astype(np.float32)


def search(items, queries, depth):
    """Rows of the nearest others of each query, the item that it is left out."""
    linear = LinearSearch("cosine", items.shape[1])
    linear.batch_add(items, np.arange(len(items)))
    rows, _ = linear.batch_lookup(queries, depth + 1)
    keep = rows != np.arange(len(rows))[:, None]
    keep[keep.all(axis=1), -1] = False
    return rows[keep].reshape(len(rows), depth)


def average_precision(rows, labels, n_relevant):
    """AP@R of each query."""
    relevant = labels[rows] == labels[:, None]
    places = np.arange(1, rows.shape[1] + 1)
    precision = np.cumsum(relevant, axis=1) / places
    counted = relevant & (places <= n_relevant[:, None])
    return precision.sum(axis=1, where=counted) / n_relevant


def methods(x, depth):
    """By name: what gives the ranking."""

    def expanded(k, alpha):
        # A query expands by its neighbours, not by the item that it is.
        return search(x, augment_database(x, k=k, alpha=alpha), depth)

    def augmented(k, alpha):
        moved = augment_database(x, k=k, alpha=alpha)
        return search(moved, moved, depth)

    def reranked(items):
        plain = search(items, items, depth)
        head = rerank(items, k=min(N_RERANKED, depth)).ids
        return np.concatenate([head, plain[:, head.shape[1] :]], axis=1)

    return {
        "plain search": lambda: search(x, x, depth),
        "average expansion, k 10": lambda: expanded(10, 0.0),
        "alpha expansion, k 50, alpha 3": lambda: expanded(50, 3.0),
        "queries and items, k 10": lambda: augmented(10, 0.0),
        "re-ranking": lambda: reranked(x),
    }


def measure(pictures, labels):
    labels = np.asarray(labels)
    n_relevant = np.bincount(labels)[labels] - 1
    judged = {}
    x = components(pictures)
    for name, method in methods(x, int(n_relevant.max())).items():
        start = time.perf_counter()
        rows = method()
        seconds = time.perf_counter() - start
        values = average_precision(rows, labels, n_relevant)
        low, high = bootstrap_interval(values)
        judged[name] = {
            "map_at_r": float(values.mean()),
            "low": float(low),
            "high": float(high),
            "seconds": seconds,
        }
    return judged


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    sets = {"Fashion-MNIST": fashion, "digits": digits}
    if arguments.quick:
        del sets["Fashion-MNIST"]
    for name, load in sets.items():
        pictures, labels = load()
        if arguments.quick:
            pictures, labels = pictures[:1000], labels[:1000]
        results[name] = measure(pictures, labels)
        print(f"\n{name}, {len(labels)} pictures")
        print("| method | MAP@R | 95 % | seconds |\n| --- | --- | --- | --- |")
        for method, found in results[name].items():
            print(
                f"| {method} | {found['map_at_r']:.4f} | {found['low']:.4f} to "
                f"{found['high']:.4f} | {found['seconds']:.2f} |"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
