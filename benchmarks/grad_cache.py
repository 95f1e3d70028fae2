"""What training in chunks costs: memory and time beside plain steps.

    python benchmarks/grad_cache.py [--quick] [--json FILE] [--backend NAME]

A convolutional network on pictures of 32 x 32 x 3, MultiSimilarityLoss, embeddings of
width 128, one step of Adam. Each figure comes from a process of its own. Memory is what
the process grows by during a step, at its peak, from Linux' own counter, after one step
has been made; times are medians of steps that take turns with those of the other
process. The gates: a step on 4096 rows in chunks of 64 takes at most 1.3 times the
memory of a plain step on 64, beside the loss alone on 4096 and the batch itself; and at
most 1.6 times as long as a plain step, on a batch where that fits. `--quick` takes 256
rows in chunks of 16, and judges nothing.
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIDE = 32
DIM = 128
PER_CLASS = 8
ROUNDS = 5
# Every array a mapping of its own that goes when the array goes: TensorFlow's allocator
# for oneDNN keeps what it ever had, which hides what a step takes.
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "16384", "TF_ENABLE_ONEDNN_OPTS": "0"}
MEMORY_GATE = 1.3
TIME_GATE = 1.6


def batch_of(n):
    import numpy as np

    generator = np.random.default_rng(n)
    x = generator.normal(size=(n, SIDE, SIDE, 3)).astype("float32")
    return x, (np.arange(n) // PER_CLASS).astype("int64")


def training_step(n, chunk):
    """One step of a network on a batch of n."""
    import keras
    from keras import layers

    from tensorflow_similarity.layers import MetricEmbedding
    from tensorflow_similarity.losses import MultiSimilarityLoss
    from tensorflow_similarity.models import SimilarityModel

    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 3))
    h = layers.Conv2D(32, 3, padding="same", activation="relu")(inputs)
    h = layers.Conv2D(32, 3, padding="same", activation="relu")(h)
    h = layers.MaxPooling2D()(h)
    h = layers.Conv2D(64, 3, padding="same", activation="relu")(h)
    h = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(h))
    model = SimilarityModel(inputs, MetricEmbedding(DIM)(h))
    model.compile("adam", loss=MultiSimilarityLoss(), grad_cache_chunk=chunk)
    x, y = batch_of(n)
    return lambda: model.train_on_batch(x, y)


def loss_step(n):
    """The loss alone on a batch of n, with its gradient."""
    import keras
    import numpy as np
    from keras import layers

    from tensorflow_similarity.losses import MultiSimilarityLoss

    x = np.random.default_rng(n).normal(size=(n, DIM)).astype("float32")
    inputs = keras.Input((DIM,))
    # One weight, so that there is a gradient through the embeddings.
    model = keras.Model(inputs, layers.Rescaling(1.0)(layers.Dense(DIM)(inputs)))
    model.compile("sgd", loss=MultiSimilarityLoss())
    y = batch_of(n)[1]
    return lambda: model.train_on_batch(x, y)


def status_mb(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"No {field} in /proc/self/status.")


def grown_mb(step):
    """MB by which the process grows at the peak of `step()`."""
    gc.collect()
    # What earlier steps have freed would hide what this one takes.
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = status_mb("VmRSS")
    step()
    return status_mb("VmHWM") - before


def work(what, n, chunk):
    """Answers a line a line of standard input: memory, or seconds of a step."""
    step = loss_step(n) if what == "loss" else training_step(n, chunk)
    step()
    for line in sys.stdin:
        if line.strip() == "memory":
            answer = max(grown_mb(step) for _ in range(2))
        else:
            start = time.perf_counter()
            step()
            answer = time.perf_counter() - start
        print(f"ANSWER {answer}", flush=True)


class Worker:
    """A process that takes one kind of step when asked."""

    def __init__(self, backend, what, n, chunk=0, **environment):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", f"{what},{n},{chunk}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "KERAS_BACKEND": backend,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                **environment,
            },
        )

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ANSWER "):
                return float(line.split()[1])
        raise RuntimeError("A process of the benchmark died; run it with --work.")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait()


def memory_of(backend, what, n, chunk=0):
    with Worker(backend, what, n, chunk, **FRUGAL) as worker:
        return worker.ask("memory")


def measure(backend, large, fits, chunk, rounds):
    """All figures of one run."""
    memory = {
        "plain": memory_of(backend, "train", chunk),
        "chunks": memory_of(backend, "train", large, chunk),
        "loss": memory_of(backend, "loss", large),
        "batch": large * SIDE * SIDE * 3 * 4 / 2**20,
    }
    rest = memory["chunks"] - memory["loss"] - memory["batch"]
    with (
        Worker(backend, "train", fits) as a,
        Worker(backend, "train", fits, chunk) as b,
    ):
        turns = [(a.ask("time"), b.ask("time")) for _ in range(rounds)]
    plain, chunked = (statistics.median(times) for times in zip(*turns, strict=True))
    return {
        "backend": backend,
        "rows": large,
        "chunk": chunk,
        "memory_mb": memory,
        "memory_ratio": rest / memory["plain"],
        "rows_timed": fits,
        "plain_s": plain,
        "chunks_s": chunked,
        "time_ratio": chunked / plain,
    }


def report(found):
    memory = found["memory_mb"]
    rows, chunk, fits = found["rows"], found["chunk"], found["rows_timed"]
    print(f"{found['backend']}: {rows} rows in chunks of {chunk}")
    for name, what in (
        ("plain", f"plain step on {chunk} rows"),
        ("chunks", f"step on {rows} rows in chunks"),
        ("loss", f"loss alone on {rows} rows"),
        ("batch", f"the batch of {rows} itself"),
    ):
        print(f"  {what:<36}{memory[name]:9.1f} MB")
    print(f"  {'(step - loss - batch) / plain':<36}{found['memory_ratio']:9.2f}")
    print(f"  {f'plain step on {fits} rows':<36}{found['plain_s']:9.3f} s")
    print(f"  {f'the same in chunks of {chunk}':<36}{found['chunks_s']:9.3f} s")
    print(f"  {'ratio':<36}{found['time_ratio']:9.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--backend", default=os.environ.get("KERAS_BACKEND"))
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        what, n, chunk = arguments.work.split(",")
        work(what, int(n), int(chunk) or None)
        return
    backend = arguments.backend or "tensorflow"
    if arguments.quick:
        found = measure(backend, 256, 256, 16, 2)
    else:
        found = measure(backend, 4096, 1024, 64, ROUNDS)
    report(found)
    if not arguments.quick:
        for name, gate in (("memory_ratio", MEMORY_GATE), ("time_ratio", TIME_GATE)):
            met = "met" if found[name] <= gate else "MISSED"
            print(f"gate {name} <= {gate}: {found[name]:.2f}, {met}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
