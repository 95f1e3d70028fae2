"""What an index keeps: items and search in step, snapshots, files, messages."""

import hashlib
import json
import pickle
import threading
import zipfile

import keras
import numpy as np
import pytest

from tensorflow_similarity import distances, stores
from tensorflow_similarity._core import files
from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.search import LinearSearch, NMSLibSearch
from tensorflow_similarity.stores import MemoryStore
from tensorflow_similarity.types import Lookup, Lookups


def rows(n, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def filled(n=30, dim=4, graph=False, **kwargs):
    indexer = Indexer(dim, **{"distance": "euclidean", **kwargs})
    indexer.batch_add(rows(n, dim), np.arange(n) % 5, [f"item {i}" for i in range(n)])
    if graph:
        indexer.build(force=True)
    return indexer


def plain(lookups):
    return [
        [(n.rank, n.distance, n.label, n.embedding.tolist(), n.data) for n in row]
        for row in lookups
    ]


def test_what_is_added_is_found():
    indexer = Indexer(2, "euclidean")
    assert indexer.add([[0, 0]], label=3, data={"page": 1}) == 0
    ids = indexer.batch_add([[3, 4], [6, 8]], [4, None], ["x", None])
    assert ids.tolist() == [1, 2] and len(indexer) == indexer.size() == 3
    first, second, third = indexer.single_lookup([[0, 0]])
    assert first == Lookup(1, 0.0, 3, np.zeros(2, np.float32), {"page": 1})
    assert second == Lookup(2, 5.0, 4, np.array([3, 4], np.float32), "x")
    assert third == Lookup(3, 10.0, None, np.array([6, 8], np.float32), None)
    assert type(first.label) is int and type(first.distance) is float
    lookups = indexer.batch_lookup([[0, 0], [6, 8]], k=2)
    assert isinstance(lookups, Lookups) and lookups.ids.tolist() == [[0, 1], [2, 1]]
    assert lookups == [[first, second], [third_at_zero(third), second]]
    assert [n.label for n in lookups[1]] == [None, 4]


def third_at_zero(third):
    return Lookup(1, 0.0, third.label, third.embedding, third.data)


@pytest.mark.parametrize("graph", [False, True])
def test_lookups_are_in_step_with_the_items(graph):
    indexer = filled(60, graph=graph)
    indexer.remove([0, 7])
    more = indexer.batch_add(rows(9, seed=1), [9] * 9, [f"more {i}" for i in range(9)])
    assert indexer.is_built() == graph
    everything = np.concatenate([rows(60), rows(9, seed=1)])
    lookups = indexer.batch_lookup(rows(5, seed=2), k=66)
    assert lookups.ids.shape == (5, 66)
    for row, ids in zip(lookups, lookups.ids.tolist(), strict=True):
        assert len(set(ids)) == 66 and not {0, 7} & set(ids)
        for neighbour, key in zip(row, ids, strict=True):
            np.testing.assert_array_equal(neighbour.embedding, everything[key])
            assert neighbour.label == (9 if key >= more[0] else key % 5)
            name = f"more {key - 60}" if key >= 60 else f"item {key}"
            assert neighbour.data == name
        assert [n.rank for n in row] == list(range(1, 67))


def test_removing():
    indexer = filled()
    assert indexer.remove([3, 3, 4, 999, -1]) == 2
    assert indexer.remove(3) == 0 and indexer.remove([]) == 0
    assert indexer.remove(np.array([[5]]).ravel()) == 1
    assert len(indexer) == 27
    assert not np.isin(indexer.batch_lookup(rows(30), 27).ids, [3, 4, 5]).any()
    for bad in ("a", [0.5], [None], ["1"], [True]):
        with pytest.raises(TypeError, match="`ids` must "):
            indexer.remove(bad)
    assert indexer.batch_add(rows(1))[0] == 30
    ids, labels, data = indexer.items()
    assert ids.tolist() == [0, 1, 2, *range(6, 31)]
    assert labels[:3].tolist() == [0, 1, 2] and data[-2:] == ["item 29", None]


def test_an_empty_index_says_so():
    indexer = Indexer(4)
    message = r"The index is empty. Add items with `index\(x, y\)` before `lookup\(x\)`"
    for _ in range(2):
        with pytest.raises(RuntimeError, match=message):
            indexer.single_lookup(rows(1))
        with pytest.raises(RuntimeError, match=message):
            indexer.batch_lookup(rows(2))
        indexer.remove(indexer.batch_add(rows(3)))


def test_wrong_queries_are_refused():
    indexer = filled()
    for bad in (rows(1, dim=3), rows(1)[0], [[1, 2], [3]], [[np.nan] * 4]):
        with pytest.raises(ValueError, match="`queries` must"):
            indexer.batch_lookup(bad)
    for n in (0, 2):
        with pytest.raises(ValueError, match=rf"shape \(1, 4\).*{n} rows"):
            indexer.single_lookup(rows(n))
    for k in (0, 1.5, True):
        with pytest.raises(ValueError, match="`k` must be an integer of at least 1"):
            indexer.batch_lookup(rows(1), k)
    assert len(indexer.batch_lookup(rows(0))) == 0
    assert len(indexer.single_lookup(rows(1), k=99)) == 30


def test_wrong_items_are_refused_and_nothing_is_added():
    indexer = filled()
    calls = [
        (ValueError, r"`predictions`|`embeddings` must have shape", (rows(2, dim=3),)),
        (ValueError, "NaN", ([[np.nan] * 4] * 2,)),
        (ValueError, "one label for each", (rows(2), [1, 2, 3])),
        (ValueError, "one item for each", (rows(2), [1, 2], ["a"])),
        (TypeError, "of one kind", (rows(2), ["a", "b"])),
        (TypeError, "types", (rows(2), [1, "b"])),
        (TypeError, r"`data\[1\]` must be made of", (rows(2), None, ["a", object()])),
    ]
    before = plain(indexer.batch_lookup(rows(3), 30))
    for error, message, arguments in calls:
        with pytest.raises(error, match=message):
            indexer.batch_add(*arguments)
    assert len(indexer) == 30
    assert plain(indexer.batch_lookup(rows(3), 30)) == before
    assert indexer.add(rows(1)) == 30


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'cosine' and its search by 'euclidean'"):
        Indexer(4, "cosine", search=LinearSearch("euclidean", 4))
    with pytest.raises(ValueError, match="width 4 and the search was made for width 3"):
        Indexer(4, "cosine", search=LinearSearch("cosine", 3))
    with pytest.raises(ValueError, match=r"'annoy'.*\['linear', 'nmslib'\]"):
        Indexer(4, search="annoy")
    with pytest.raises(ValueError, match=r"'disk'.*\['memory'\]"):
        Indexer(4, kv_store="disk")
    with pytest.raises(ValueError, match="`evaluator` must be 'memory'"):
        Indexer(4, evaluator="disk")
    with pytest.raises(ValueError, match="snr.*search='linear'"):
        Indexer(4, "snr")
    assert Indexer(4, "snr", search="linear").search_type == "linear"
    store = MemoryStore()
    store.add([1, 2, 3])
    with pytest.raises(ValueError, match="width 4 and the store holds some of width 3"):
        Indexer(4, kv_store=store)


def test_a_store_with_items_is_searched():
    store = MemoryStore()
    keys = store.batch_add(rows(5), list("abcde"))
    store.remove(keys[1:2])
    indexer = Indexer(4, "euclidean", kv_store=store)
    lookups = indexer.batch_lookup(rows(5), 1)
    assert [row[0].label for row in lookups][2:] == ["c", "d", "e"]
    assert len(indexer) == 4 and indexer.kv_store_type == "memory"


def test_lookups_outlive_what_happens_to_the_index(tmp_path):
    for graph in (False, True):
        indexer = filled(graph=graph)
        indexer.remove([2])
        lookups = indexer.batch_lookup(rows(4), 6)
        expected = plain(indexer.batch_lookup(rows(4), 6))
        indexer.remove(lookups.ids[0])
        indexer.batch_add(rows(50), [7] * 50, ["new"] * 50)
        assert plain(lookups) == expected
        indexer.replace_embeddings(rows(len(indexer), seed=5))
        assert plain(lookups) == expected
        indexer.reset()
        indexer.batch_add(rows(40, seed=3), ["x"] * 40)
        assert plain(lookups) == expected


def test_user_data_are_fetched_when_looked_at(monkeypatch):
    indexer = filled()
    fetched = []
    fetch = stores.StoreSnapshot.fetch

    def counted(self, ids):
        fetched.append(len(ids))
        return fetch(self, ids)

    monkeypatch.setattr(stores.StoreSnapshot, "fetch", counted)
    lookups = indexer.batch_lookup(rows(20), 5)
    assert lookups.labels.shape == (20, 5) and not fetched
    assert lookups[3][0].data == "item 3" and fetched == [5]


def test_changing_a_neighbour_does_not_change_the_index():
    indexer = Indexer(4, "euclidean")
    indexer.batch_add(rows(3), [1, 2, 3], np.ones((3, 2)))
    for _ in range(2):
        neighbour = indexer.single_lookup(rows(1), 1)[0]
        assert neighbour.data.tolist() == [1, 1]
        np.testing.assert_array_equal(neighbour.embedding, rows(1)[0])
        neighbour.data[:], neighbour.embedding[:], neighbour.label = 9, 9, 9


@pytest.mark.parametrize("graph", [False, True])
def test_replaced_embeddings(graph):
    indexer = filled(graph=graph)
    indexer.remove([4])
    new = rows(29, seed=8)
    indexer.replace_embeddings(new)
    assert len(indexer) == 29
    lookups = indexer.batch_lookup(new, 1)
    assert lookups.ids.ravel().tolist() == [0, 1, 2, 3, *range(5, 30)]
    assert not lookups.distances.any()
    assert lookups[4][0].data == "item 5"
    with pytest.raises(ValueError, match="one row for each of the 29 items.*30 rows"):
        indexer.replace_embeddings(rows(30))
    with pytest.raises(ValueError, match="`embeddings` must have shape"):
        indexer.replace_embeddings(rows(29, dim=3))


def test_reset():
    indexer = filled()
    indexer.fingerprint = "x"
    indexer.single_lookup(rows(1))
    indexer.reset()
    assert len(indexer) == 0 and indexer.fingerprint is None
    assert indexer.stats()["num_lookups"] == 0
    assert indexer.batch_add(rows(2), ["a", "b"]).tolist() == [30, 31]
    assert indexer.single_lookup(rows(1), 1)[0].label == "a"


def test_stats_and_summary():
    indexer = Indexer(4, "euclidean", stat_buffer_size=3)
    none = dict.fromkeys(("min", "max", "avg", "median", "stddev"), 0.0)
    assert indexer.stats() == {
        "num_lookups": 0,
        "size": 0,
        "stat_buffer_size": 3,
        "query_performance": none,
    }
    indexer.batch_add(rows(30))
    for n in (1, 2, 3, 4, 5):
        indexer.batch_lookup(rows(n))
    found = indexer.stats()
    assert found["num_lookups"] == 15 and found["size"] == 30
    times = found["query_performance"]
    assert 0 < times["min"] <= times["median"] <= times["max"]
    assert times["min"] <= times["avg"] <= times["max"] and times["stddev"] >= 0
    said = []
    indexer.print_stats(print_fn=said.append)
    text = "\n".join(said)
    for word in ("30", "euclidean", "nmslib (exact", "memory", "lookups", "15"):
        assert word in text
    indexer.build(force=True)
    said.clear()
    indexer.print_stats(print_fn=said.append)
    assert "nmslib (graph" in "\n".join(said)


def test_a_data_frame_of_the_items():
    indexer = filled()
    assert indexer.to_data_frame()["data"].tolist()[:2] == ["item 0", "item 1"]
    assert len(indexer.to_data_frame(7)) == 7


def test_configuration_goes_through_json():
    subject = NMSLibSearch("l2", 4, index_params={"M": 8}, name="mine")
    indexer = Indexer(4, "l2", search=subject, embedding_output=1, stat_buffer_size=5)
    again = Indexer.from_config(json.loads(json.dumps(indexer.get_config())))
    assert again.get_config() == indexer.get_config()
    assert again.search.index_params == {"M": 8} and again.search_type == "mine"


# Threads


@pytest.mark.parametrize("graph", [False, True])
def test_readers_see_whole_snapshots_while_one_writes(graph):
    """Item i has label and data i, and an embedding that says i."""
    indexer = Indexer(4, "euclidean")

    def items(numbers):
        numbers = np.asarray(numbers)
        columns = [numbers, numbers % 7, -numbers, np.ones(len(numbers))]
        embeddings = np.stack(columns, axis=1).astype(np.float32)
        return embeddings, numbers, [int(number) for number in numbers]

    indexer.batch_add(*items(range(300)))
    if graph:
        indexer.build(force=True)
    failures, stop = [], threading.Event()

    def read(seed):
        generator = np.random.default_rng(seed)
        try:
            while not stop.is_set():
                numbers = generator.integers(0, 900, 3)
                lookups = indexer.batch_lookup(items(numbers)[0], 5)
                assert (np.diff(lookups.distances, axis=1) >= 0).all()
                assert (lookups.labels == lookups.ids).all()
                for row in lookups:
                    assert len({n.label for n in row}) == 5
                    for n in row:
                        assert n.embedding[0] == n.label == n.data
                indexer.stats()
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    generator = np.random.default_rng(0)
    try:
        for i in range(60):
            keys = indexer.batch_add(*items(range(300 + 10 * i, 310 + 10 * i)))
            assert keys[0] == 300 + 10 * i
            indexer.remove(generator.integers(0, keys[-1] - 200, 5))
            if graph and i % 20 == 0:
                indexer.build(force=True)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert not failures, failures[0]


def test_writers_queue():
    indexer = Indexer(4, "euclidean")
    keys = []

    def write(label):
        for _ in range(20):
            ids = indexer.batch_add(rows(3), [label] * 3, [label] * 3)
            keys.extend((int(key), label) for key in ids)

    writers = [threading.Thread(target=write, args=(i,)) for i in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(indexer) == 180 and sorted(key for key, _ in keys) == list(range(180))
    ids, labels, data = indexer.items()
    assert dict(zip(ids.tolist(), labels.tolist(), strict=True)) == dict(keys)
    assert data == labels.tolist()


# Files


@pytest.mark.parametrize("kind", ["nmslib", "graph", "linear"])
@pytest.mark.parametrize("compression", [True, False])
def test_saved_and_loaded_answers_the_same(tmp_path, kind, compression):
    indexer = filled(
        60, graph=kind == "graph", search="linear" if kind == "linear" else "nmslib"
    )
    indexer.remove([0, 13])
    indexer.batch_add(rows(6, seed=1), [1] * 6, [None, 1, "x", b"y", [1], {"a": 2}])
    indexer.fingerprint = "made by a test"
    queries = rows(8, seed=2)
    expected = plain(indexer.batch_lookup(queries, 64))
    ids = indexer.batch_lookup(queries, 64).ids
    for i in range(3):
        indexer.save(tmp_path / str(i), compression=compression)
        indexer = Indexer.load(tmp_path / str(i))
        assert indexer.fingerprint == "made by a test"
        assert indexer.is_built() == (kind == "graph")
        lookups = indexer.batch_lookup(queries, 64)
        assert plain(lookups) == expected
        np.testing.assert_array_equal(lookups.ids, ids)
    assert indexer.batch_add(rows(1))[0] == 66
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("distance", distances.DISTANCES, ids=str)
def test_an_empty_index_is_saved_and_loaded(tmp_path, distance):
    Indexer(4, distance, search="linear").save(tmp_path / "a")
    indexer = Indexer.load(tmp_path / "a")
    assert len(indexer) == 0 and indexer.distance == distance
    indexer.batch_add(rows(2))
    assert len(indexer.batch_lookup(rows(1), 5)[0]) == 2


@pytest.fixture
def folder(tmp_path):
    indexer = filled(40, graph=True)
    path = tmp_path / "home" / "index"
    indexer.save(path)
    return path


def names(path):
    files_ = (file for file in path.rglob("*") if not file.is_dir())
    return sorted(file.relative_to(path).as_posix() for file in files_)


ALL_FILES = [
    "index.json",
    "search/*/structure/graph.bin",
    "search/*/structure/graph.json",
    "search/segments.json",
    "store/columns-*.npz",
    "store/data-*.npz",
    "store/store.json",
    "store/vectors/*.f32",
    "store/vectors/vectors.json",
]
EXACT = [name for name in ALL_FILES if "graph" not in name]


def the_file(folder, pattern):
    (file,) = folder.glob(pattern)
    return file


def patterns(folder):
    """The files, by the pattern that each alone fits."""
    found = {pattern: the_file(folder, pattern) for pattern in ALL_FILES}
    return {file.relative_to(folder).as_posix(): p for p, file in found.items()}


def test_what_is_written(folder):
    assert sorted(patterns(folder)) == names(folder)
    manifest = json.loads((folder / "index.json").read_text())
    assert manifest["format"] == 2 and set(manifest["files"]) == set(names(folder)[1:])
    for name in folder.rglob("*.npz"):
        for member in zipfile.ZipFile(name).namelist():
            with zipfile.ZipFile(name).open(member) as file:
                assert np.lib.format.read_array(file, allow_pickle=False) is not None


def test_only_what_changed_is_written(folder):
    indexer = Indexer.load(folder)

    def written():
        stats = {name: (folder / name).stat() for name in names(folder)}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}

    first = written()
    indexer.save(folder)
    kept = {p for name, p in patterns(folder).items() if written()[name] == first[name]}
    lists = ("index.json", "segments.json", "store.json", "vectors.json")
    assert kept == {name for name in ALL_FILES if not name.endswith(lists)}
    indexer.relabel([3], [77])
    indexer.save(folder)
    now = written()
    kept = {p for n, p in patterns(folder).items() if now[n] == first.get(n)}
    assert kept >= {"store/data-*.npz", "store/vectors/*.f32"}
    assert "store/columns-*.npz" not in kept
    assert Indexer.load(folder).get(3).label == 77


@pytest.mark.parametrize("step", ["store", "search", "manifest", "rename"])
def test_saving_that_fails_leaves_the_old_index(folder, monkeypatch, step):
    before = {name: (folder / name).read_bytes() for name in names(folder)}

    def fail(*args, **kwargs):
        raise OSError("no space left")

    target = {
        "store": (MemoryStore, "write"),
        "search": (NMSLibSearch, "_save"),
        "manifest": (files, "_to_disk"),
        "rename": (files.os, "replace"),
    }[step]
    indexer = filled(50, graph=True)
    with monkeypatch.context() as patch:
        patch.setattr(*target, fail)
        with pytest.raises(OSError, match="no space left"):
            indexer.save(folder)
        with pytest.raises(OSError, match="no space left"):
            indexer.save(folder.parent / "new")
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    assert [entry.name for entry in folder.parent.iterdir()] == ["index"]
    assert len(Indexer.load(folder)) == 40


def test_a_second_rename_that_fails_puts_the_old_index_back(folder, monkeypatch):
    replace, calls = files.os.replace, []

    def fail_second(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("no")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", fail_second)
        with pytest.raises(OSError, match="no"):
            filled(50).save(folder)
    assert len(Indexer.load(folder)) == 40
    assert [entry.name for entry in folder.parent.iterdir()] == ["index"]


def test_an_index_is_replaced_whole(folder):
    filled(3, search="linear").save(folder)
    assert all(any(folder.glob(pattern)) for pattern in EXACT)
    assert len(names(folder)) == len(EXACT)
    assert len(Indexer.load(folder)) == 3


def test_overwriting_can_be_refused(folder):
    with pytest.raises(FileExistsError, match="`overwrite=False` was given"):
        filled(3).save(folder, overwrite=False)
    assert len(Indexer.load(folder)) == 40
    filled(3).save(folder.parent / "other", overwrite=False)


def test_foreign_files_are_kept(folder):
    (folder / "notes.txt").write_text("mine")
    (folder / "store" / "mine").mkdir()
    (folder / "store" / "mine" / "deep.txt").write_text("mine too")
    graph = the_file(folder, "search/*/structure/graph.bin")
    graph.with_name("x.txt").write_text("and mine")
    (folder / "empty").mkdir()
    filled(3, search="linear").save(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "store" / "mine" / "deep.txt").read_text() == "mine too"
    assert graph.with_name("x.txt").read_text() == "and mine"
    assert (folder / "empty").is_dir()
    assert len(Indexer.load(folder)) == 3
    assert not graph.exists()


def test_foreign_folders_are_not_replaced(tmp_path):
    indexer = filled(3)
    for name, content in (("photo.png", b"x"), ("index.json", b'{"pages": []}')):
        path = tmp_path / name.partition(".")[0]
        path.mkdir()
        (path / name).write_bytes(content)
        with pytest.raises(FileExistsError, match="did not write"):
            indexer.save(path)
        assert names(path) == [name] and (path / name).read_bytes() == content
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(FileExistsError, match="did not write"):
        indexer.save(file)
    assert file.read_text() == "x"
    (tmp_path / "empty").mkdir()
    indexer.save(tmp_path / "empty")
    assert len(Indexer.load(tmp_path / "empty")) == 3


def test_a_link_to_the_folder_stays_one(folder):
    link = folder.parent / "link"
    link.symlink_to(folder)
    filled(3).save(link)
    assert link.is_symlink() and len(Indexer.load(folder)) == 3
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["index", "link"]


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("harm", ["truncated", "flipped", "longer", "empty", "missing"])
def test_a_damaged_folder_is_said_to_be(folder, name, harm):
    file = the_file(folder, name)
    raw = file.read_bytes()
    if harm == "missing":
        file.unlink()
    elif harm == "flipped":
        middle = len(raw) // 2
        flipped = bytes([raw[middle] ^ 1])
        file.write_bytes(raw[:middle] + flipped + raw[middle + 1 :])
    else:
        changed = {"truncated": raw[:-1], "longer": raw + b"0", "empty": b""}
        file.write_bytes(changed[harm])
    if (name, harm) == ("index.json", "missing"):
        with pytest.raises(FileNotFoundError, match=r"There is no index\.json in"):
            Indexer.load(folder)
        return
    with pytest.raises(ValueError, match="is damaged: .*Restore it from a copy") as got:
        Indexer.load(folder)
    assert file.name in str(got.value)


def test_each_byte_of_the_manifest_counts(folder):
    file = folder / "index.json"
    raw = file.read_bytes()
    for at in range(0, len(raw), 37):
        file.write_bytes(raw[:at] + bytes([raw[at] ^ 2]) + raw[at + 1 :])
        with pytest.raises(ValueError):
            Indexer.load(folder)


def rewrite_manifest(folder, **changes):
    """A manifest that a newer version, or someone with bad intent, might write."""
    file = folder / "index.json"
    manifest = json.loads(file.read_text())
    del manifest["checksum"]
    manifest.update(changes)
    for name in manifest["files"]:
        raw = (folder / name).read_bytes()
        digest = hashlib.sha256(raw).hexdigest()
        manifest["files"][name] = {"bytes": len(raw), "sha256": digest}
    manifest["checksum"] = files._self_checksum(manifest)
    file.write_text(json.dumps(manifest))


def test_a_newer_format_is_said_to_be(folder):
    rewrite_manifest(folder, format=3, written_by="tensorflow_similarity 9.9")
    with pytest.raises(
        ValueError, match=r"has format 3, .* up to 2\. Install .*similarity 9\.9"
    ):
        Indexer.load(folder)


def test_another_kind_of_folder_is_said_to_be(folder, tmp_path):
    store = MemoryStore()
    store.save(tmp_path / "store")
    with pytest.raises(ValueError, match="holds a 'store', expected a 'index'"):
        Indexer.load(tmp_path / "store")
    with pytest.raises(ValueError, match="holds a 'index', expected a 'store'"):
        store.load(folder)


class Bomb:
    """Leaves a mark when it is read as a pickle."""

    mark: list = []

    def __reduce__(self):
        return (Bomb.mark.append, (1,))


@pytest.mark.parametrize("form", ["pickle", "object array", "object npy", "zip"])
@pytest.mark.parametrize("name", ["store/columns-*.npz", "store/data-*.npz"])
@pytest.mark.parametrize("checksums", ["old", "new"])
def test_pickles_are_never_read(folder, form, name, checksums):
    file = the_file(folder, name)
    array = np.array([Bomb()], object)
    if form == "pickle":
        file.write_bytes(pickle.dumps(Bomb()))
    elif form == "object npy":
        with file.open("wb") as opened:
            np.save(opened, array, allow_pickle=True)
    elif form == "object array":
        np.savez(file, **dict.fromkeys(("keys", "labels", "data"), array))
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("data.npy", b"not an array")
            archive.writestr("keys.npy", b"\x93NUMPY\x01\x00")
    message = "is damaged"
    if checksums == "new":
        rewrite_manifest(folder)
        message = "not a file of plain arrays, or holds pickled objects"
    with pytest.raises(ValueError, match=message):
        Indexer.load(folder)
    assert not Bomb.mark


def test_a_plain_array_in_place_of_the_columns_is_refused(folder):
    with the_file(folder, "store/columns-*.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    rewrite_manifest(folder)
    with pytest.raises(ValueError, match="not a file of plain arrays"):
        Indexer.load(folder)


def test_files_that_the_manifest_does_not_list_are_not_read(tmp_path, folder):
    filled(40, search="linear").save(tmp_path / "plain")
    structure = tmp_path / "plain" / "search" / "structure"
    structure.mkdir()
    (structure / "graph.bin").write_bytes(b"garbage")
    loaded = Indexer.load(tmp_path / "plain")
    assert not loaded.is_built()
    manifest = json.loads((tmp_path / "plain" / "index.json").read_text())
    assert "search/segments.json" in manifest["files"]


def test_the_predecessor_folder_is_named(tmp_path):
    path = tmp_path / "old"
    path.mkdir()
    (path / "index_metadata.json").write_text("{}")
    with pytest.raises(ValueError, match=r"TF Similarity 0\.17 or 0\.18.*Make the ind"):
        Indexer.load(path)
    with pytest.raises(FileExistsError, match="did not write"):
        filled(3).save(path)


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no index\.json"):
        Indexer.load(tmp_path / "nowhere")


@keras.saving.register_keras_serializable(package="tests_indexer")
class OwnDistance(distances.Distance):
    name = "own"

    def call(self, query, key):
        return keras.ops.abs(query[:, :1] - keras.ops.transpose(key[:, :1]))


def test_a_user_own_distance_survives_or_is_named(tmp_path):
    indexer = filled(5, distance=OwnDistance(), search="linear")
    indexer.save(tmp_path / "a")
    again = Indexer.load(tmp_path / "a")
    assert again.distance == indexer.distance
    assert plain(again.batch_lookup(rows(2))) == plain(indexer.batch_lookup(rows(2)))
