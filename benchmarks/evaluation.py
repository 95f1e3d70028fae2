"""Time and memory of judging, beside pytorch-metric-learning with faiss.

    python benchmarks/evaluation.py [--quick] [--json FILE] [--peers FOLDER]
                                    [--only PART,...] [--rounds N]

Parts: `retrieval`, MAP@R, R-precision and P@1 of 60,000 x 60,000 x 64 with ten classes
of 6,000, each item leaving itself out; `calibration` of 1,000,000 distances; `pairs`,
ROC and EER of all pairs of 60,000 embeddings; `callback`, what `EvalCallback` takes for
10,000 x 10,000 x 64 on top of embedding. Each runs in a process of its own, whose
largest resident size, Python and Keras included, is the memory; the peer in an
environment of its own, made under FOLDER the first time (by default a new temporary
folder). `--quick` takes small parts and no peer; its figures say nothing about speed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PEER = ["torch==2.13.0", "pytorch-metric-learning", "faiss-cpu"]
DIM = 64
N_CLASSES = 10
ROUNDS = 3


def clusters(n, seed=0):
    """Rows of length 1 in ten classes of one size that overlap somewhat."""
    import numpy as np

    random = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    centres = np.random.default_rng(0).normal(size=(N_CLASSES, DIM))
    x = (centres[labels] + 1.5 * random.normal(size=(n, DIM))).astype("float32")
    return x / np.linalg.norm(x, axis=1, keepdims=True), labels


# What a worker measures: a function of `quick` that gives figures.


def retrieval(quick):
    from tensorflow_similarity.evaluators import evaluate_retrieval

    x, y = clusters(2_000 if quick else 60_000)
    evaluate_retrieval(x[:500], y[:500], k=1)  # imports
    start = time.perf_counter()
    found = evaluate_retrieval(x, y, k=1)
    seconds = time.perf_counter() - start
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    return {"seconds": seconds, **{name: found[name] for name in names}}


def retrieval_peer(quick):
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    x, y = clusters(2_000 if quick else 60_000)
    x, y = torch.tensor(x), torch.tensor(y)
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(include=names, k="max_bin_count")
    calculator.get_accuracy(x[:500], y[:500])
    start = time.perf_counter()
    found = calculator.get_accuracy(x, y)  # each leaves itself out
    seconds = time.perf_counter() - start
    return {"seconds": seconds, **{name: float(found[name]) for name in names}}


def calibration(quick):
    import numpy as np

    from tensorflow_similarity.evaluators import calibrate_distances

    n = 10_000 if quick else 1_000_000
    random = np.random.default_rng(0)
    matches = random.random(n) < 0.8
    distances = np.where(matches, random.beta(2, 8, n), random.beta(5, 5, n))
    calibrate_distances(distances[:1000], matches[:1000])
    start = time.perf_counter()
    found = calibrate_distances(distances, matches, "fpr<=0.01")
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "f1": found.cutpoints["optimal"]["f1"]}


def pairs(quick):
    from tensorflow_similarity.evaluators import evaluate_verification

    x, y = clusters(2_000 if quick else 60_000)
    evaluate_verification(x[:500], y[:500])
    start = time.perf_counter()
    found = evaluate_verification(x, y)
    figures = {"auc": float(found.auc), "eer": float(found.eer)}
    return {"seconds": time.perf_counter() - start, **figures}


def callback(quick):
    import keras

    from tensorflow_similarity._core.embedding import embed
    from tensorflow_similarity.callbacks import EvalCallback
    from tensorflow_similarity.models import SimilarityModel

    n = 1_000 if quick else 10_000
    queries, query_labels = clusters(n, 1)
    targets, target_labels = clusters(n, 2)
    inputs = keras.Input((DIM,))
    model = SimilarityModel(inputs, keras.layers.Dense(DIM)(inputs))
    model.compile("sgd", distance="cosine")
    judge = EvalCallback(queries, query_labels, targets, target_labels, k=1)
    judge.set_model(model)
    judge.on_train_begin({})
    judge.on_epoch_end(0, {})
    whole, embedding = [], []
    for epoch in range(1, 6):
        start = time.perf_counter()
        judge.on_epoch_end(epoch, {})
        whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        for x in (queries, targets):
            embed(model, x, batch_size=judge.batch_size)
        embedding.append(time.perf_counter() - start)
    embedding_seconds = statistics.median(embedding)
    seconds = statistics.median(whole) - embedding_seconds
    return {"seconds": seconds, "embedding_seconds": embedding_seconds}


# By part: its workers, the gates in seconds and MB, and how many times as fast as the
# second worker the first must be.
PARTS = {
    "retrieval": {"workers": (retrieval, retrieval_peer), "mb": 1500, "factor": 1.5},
    "calibration": {"workers": (calibration,), "seconds": 2.0},
    "pairs": {"workers": (pairs,), "seconds": 40.0, "mb": 1000},
    "callback": {"workers": (callback,), "seconds": 0.5},
}


def status_mb(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"No {field} in /proc/self/status.")


def measured(worker, python, quick):
    """Figures of one run in a process of its own, {"error": ...} if it failed."""
    command = [python, __file__, "--worker", worker.__name__]
    done = subprocess.run(
        [*command, *["--quick"] * quick],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.splitlines()[-1])


def interpreter(folder):
    """The peer's Python; makes its environment if it is not there."""
    python = folder / "pml" / "bin" / "python"
    if not python.exists():
        print(f"installing the peer into {folder / 'pml'}", flush=True)
        venv.create(folder / "pml", with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", *PEER]
    subprocess.run(install, check=True)
    return str(python)


def judged(part, rows):
    """What the figures show against the gates: (words, met)."""
    if any("error" in row for row in rows):
        return "failed", False
    ours, words, met = rows[0], [], True
    for unit in ("seconds", "mb"):
        if unit in part and ours[unit] > part[unit]:
            met = False
            words.append(f"missed: {part[unit]:g} {unit}")
    if len(rows) > 1:
        factor = rows[1]["seconds"] / ours["seconds"]
        words.insert(0, f"{factor:.2f} x the peer")
        if factor < part["factor"]:
            met = False
            words.append(f"missed: {part['factor']:g} x")
    return ", ".join(words), met


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small parts, no peer")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    parser.add_argument("--peers", type=Path, help="where the environment is kept")
    parser.add_argument("--only", help="names of parts, with commas between")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each part")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        figures = globals()[arguments.worker](arguments.quick)
        print(json.dumps({**figures, "mb": status_mb("VmHWM")}))
        return 0

    names = arguments.only.split(",") if arguments.only else list(PARTS)
    rows, all_met = [], True
    print(f"{'':18}{'seconds':>10}{'MB':>8}")
    with tempfile.TemporaryDirectory() as temporary:
        for name in names:
            workers = [(PARTS[name]["workers"][0], sys.executable)]
            if len(PARTS[name]["workers"]) > 1 and not arguments.quick:
                folder = (arguments.peers or Path(temporary)).resolve()
                workers.append((PARTS[name]["workers"][1], interpreter(folder)))
            # In turns, so that what the machine does besides falls on all.
            rounds = [
                [
                    measured(worker, python, arguments.quick)
                    for worker, python in workers
                ]
                for _ in range(1 if arguments.quick else arguments.rounds)
            ]
            found = [middle(runs) for runs in zip(*rounds, strict=True)]
            words, met = judged(PARTS[name], found)
            all_met = all_met and met
            for (worker, _), figures in zip(workers, found, strict=True):
                rows.append({"part": name, "of": worker.__name__, **figures})
                print(shown(worker.__name__, figures, words), flush=True)
                words = ""
            if arguments.json:
                Path(arguments.json).write_text(json.dumps(rows, indent=1))
    print("\n" + json.dumps({"gates_met": all_met, "rows": rows}))
    # A single short round says nothing about speed.
    return 0 if all_met or arguments.quick else 1


def middle(runs):
    """The run of median time, with the largest memory of all."""
    failed = [run for run in runs if "error" in run]
    if failed:
        return failed[0]
    run = sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]
    return {**run, "mb": max(run["mb"] for run in runs)}


def shown(name, figures, words):
    if "error" in figures:
        return f"{name:18}{'failed':>10}{'':8}  {figures['error']}"
    return f"{name:18}{figures['seconds']:10.2f}{figures['mb']:8.0f}  {words}"


if __name__ == "__main__":
    sys.exit(main())
