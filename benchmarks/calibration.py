"""How long it takes to calibrate on many queries, and how much memory.

    python benchmarks/calibration.py [--quick]

`calibration_part` is also what `benchmarks/evaluation.py` may call.
"""

import argparse
import os
import time
import tracemalloc

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tensorflow_similarity.evaluators import calibrate_distances


def calibration_part(n=1_000_000, seed=0):
    """Seconds and peak bytes of calibrating on n distances, without and with targets.

    Returns:
        Dicts of "what", "n", "seconds" and "peak_mb".
    """
    rng = np.random.default_rng(seed)
    matches = rng.random(n) < 0.7
    distances = rng.normal(np.where(matches, 0.3, 0.6), 0.1).astype("float32")
    rows = []
    for what, arguments in {
        "optimal": {"n_resamples": 0},
        "optimal, with its interval": {},
        "and three targets": {
            "thresholds_targets": ["fpr<=0.001", "precision>=0.99", "recall>=0.9"]
        },
        "and probabilities": {"probability": "isotonic"},
    }.items():
        calibrate_distances(
            distances[:1000], matches[:1000], "f1"
        )  # loads what it needs
        start = time.perf_counter()
        calibrate_distances(distances, matches, **arguments)
        seconds = time.perf_counter() - start
        # Once more: watching memory costs time.
        tracemalloc.start()
        calibrate_distances(distances, matches, **arguments)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        rows.append({"what": what, "n": n, "seconds": seconds, "peak_mb": peak})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything")
    options = parser.parse_args()
    print("| calibrate | distances | seconds | peak MB |")
    print("| --- | --- | --- | --- |")
    for row in calibration_part(100_000 if options.quick else 1_000_000):
        print(
            f"| {row['what']} | {row['n']:,} | {row['seconds']:.2f} "
            f"| {row['peak_mb']:.0f} |"
        )


if __name__ == "__main__":
    main()
