"""Time and memory of losses, forward and backward, beside the peers.

    python benchmarks/losses.py [--quick] [--json FILE] [--peers FOLDER]
                                [--only NAME,...]

Embeddings of width 128, 8 rows a class. Each loss runs as a TensorFlow graph and by
XLA; pytorch-metric-learning and lightly run eagerly on torch, as their users run them,
each in an environment of its own, made under FOLDER the first time (by default a new
temporary folder). All take turns, one step at a time, so that what the machine does
besides falls on all; the figures are medians. Memory is what a process grows by at its
peak, from Linux' own counter; of ours a process of its own, whose allocator keeps
nothing. `--quick` takes one small batch, every sixth loss and no peers.
"""

import argparse
import ctypes
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types
import venv
from pathlib import Path

DIM = 128
PER_CLASS = 8
N_CLASSES = 1000
BATCHES = (128, 512, 2048)
LARGEST = 4096
ROUNDS = {128: 21, 512: 11, 2048: 5, 4096: 3}
PATIENCE = 20.0
"""Seconds of a step from which on a larger batch is not tried."""
# Every array a mapping of its own that goes when the array goes: TensorFlow's allocator
# for oneDNN keeps what it ever had, which hides what a step takes.
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "16384", "TF_ENABLE_ONEDNN_OPTS": "0"}
MEMORY_LIMIT = 16 * 2**30
MEMORY_GATE_MB = 1500

PEERS = {
    "pml": ["torch==2.13.0", "pytorch-metric-learning"],
    "lightly": ["torch==2.13.0", "lightly"],
}
# Those of the gate: at 2048 at least so many times as fast as the peer.
FACTORS = {
    "MultiSimilarityLoss": 3.0,
    "CircleLoss": 3.0,
    "NTXentLoss": 3.0,
    "SupConLoss": 3.0,
}
RANKS = ("SmoothAPLoss", "ROADMAPLoss", "RecallAtKSurrogateLoss", "FastAPLoss")
# Ours, by the arguments that make both sides compute the same.
OURS = {
    "MultiSimilarityLoss": {},
    "CircleLoss": {},
    "TripletLoss": {"distance": "euclidean", "margin": 0.05},
    "SupConLoss": {},
    "NTXentLoss": {},
    "NTXentLoss of pairs": {},
    "ContrastiveLoss": {},
    "PNLoss": {"distance": "euclidean", "margin": 0.05},
    "LiftedStructureLoss": {"distance": "euclidean", "positive_mining_strategy": "all"},
    "GeneralizedLiftedStructureLoss": {"distance": "euclidean"},
    "SoftNearestNeighborLoss": {},
    "NCALoss": {},
    "NPairsLoss": {},
    "SigLIPLoss": {},
    "CoSENTLoss": {"targets": "labels"},
    "MarginLoss": {"distance": "euclidean"},
    "SNRContrastiveLoss": {},
    "ThresholdConsistentMarginLoss": {},
    "NormalizedSoftmaxLoss": {"num_classes": N_CLASSES},
    "ArcFaceLoss": {"num_classes": N_CLASSES},
    "CosFaceLoss": {"num_classes": N_CLASSES},
    "SubCenterArcFaceLoss": {"num_classes": N_CLASSES},
    "ProxyNCALoss": {"num_classes": N_CLASSES},
    "ProxyAnchorLoss": {"num_classes": N_CLASSES},
    "SoftTripleLoss": {"num_classes": N_CLASSES},
    "FastAPLoss": {},
    "SmoothAPLoss": {},
    "ROADMAPLoss": {},
    "RecallAtKSurrogateLoss": {},
}
QUADRATIC = [name for name in OURS if "num_classes" not in OURS[name]]


def batch_of(n, per_class):
    import numpy as np

    generator = np.random.default_rng(n)
    x = generator.normal(size=(n, DIM)).astype("float32")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, np.arange(n, dtype="int64") // per_class


# Workers: read a request a line, answer a line.


def grown_mb(step):
    """MB by which the process grows at the peak of `step()`."""
    gc.collect()
    # What earlier steps have freed would hide what this one takes.
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status_mb("VmRSS")
    step()
    return status_mb("VmHWM") - before


def status_mb(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"No {field} in /proc/self/status.")


def ours(name, n, is_compiled):
    """One step of a loss of this library on TensorFlow."""
    import tensorflow as tf

    from tensorflow_similarity import losses

    x, y = batch_of(n, 2 if name.endswith(" of pairs") else PER_CLASS)
    cls = getattr(losses, name.split(" ")[0])
    loss = cls(**OURS[name])
    for part, width in loss.trained_parts(DIM):
        part.build(width)
    variables = [
        v for part, _ in loss.trained_parts(DIM) for v in part.trainable_variables
    ]
    weights = [variable.value for variable in variables]

    @tf.function(jit_compile=is_compiled)
    def step(labels, embeddings):
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = loss(labels, embeddings)
        return value, tape.gradient(value, [embeddings, *weights])

    labels, embeddings = tf.constant(y), tf.constant(x)
    return lambda: step(labels, embeddings)[0].numpy()


