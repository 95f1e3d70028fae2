"""Time and memory of ROC and EER over all pairs, and how good the stated bounds are.

    python benchmarks/verification.py [--quick] [--json FILE]

Rows of width 64 in 10 classes, cosine and Euclidean distance, each in a process of its
own whose peak memory is read from the operating system's counter. On a part small
enough, scikit-learn computes the area from exact float64 distances: the difference
stands beside the bound that the counted result states. `--quick` takes fewer rows.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

DIM = 64
N_CLASSES = 10
ROWS = 60_000
QUICK_ROWS = 6_000
CHECKED_ROWS = 3_000
DISTANCES = ("cosine", "euclidean")
TIME_GATE_S = 40.0
MEMORY_GATE_MB = 1000.0


def clusters(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, DIM) and their classes; the classes overlap."""
    generator = np.random.default_rng(0)
    labels = np.arange(n) % N_CLASSES
    centres = 0.7 * generator.normal(size=(N_CLASSES, DIM))
    rows = centres[labels] + generator.normal(size=(n, DIM))
    return rows.astype(np.float32), labels


def measure(n: int, distance: str) -> dict[str, float]:
    """Runs in a process of its own: seconds, peak growth in MB, and the numbers."""
    from tensorflow_similarity.evaluators import evaluate_verification

    rows, labels = clusters(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    evaluate_verification(rows[:1500], labels[:1500], distance=distance)
    started, busy = time.perf_counter(), time.process_time()
    found = evaluate_verification(rows, labels, distance=distance)
    numbers = found.summary()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - busy,
        "growth_mb": (peak - before) / 1024,
        "process_mb": peak / 1024,
        **numbers,
    }


def check(n: int, distance: str) -> dict[str, float]:
    """The area by scikit-learn from exact distances, beside the stated bound."""
    from sklearn.metrics import roc_auc_score

    from tensorflow_similarity.evaluators import evaluate_verification

    rows, labels = clusters(n)
    found = evaluate_verification(rows, labels, distance=distance)
    wide = rows.astype(np.float64)
    if distance == "cosine":
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    squares = (wide**2).sum(axis=1)
    upper = np.triu_indices(n, 1)
    ways = (squares[:, None] + squares - 2 * wide @ wide.T)[upper]
    exact = roc_auc_score(labels[upper[0]] == labels[upper[1]], -ways)
    return {
        "checked_difference": abs(found.auc - exact),
        "checked_bound": found.auc_error,
    }


def pairs_part(quick: bool = False) -> dict[str, dict[str, float]]:
    """The measured numbers by distance, each in a process of its own."""
    n = QUICK_ROWS if quick else ROWS
    results = {}
    for distance in DISTANCES:
        command = [sys.executable, __file__, "--child", str(n), distance]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        results[distance] = json.loads(done.stdout.splitlines()[-1])
        results[distance] |= check(CHECKED_ROWS // (2 if quick else 1), distance)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(int(arguments.child[0]), arguments.child[1])))
        return
    results = pairs_part(arguments.quick)
    for distance, found in results.items():
        n_pairs = found["n_same"] + found["n_different"]
        within = found["seconds"] < TIME_GATE_S and found["growth_mb"] < MEMORY_GATE_MB
        print(
            f"{distance:<10} {n_pairs:,.0f} pairs: {found['seconds']:.1f} s "
            f"(cpu {found['cpu_seconds']:.1f} s), {found['growth_mb']:.0f} MB more, "
            f"gates {'met' if within else 'MISSED'}"
        )
        print(
            f"{'':<10} auc {found['auc']:.5f} +- {found['auc_error']:.1e}, eer "
            f"{found['eer']:.5f} +- {found['eer_error']:.1e}; on a part, the area of "
            f"scikit-learn differs by {found['checked_difference']:.1e} of at most "
            f"{found['checked_bound']:.1e}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
