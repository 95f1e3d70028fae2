"""Writes what pytorch-metric-learning's AccuracyCalculator says of 20 random problems.

    cd tests/evaluators; PEER/bin/python peer_retrieval.py peer_figures.json

runs in the peer's own environment (`pip install pytorch-metric-learning faiss-cpu`
into a new one); this library is not needed there. `tests/evaluators/test_peer.py`
makes the same problems from their seeds and compares.

Where definitions differ the problems leave no room for it: the peer orders equal
distances by chance, so items at one place have one label, and leaves the query out by
dropping the nearest item, which then has the right label too.
"""

import json
import sys
from pathlib import Path

import numpy as np

N_PROBLEMS = 20
METRICS = {
    "precision_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "mean_average_precision_at_r": "mean_average_precision_at_r",
    "mean_average_precision": "mean_average_precision",
    "mean_reciprocal_rank": "mean_reciprocal_rank",
}


def problem(seed):
    """Items, labels, queries, their labels, and whether queries leave themselves out.

    By the seed: every second leaves itself out, every third has items at one place,
    every fourth classes of one, every fifth queries of their own, some of classes that
    are not there.
    """
    random = np.random.default_rng(seed)
    n, n_classes = int(random.integers(40, 300)), int(random.integers(2, 25))
    dim = int(random.integers(3, 17))
    labels = random.integers(0, n_classes, n)
    centres = random.normal(size=(n_classes, dim))
    items = centres[labels] + random.uniform(0.3, 1.5) * random.normal(size=(n, dim))
    if seed % 4 == 0:
        # Classes of one: the items with the last labels.
        labels[:5] = n_classes + np.arange(5)
    if seed % 3 == 0:
        copies = random.integers(0, n, n // 3)
        items = np.concatenate([items, items[copies]])
        labels = np.concatenate([labels, labels[copies]])
    items = items.astype("float32")
    if seed % 5 == 0:
        queries, asked = items[::3] + np.float32(0.1), labels[::3] + (seed % 2)
        return items, labels, queries, asked, False
    return items, labels, items, labels, seed % 2 == 0


def figures(seed):
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    items, labels, queries, asked, leaves_out = problem(seed)
    found = {}
    for average in ("micro", "macro"):
        calculator = AccuracyCalculator(
            include=tuple(METRICS.values()), avg_of_avgs=average == "macro", k=None
        )
        answer = calculator.get_accuracy(
            torch.tensor(queries),
            torch.tensor(asked),
            torch.tensor(items),
            torch.tensor(labels),
            ref_includes_query=leaves_out,
        )
        found[average] = {ours: float(answer[its]) for ours, its in METRICS.items()}
    return found


def main():
    from importlib.metadata import version

    written = {
        "peer": f"pytorch-metric-learning {version('pytorch-metric-learning')}, "
        f"faiss-cpu {version('faiss-cpu')}",
        "problems": {str(seed): figures(seed) for seed in range(N_PROBLEMS)},
    }
    Path(sys.argv[1]).write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
