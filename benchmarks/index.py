"""The index beside the engines underneath it, at 60,000 to 10,000,000 rows.

    python benchmarks/index.py [--quick] [--json FILE] [--sets NAME,...] [--install DIR]

Sets: `100k` and `1m`, clustered rows of width 64 (1,000 Gaussians, unit length, which
flatters engines that cut space into cells); `fmnist`, Fashion-MNIST's pixels by PCA to
64 (needs it prepared by TensorFlow Datasets, TFDS_DATA_DIR); `10m`, compressed
candidates and re-scoring from memory-mapped vectors, alone. NMSLIB stands beside the
library in the same process, with the same parameters and threads; hnswlib, faiss and
scann are measured where they can be imported, and `--install DIR` makes an environment
in which they can. Whatever is compared takes turns, and figures are medians.
"""

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

DIM, K, THREADS = 64, 10, os.cpu_count() or 1
PEERS = ("hnswlib", "faiss-cpu", "scann-core")


def clustered(n, seed=0, n_clusters=1000, noise=0.35):
    """Unit rows around random centres, as a trained model gives."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_clusters, DIM)).astype("float32")
    rows = np.empty((n, DIM), "float32")
    for i in range(0, n, 500_000):
        m = min(500_000, n - i)
        part = centres[rng.integers(n_clusters, size=m)]
        part += noise * rng.standard_normal((m, DIM), "float32")
        rows[i : i + m] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def fashion():
    """60,000 rows and 1,000 queries."""
    import tensorflow_datasets as tfds

    rows = []
    for split in ("train", "test[:1000]"):
        pictures = tfds.load("fashion_mnist", split=split, batch_size=-1)["image"]
        rows.append(np.asarray(pictures).reshape(-1, 784).astype("float32") / 255)
    mean = rows[0].mean(axis=0)
    _, _, axes = np.linalg.svd(rows[0][:20_000] - mean, full_matrices=False)
    parts = [(part - mean) @ axes[:DIM].T for part in rows]
    return [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]


def timed(call):
    start = time.perf_counter()
    answer = call()
    return time.perf_counter() - start, answer


def in_turns(calls, rounds):
    """Median seconds of each call, all of them taking turns."""
    times = {name: [] for name in calls}
    for i in range(rounds):
        for name, call in calls.items():
            times[name].append(timed(lambda call=call, i=i: call(i))[0])
    return {name: float(np.median(values)) for name, values in times.items()}


def exact_ids(rows, queries):
    from tensorflow_similarity.search import LinearSearch

    search = LinearSearch("cosine", DIM)
    search.batch_add(rows, np.arange(len(rows)))
    return search.batch_lookup(queries, K)[0]


def recall(found, true):
    hits = [len(set(a) & set(b)) for a, b in zip(found, true, strict=True)]
    return sum(hits) / true.size


def ef_of(n):
    return 160 if n >= 200_000 else 80


def raw_nmslib(rows):
    import nmslib

    index = nmslib.init(method="hnsw", space="negdotprod")
    index.addDataPointBatch(rows)
    index.createIndex({"M": 16, "efConstruction": 100, "indexThreadQty": THREADS})
    index.setQueryTimeParams({"efSearch": ef_of(len(rows))})
    return index


def peers(rows):
    """Name to (seconds of the build, batch query, one query) of what is installed."""
    found = {}
    try:
        import hnswlib

        def build():
            index = hnswlib.Index("ip", DIM)
            index.init_index(len(rows), ef_construction=100, M=16)
            index.set_num_threads(THREADS)
            index.add_items(rows)
            index.set_ef(ef_of(len(rows)))
            return index

        seconds, index = timed(build)
        found["hnswlib"] = (seconds, lambda q, i=index: i.knn_query(q, K)[0])
    except ImportError:
        pass
    try:
        import faiss

        def build():
            index = faiss.IndexHNSWFlat(DIM, 16, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = 100
            index.add(rows)
            index.hnsw.efSearch = ef_of(len(rows))
            return index

        seconds, index = timed(build)
        found["faiss hnsw"] = (seconds, lambda q, i=index: i.search(q, K)[1])
    except ImportError:
        pass
    try:
        from scann import scann_ops_pybind as scann

        def build():
            leaves = int(2 * len(rows) ** 0.5)
            maker = scann.builder(rows, K, "dot_product")
            maker = maker.tree(leaves, max(leaves // 40, 1), len(rows))
            maker = maker.score_ah(2, anisotropic_quantization_threshold=0.2)
            return maker.reorder(100).build()

        seconds, index = timed(build)
        found["scann"] = (seconds, lambda q, i=index: i.search_batched(q)[0])
    except ImportError:
        pass
    return found


def report(name, rows, queries, rounds):
    """Builds, batches and single queries of one set."""
    from tensorflow_similarity.indexer import Indexer

    n, true = len(rows), exact_ids(rows, queries)
    build = {"library": [], "raw": []}
    for _ in range(rounds["build"]):
        indexer = Indexer(DIM)

        def add(indexer=indexer):
            indexer.batch_add(rows)
            if not indexer.is_built():
                indexer.build(force=True)

        build["library"].append(timed(add)[0])
        seconds, raw = timed(lambda: raw_nmslib(rows))
        build["raw"].append(seconds)
        gc.collect()
    build = {key: float(np.median(values)) for key, values in build.items()}
    others = peers(rows)
    batch = in_turns(
        {
            "arrays": lambda i: indexer.batch_lookup(queries, K, verbose=0),
            "objects": lambda i: list(indexer.batch_lookup(queries, K, verbose=0)),
            "raw": lambda i: raw.knnQueryBatch(queries, k=K, num_threads=THREADS),
            **{key: lambda i, q=ask: q(queries) for key, (_, ask) in others.items()},
        },
        rounds["batch"],
    )
    n_queries = len(queries)
    single = in_turns(
        {
            "library": lambda i: indexer.single_lookup(
                queries[i % n_queries : i % n_queries + 1], K
            ),
            "arrays": lambda i: indexer.batch_lookup(
                queries[i % n_queries : i % n_queries + 1], K
            ),
            "raw": lambda i: raw.knnQuery(queries[i % n_queries], k=K),
        },
        rounds["single"],
    )
    found = {
        "set": name,
        "rows": n,
        "build s": {**build, **{key: seconds for key, (seconds, _) in others.items()}},
        "batch ms": {key: 1e3 * value for key, value in batch.items()},
        "single us": {key: 1e6 * value for key, value in single.items()},
        "recall@10": {
            "library": recall(indexer.batch_lookup(queries, K).ids, true),
            "raw": recall(
                [
                    ids
                    for ids, _ in raw.knnQueryBatch(queries, k=K, num_threads=THREADS)
                ],
                true,
            ),
            **{key: recall(ask(queries), true) for key, (_, ask) in others.items()},
        },
    }
    gates = [
        gate("build / raw", build["library"] / build["raw"], 1.15),
        gate("batch as arrays / raw", batch["arrays"] / batch["raw"], 1.10),
        gate("batch as objects / raw", batch["objects"] / batch["raw"], 1.25),
        gate("one query - raw, us", 1e6 * (single["arrays"] - single["raw"]), 20),
        gate("recall@10", found["recall@10"]["library"], 0.99, at_least=True),
    ]
    return {**found, "gates": gates}, indexer


def compare_engines(engines, rows, queries, indexer, rounds):
    """The library's other engines beside its NMSLIB, through the same layer."""
    found, gates, true = {}, [], exact_ids(rows, queries)
    for engine in engines:
        found[f"search={engine}"], speed = compare_engine(
            engine, rows, queries, indexer, rounds, true
        )
        if engine == "scann" and len(rows) >= 1_000_000:
            gates.append(gate("scann / nmslib, queries/s", speed, 3, at_least=True))
        gc.collect()
    return found, gates