def pml(name, n):
    """One step of pytorch-metric-learning, or None where it has no such loss."""
    import torch
    from pytorch_metric_learning import distances, losses, miners, regularizers

    del regularizers
    miner = None
    made = {
        "MultiSimilarityLoss": lambda: losses.MultiSimilarityLoss(),
        "CircleLoss": lambda: losses.CircleLoss(),
        "TripletLoss": lambda: losses.TripletMarginLoss(),
        "SupConLoss": lambda: losses.SupConLoss(),
        "NTXentLoss": lambda: losses.NTXentLoss(),
        "ContrastiveLoss": lambda: losses.ContrastiveLoss(),
        "LiftedStructureLoss": lambda: losses.LiftedStructureLoss(),
        "GeneralizedLiftedStructureLoss": lambda: (
            losses.GeneralizedLiftedStructureLoss()
        ),
        "NCALoss": lambda: losses.NCALoss(),
        "NPairsLoss": lambda: losses.NPairsLoss(),
        "MarginLoss": lambda: losses.MarginLoss(),
        "SNRContrastiveLoss": lambda: losses.ContrastiveLoss(
            distance=distances.SNRDistance()
        ),
        "ThresholdConsistentMarginLoss": lambda: losses.ThresholdConsistentMarginLoss(),
        "NormalizedSoftmaxLoss": lambda: losses.NormalizedSoftmaxLoss(N_CLASSES, DIM),
        "ArcFaceLoss": lambda: losses.ArcFaceLoss(N_CLASSES, DIM),
        "CosFaceLoss": lambda: losses.CosFaceLoss(N_CLASSES, DIM),
        "SubCenterArcFaceLoss": lambda: losses.SubCenterArcFaceLoss(
            num_classes=N_CLASSES, embedding_size=DIM
        ),
        "ProxyNCALoss": lambda: losses.ProxyNCALoss(N_CLASSES, DIM),
        "ProxyAnchorLoss": lambda: losses.ProxyAnchorLoss(N_CLASSES, DIM),
        "SoftTripleLoss": lambda: losses.SoftTripleLoss(N_CLASSES, DIM),
        "FastAPLoss": lambda: losses.FastAPLoss(),
        "SmoothAPLoss": lambda: losses.SmoothAPLoss(),
    }
    if name not in made:
        return None
    if name == "MultiSimilarityLoss":
        miner = miners.MultiSimilarityMiner()
    if name == "TripletLoss":
        miner = miners.BatchEasyHardMiner(pos_strategy="hard", neg_strategy="semihard")
    loss = made[name]()
    x, y = batch_of(n, PER_CLASS)
    labels = torch.tensor(y)

    def step():
        embeddings = torch.tensor(x, requires_grad=True)
        pairs = None if miner is None else miner(embeddings, labels)
        value = loss(embeddings, labels, pairs) if pairs else loss(embeddings, labels)
        value.backward()
        return float(value)

    return step


def lightly(name, n):
    """One step of lightly, which knows two views of each row."""
    import torch

    if name != "NTXentLoss of pairs":
        return None
    # The usual torchvision beside a CPU build of torch lacks its operators, which
    # lightly imports and this loss does not need.
    stub = "torchvision._meta_registrations"
    sys.modules[stub] = types.ModuleType(stub)
    from lightly.loss import NTXentLoss

    loss = NTXentLoss(temperature=0.07)
    x, _ = batch_of(n, 2)

    def step():
        embeddings = torch.tensor(x, requires_grad=True)
        value = loss(embeddings[0::2], embeddings[1::2])
        value.backward()
        return float(value)

    return step


def work(kind):
    """Answers requests on standard input until it ends."""
    if kind in PEERS:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    steps = {}
    for line in sys.stdin:
        request = json.loads(line)
        name, n, action = request["loss"], request["batch"], request["action"]
        try:
            if action == "make":
                steps.clear()
                if kind in PEERS:
                    step = globals()[kind](name, n)
                else:
                    step = ours(name, n, kind == "xla")
                if step is None:
                    answer = {"absent": True}
                else:
                    step()
                    steps["step"] = step
                    start = time.perf_counter()
                    answer = {"mb": grown_mb(step)}
                    answer["seconds"] = time.perf_counter() - start
            else:
                start = time.perf_counter()
                steps["step"]()
                answer = {"seconds": time.perf_counter() - start}
        except Exception as error:  # the other side decides what it means
            steps.clear()
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)


