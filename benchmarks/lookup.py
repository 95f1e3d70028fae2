"""What the index costs beside the raw engine that it stands on.

    python benchmarks/lookup.py [--quick] [--json FILE]

100,000 x 64 in 1,000 clusters, seeded, one NMSLIB graph. The raw engine gets the same
rows, parameters and threads, and the two take turns, so that a machine whose speed
drifts does not favour one of them. Memory is read in a process of its own.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DIM, K, EF = 64, 10, 80


def clustered(n, dim=DIM, n_clusters=1000, seed=0, noise=0.35):
    """Unit rows around random centres, as a trained model gives."""
    import numpy as np

    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_clusters, dim))
    spread = noise * rng.normal(size=(n, dim))
    rows = centres[rng.integers(n_clusters, size=n)] + spread
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype("float32")


def raw_index(rows):
    """The engine itself: the space, parameters and threads that the library uses."""
    import nmslib

    index = nmslib.init(method="hnsw", space="negdotprod")
    index.addDataPointBatch(rows)
    index.createIndex(
        {"M": 16, "efConstruction": 100, "indexThreadQty": os.cpu_count()}
    )
    index.setQueryTimeParams({"efSearch": EF})
    return index


def timed(call):
    start = time.perf_counter()
    answer = call()
    return time.perf_counter() - start, answer


def median(values):
    return sorted(values)[len(values) // 2]


def in_turns(calls, rounds):
    """Median seconds of each call, all of them taking turns."""
    times = {name: [] for name in calls}
    for i in range(rounds):
        for name, call in calls.items():
            times[name].append(timed(lambda call=call, i=i: call(i))[0])
    return {name: median(values) for name, values in times.items()}


def measure_build(rows, rounds):
    """Seconds to add all rows: through the library, and raw with the same graph."""
    from tensorflow_similarity.indexer import Indexer

    times = {"library": [], "raw": []}
    for _ in range(rounds):
        indexer = Indexer(DIM)

        def add(indexer=indexer):
            indexer.batch_add(rows, labels=range(len(rows)))
            indexer.build(force=True) if not indexer.is_built() else None

        times["library"].append(timed(add)[0])
        seconds, raw = timed(lambda: raw_index(rows))
        times["raw"].append(seconds)
    return indexer, raw, {name: median(values) for name, values in times.items()}


def measure_batches(indexer, raw, queries, rounds):
    """Seconds of one batch of queries, and recall@10 against exact search."""
    from tensorflow_similarity.search import LinearSearch

    threads = os.cpu_count()
    seconds = in_turns(
        {
            "library": lambda i: indexer.batch_lookup(queries, K, verbose=0),
            "raw": lambda i: raw.knnQueryBatch(queries, k=K, num_threads=threads),
        },
        rounds,
    )
    exact = LinearSearch("cosine", DIM)
    ids, _, _ = indexer.items()
    exact.batch_add(indexer.store.batch_get(ids)[0], ids)
    best, _ = exact.batch_lookup(queries, K)
    found = indexer.batch_lookup(queries, K, verbose=0).ids
    hits = [len(set(a) & set(b)) for a, b in zip(best, found, strict=True)]
    return seconds, sum(hits) / best.size


def measure_single(indexer, raw, rounds):
    """Milliseconds of `single_lookup` and of its two unavoidable parts."""
    import keras
    import numpy as np

    from tensorflow_similarity.layers import MetricEmbedding
    from tensorflow_similarity.models import SimilarityModel

    keras.utils.set_random_seed(1)
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(32, 3, activation="relu")(inputs)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(64, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = SimilarityModel(inputs, MetricEmbedding(DIM)(x))
    model._similarity.indexer = indexer
    pictures = np.random.default_rng(2).random((rounds, 28, 28, 1), "float32")
    embeddings = model.predict_on_batch(pictures)
    for picture in pictures[:5]:
        model.single_lookup(picture, K)
        model.predict_on_batch(picture[None])
    return in_turns(
        {
            "single_lookup": lambda i: model.single_lookup(pictures[i], K),
            "predict_on_batch": lambda i: model.predict_on_batch(pictures[i][None]),
            "raw query": lambda i: raw.knnQuery(embeddings[i], k=K),
        },
        rounds,
    )


def resident():
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def print_memory(folder):
    """In a process of its own: bytes that loading the saved index adds."""
    import nmslib  # noqa: F401

    from tensorflow_similarity.indexer import Indexer

    gc.collect()
    before = resident()
    indexer = Indexer.load(folder)
    gc.collect()
    print(json.dumps({"loaded": resident() - before, "size": len(indexer)}))


def measure_memory(indexer):
    """Bytes after save and reload, and those that must be: vectors and graph file."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, _ = timed(lambda: indexer.save(Path(folder) / "index"))
        answer = subprocess.run(
            [sys.executable, __file__, "--memory-of", f"{folder}/index"],
            capture_output=True,
            text=True,
            check=True,
        )
        graph = next(Path(folder).rglob("graph.bin")).stat().st_size
    loaded = json.loads(answer.stdout.splitlines()[-1])["loaded"]
    return {
        "loaded": loaded,
        "vectors": len(indexer) * DIM * 4,
        "graph file": graph,
        "save s": seconds,
    }


def report(n, rounds):
    rows = clustered(n)
    queries = clustered(n + 1000)[n:]
    indexer, raw, build = measure_build(rows, rounds["build"])
    batch, recall = measure_batches(indexer, raw, queries, rounds["batch"])
    single = measure_single(indexer, raw, rounds["single"])
    memory = measure_memory(indexer)
    floor = single["predict_on_batch"] + single["raw query"]
    needed = memory["vectors"] + memory["graph file"]
    return {
        "rows": n,
        "gates": [
            [
                "add, s / raw build",
                build["library"],
                build["raw"],
                build["library"] / build["raw"],
                1.2,
            ],
            [
                "1000 queries, ms / raw",
                1e3 * batch["library"],
                1e3 * batch["raw"],
                batch["library"] / batch["raw"],
                1.15,
            ],
            [
                "single_lookup, ms - parts",
                1e3 * single["single_lookup"],
                1e3 * floor,
                1e3 * (single["single_lookup"] - floor),
                0.25,
            ],
            [
                "memory, MB / needed",
                memory["loaded"] / 1e6,
                needed / 1e6,
                memory["loaded"] / needed,
                1.6,
            ],
            ["recall@10", recall, 1.0, recall, 0.99],
        ],
        "save s": memory["save s"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 rows, few rounds")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print_memory(arguments.memory_of)
        return
    if arguments.quick:
        found = report(5_000, {"build": 1, "batch": 3, "single": 20})
    else:
        found = report(100_000, {"build": 3, "batch": 15, "single": 300})
    print(f"{found['rows']:,} x {DIM}, k={K}, efSearch {EF}")
    print(f"{'':28}{'library':>10}{'floor':>10}{'figure':>10}{'gate':>10}")
    for name, ours, floor, figure, gate in found["gates"]:
        sign = ">=" if name.startswith("recall") else "<="
        print(f"{name:28}{ours:10.3f}{floor:10.3f}{figure:10.3f}{sign:>5}{gate:5.2f}")
    print(json.dumps(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