def compare_engine(engine, rows, queries, indexer, rounds, true):
    seconds, other = timed(lambda: filled(rows, engine))
    times = in_turns(
        {
            engine: lambda i: other.batch_lookup(queries, K),
            "nmslib": lambda i: indexer.batch_lookup(queries, K),
        },
        rounds,
    )
    reached = recall(other.batch_lookup(queries, K).ids, true)
    figures = {
        "build s": seconds,
        "recall@10": reached,
        "batch ms": 1e3 * times[engine],
    }
    return figures, times["nmslib"] / times[engine]


def filled(rows, engine):
    from tensorflow_similarity.indexer import Indexer

    indexer = Indexer(DIM, search=engine)
    indexer.batch_add(rows)
    return indexer


def gate(name, value, limit, at_least=False):
    met = value >= limit if at_least else value <= limit
    return {"name": name, "value": value, "limit": limit, "met": bool(met)}


def dynamics(indexer, n, queries, lot, n_lots, rounds):
    """Adding, removing, filtering, files: of an index that is built."""
    from tensorflow_similarity.indexer import Indexer

    gates, found = [], {}
    before = in_turns({"q": lambda i: indexer.batch_lookup(queries, K)}, rounds)["q"]
    facts = indexer._snapshot.facts
    held = facts.nbytes - sum(part.rows.nbytes for part in facts.vectors.parts)
    segments = indexer._snapshot.search.segments
    held += sum(0 if s.rows is None else s.rows.nbytes for s in segments)
    gates.append(gate("bytes an item beyond vectors and graph", held / n, 24))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        found["save s"], _ = timed(lambda: indexer.save(path))
        found["save again s"], _ = timed(lambda: indexer.save(path))
        found["load s"], _ = timed(lambda: Indexer.load(path, mapped=False))
        gc.collect()
        seconds, _ = timed(
            lambda: Indexer.load(path, mapped=True).batch_lookup(queries[:1], K)
        )
        found["mapped open and first answer s"] = seconds
        gc.collect()
    gates += [
        gate("save, s", found["save s"], 3),
        gate("load, s", found["load s"], 3),
        gate("mapped open + first answer, s", seconds, 2),
    ]
    one = clustered(200 + lot * n_lots, seed=7)
    times = [
        timed(lambda i=i: indexer.batch_add(one[i : i + 1]))[0] for i in range(200)
    ]
    gates.append(gate("one added row, ms", 1e3 * float(np.median(times)), 1))
    newest = indexer.batch_lookup(one[:200], 1)
    assert (newest.distances < 1e-5).all(), "an added row was not found at once"
    found["lots"] = {"rows": lot * n_lots}
    start = time.perf_counter()
    for i in range(n_lots):
        indexer.batch_add(one[200 + i * lot : 200 + (i + 1) * lot])
    found["lots"]["seconds"] = time.perf_counter() - start
    found["lots"]["segments"] = len(indexer._snapshot.search.segments)
    # As many as wait beside a structure before they become one.
    indexer.build()
    indexer.batch_add(clustered(15_600, seed=8), build=False)
    single = in_turns(
        {
            "full tail": lambda i: indexer.batch_lookup(
                queries[i % len(queries) : i % len(queries) + 1], K
            )
        },
        100,
    )
    found["one query with a full tail, us"] = 1e6 * single["full tail"]
    found["final merge s"], _ = timed(lambda: indexer.build(force=True))
    after = in_turns({"q": lambda i: indexer.batch_lookup(queries, K)}, rounds)["q"]
    alive = indexer.items()[0]
    indexer.remove(np.random.default_rng(0).permutation(alive)[: len(alive) // 10])
    removed = in_turns({"q": lambda i: indexer.batch_lookup(queries, K)}, rounds)["q"]
    gates.append(gate("10 % removed, lookups / before", removed / after, 1.3))
    found["batch ms before and after"] = [1e3 * before, 1e3 * after]
    return found, gates


def with_ids(rows, queries):
    """An index with int ids and one column: bytes an item, and a filter of 1 %."""
    from tensorflow_similarity.indexer import Indexer

    indexer = Indexer(DIM, search="linear")
    n = len(rows)
    indexer.batch_add(rows, ids=np.arange(n) * 7)
    facts = indexer._snapshot.facts
    held = facts.nbytes - sum(part.rows.nbytes for part in facts.vectors.parts)
    indexer.reset()
    column = np.random.default_rng(3).integers(100, size=n)
    indexer.batch_add(rows, metadata={"shelf": column})
    where = {"shelf": 17}
    times = [
        timed(lambda i=i: indexer.batch_lookup(queries[i : i + 1], K, where=where))[0]
        for i in range(20)
    ]
    return [
        gate("bytes an item with int ids", held / n, 48),
        gate("a filter of 1 %, one query, ms", 1e3 * float(np.median(times)), 20),
    ]


def ten_million(n, queries_n=1000):
    """Compressed candidates and re-scoring over vectors in a memory-mapped store."""
    from tensorflow_similarity.indexer import Indexer
    from tensorflow_similarity.search import FaissSearch
    from tensorflow_similarity.stores import SQLiteStore

    with tempfile.TemporaryDirectory() as folder:
        search = FaissSearch("cosine", DIM, algo="ivfsq8")
        store = SQLiteStore(Path(folder) / "store", durable=False)
        indexer = Indexer(DIM, search=search, kv_store=store)
        lot, start = 500_000, time.perf_counter()
        for i in range(0, n, lot):
            indexer.batch_add(clustered(min(lot, n - i), seed=100 + i), build=False)
        added = time.perf_counter() - start
        built, _ = timed(lambda: indexer.build(force=True))
        queries = clustered(queries_n, seed=100)
        true = indexer.batch_lookup(queries[:200], K, exact=True).ids
        seconds, found = timed(lambda: indexer.batch_lookup(queries, K))
        one = in_turns(
            {"q": lambda i: indexer.batch_lookup(queries[i : i + 1], K)}, 200
        )["q"]
        return {
            "set": "10m",
            "rows": n,
            "add s": added,
            "build s": built,
            "peak memory GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            / 2**20,
            "recall@10": recall(found.ids[:200], true),
            "queries a second": queries_n / seconds,
            "p50 us": 1e6 * one,
            "gates": [],
        }


def install(folder):
    """An environment with the library and its peers; its interpreter."""
    python = Path(folder) / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        here = str(Path(__file__).resolve().parents[1])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--use-pep517"]
        subprocess.run([*pip, "--editable", here, *PEERS], check=True)
    return str(python)


def available(names):
    """Those engines of ours whose package is installed."""
    from importlib.util import find_spec

    return [name for name in names if find_spec(name)]


def one_set(name, quick):
    engines = available(["faiss", "scann"])
    rounds = {"build": 1, "batch": 7, "single": 300}
    if name == "10m":
        return ten_million(20_000 if quick else 10_000_000)
    if name == "fmnist":
        rows, queries = fashion()
        found, indexer = report(name, rows, queries, {**rounds, "build": 3})
        others, _ = compare_engines(engines, rows, queries, indexer, rounds["batch"])
        return {**found, **others}
    n = {"100k": 100_000, "1m": 1_000_000}[name]
    if quick:
        n, rounds = 5_000, {"build": 1, "batch": 3, "single": 30}
    everything = clustered(n + 1000)
    rows, queries = everything[:n], everything[n:]
    if n == 100_000:
        rounds["build"] = 3
    found, indexer = report(name, rows, queries, rounds)
    others, their_gates = compare_engines(
        engines, rows, queries, indexer, rounds["batch"]
    )
    lot, n_lots = (1000, 100) if n >= 1_000_000 else (100, 20)
    more, gates = dynamics(indexer, n, queries, lot, n_lots, rounds["batch"])
    rate = n / found["build s"]["library"]
    of_lots = more["lots"]["rows"] / more["lots"]["seconds"]
    gates.append(gate("lots / bulk, rows a second", of_lots / rate, 0.5, at_least=True))
    tail = more["one query with a full tail, us"] - found["single us"]["raw"]
    gates.append(gate("one query with a full tail - raw, us", tail, 100))
    del indexer
    gc.collect()
    found["gates"] += [*their_gates, *gates, *with_ids(rows, queries)]
    return {**found, **others, **more}


def show(found):
    print(f"\n{found['set']}: {found['rows']:,} x {DIM}, k={K}, {THREADS} threads")
    for name, value in found.items():
        if name not in ("set", "rows", "gates"):
            print(f"  {name:<34}{json.dumps(value, default=float)}")
    for one in found["gates"]:
        verdict = "met" if one["met"] else "MISSED"
        print(f"  {one['name']:<42}{one['value']:>12.3f}{one['limit']:>9}  {verdict}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 rows, few rounds")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--sets", default="fmnist,100k,1m", help="with commas between")
    parser.add_argument("--install", metavar="DIR", help="where peers are installed")
    arguments = parser.parse_args()
    if arguments.install:
        rest = [a for a in sys.argv[1:] if a not in ("--install", arguments.install)]
        python = install(arguments.install)
        # By its own path: Python finds its environment by the name it is called by.
        os.execv(python, [python, __file__, *rest])
    figures = []
    for name in ["100k"] if arguments.quick else arguments.sets.split(","):
        figures.append(one_set(name, arguments.quick))
        show(figures[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1, default=float))


if __name__ == "__main__":
    main()