class Worker:
    """A process that measures for one library."""

    def __init__(self, kind, python, **environment):
        environment = {
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **environment,
        }
        self.process = subprocess.Popen(
            [python, __file__, "--worker", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )

    def ask(self, loss, batch, action):
        """The answer, or {"error": ...} if the process died."""
        request = {"loss": loss, "batch": batch, "action": action}
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return {"error": "the process died, as without memory"}
        return json.loads(line)

    def is_alive(self):
        return self.process.poll() is None

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def pythons(folder):
    """Interpreter of each peer; makes environments that are not there."""
    answer = {}
    for peer, packages in PEERS.items():
        python = folder / peer / "bin" / "python"
        if not python.exists():
            print(f"installing {peer} into {folder / peer}", flush=True)
            venv.create(folder / peer, with_pip=True)
            install = [python, "-m", "pip", "install", "--quiet", *packages]
            subprocess.run(install, check=True)
        answer[peer] = str(python)
    return answer


def measure(name, batch, workers, memory, rounds):
    """By worker: {"ms", "mb"}, or {"error"}; absent where a peer has no such loss.

    Those of `memory` say how much, in place of the worker of the same kind.
    """
    figures = {}
    for kind, worker in workers.items():
        answer = worker.ask(name, batch, "make")
        if "absent" not in answer:
            figures[kind] = answer
    times = {k: [v["seconds"]] for k, v in figures.items() if "error" not in v}
    slow = any(seconds[0] > PATIENCE / 4 for seconds in times.values())
    for _ in range(1 if slow else rounds):
        for kind in list(times):
            answer = workers[kind].ask(name, batch, "step")
            if "error" in answer:
                figures[kind] = answer
                del times[kind]
            else:
                times[kind].append(answer["seconds"])
    for kind, seconds in times.items():
        ms = 1000 * statistics.median(seconds[1:] or seconds)
        figures[kind] = {"ms": ms, "mb": figures[kind]["mb"]}
        if kind in memory:
            answer = memory[kind].ask(name, batch, "make")
            figures[kind] = {"ms": ms, "mb": answer["mb"]} if "mb" in answer else answer
    return figures


def shown(figure):
    if figure is None:
        return f"{'-':>9} {'':>7}"
    if "error" in figure:
        return f"{'failed':>9} {'':>7}"
    return f"{figure['ms']:9.1f} {figure['mb']:7.0f}"


def judged(name, batch, figures):
    """What a row shows against the gates: (text, met)."""
    mine = [figures[k] for k in ("graph", "xla") if "ms" in figures.get(k, {})]
    if not mine:
        return "ours failed", False
    best = min(figure["ms"] for figure in mine)
    words, met = [], len(mine) == 2
    for peer in PEERS:
        if "ms" in figures.get(peer, {}):
            factor = figures[peer]["ms"] / best
            asked = FACTORS.get(name, 1.0) if batch == 2048 else 1.0
            met = met and factor >= asked
            words.append(f"{factor:.1f} x {peer}")
            if factor < asked:
                words.append(f"missed: {asked:g}")
    is_bound = batch == LARGEST or (batch == 2048 and name in RANKS)
    if is_bound and min(figure["mb"] for figure in mine) > MEMORY_GATE_MB:
        met = False
        words.append(f"missed: {MEMORY_GATE_MB} MB")
    return ", ".join(words), met


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one batch, few losses, no peers"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    parser.add_argument("--peers", type=Path, help="where the environments are kept")
    parser.add_argument("--only", help="names of losses, with commas between")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.worker)

    interpreters = {"graph": sys.executable, "xla": sys.executable}
    with tempfile.TemporaryDirectory() as temporary:
        if not arguments.quick:
            folder = arguments.peers or Path(temporary)
            interpreters |= pythons(folder.resolve())
        names = list(OURS)[:: 6 if arguments.quick else 1]
        if arguments.only:
            names = arguments.only.split(",")
        rows, all_met = [], True
        print(f"{'':32}{'':6}" + "".join(f"{k + ', ms  MB':>18}" for k in interpreters))
        workers, memory = {}, {}
        for name in names:
            sizes = (64,) if arguments.quick else BATCHES
            if not arguments.quick and name in QUADRATIC:
                sizes = (*sizes, LARGEST)
            too_slow = set()
            for batch in sizes:
                for kind, python in interpreters.items():
                    if kind not in workers or not workers[kind].is_alive():
                        workers[kind] = Worker(kind, python)
                for kind in ("graph", "xla"):
                    if kind not in memory or not memory[kind].is_alive():
                        memory[kind] = Worker(kind, sys.executable, **FRUGAL)
                used = {k: w for k, w in workers.items() if k not in too_slow}
                if batch == LARGEST:
                    used = {k: w for k, w in used.items() if k not in PEERS}
                rounds = ROUNDS.get(batch, 3)
                figures = measure(name, batch, used, memory, rounds)
                for kind, figure in figures.items():
                    if "error" in figure or figure["ms"] > 1000 * PATIENCE / 4:
                        too_slow.add(kind)
                words, met = judged(name, batch, figures)
                all_met = all_met and met
                rows.append({"loss": name, "batch": batch, **figures, "met": met})
                print(
                    f"{name:32}{batch:6}"
                    + "  ".join(shown(figures.get(kind)) for kind in interpreters)
                    + f"  {words}",
                    flush=True,
                )
                if arguments.json:
                    Path(arguments.json).write_text(json.dumps(rows, indent=1))
        for worker in (*workers.values(), *memory.values()):
            worker.close()
    print("\n" + json.dumps({"gates_met": all_met, "rows": rows}))
    # A single short round says nothing about speed.
    return 0 if all_met or arguments.quick else 1


if __name__ == "__main__":
    sys.exit(main())
