"""Index folders of TF Similarity 0.17 and 0.18, made here from their description."""

import json
import logging
import os
import pickle
import zipfile

import numpy as np
import pytest

from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.indexer.legacy_objects import plain_values
from tensorflow_similarity.types import NO_LABEL


def rows(n, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


METADATA = {
    "size": 5,
    "compression": True,
    "distance": "cosine",
    "embedding_output": None,
    "embedding_size": 4,
    "evaluator": "memory",
    "stat_buffer_size": 200,
    "is_calibrated": False,
    "calibration_metric_config": {"name": "f1"},
    "cutpoints": {},
    "calibration_thresholds": {},
}
RELEASED = {
    "kv_store": "memory",
    "search_config": {"distance": "cosine", "dim": 4, "canonical_name": "nmslib"},
}
LATER = {
    "kv_store_config": {"class_name": "MemoryStore", "config": {"name": "memory"}},
    "search_config": {"class_name": "LinearSearch", "config": {"dim": 4}},
}


def written(path, arrays, at="", compressed=True, **metadata):
    """A folder as the predecessor wrote it, with a search that is not read."""
    (path / at).mkdir(parents=True)
    (path / "index_metadata.json").write_text(json.dumps({**METADATA, **metadata}))
    save = np.savez_compressed if compressed else np.savez
    save(path / at / "index.npz", **arrays)
    for name in ("search_index.bin", "search_index.bin.dat"):
        (path / name).write_bytes(b"not read")
    return path


def arrays(labels=(3, 1, 2, 1, 5), data=None):
    # What came of lists with None in them: arrays of objects.
    data = np.array([None] * 5, object) if data is None else np.asarray(data)
    return {"embeddings": rows(5), "labels": np.asarray(labels), "data": data}


class Evil:
    """What a pickle can do when it is read."""

    def __reduce__(self):
        return (os.abort, ())


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    ("at", "settings", "search"),
    [("", RELEASED, "nmslib"), ("store", LATER, "linear")],
    ids=["0.17", "0.18"],
)
def test_embeddings_labels_and_plain_data_are_read(
    at, settings, search, compressed, tmp_path, caplog
):
    pictures = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    path = written(tmp_path / "a", arrays(data=pictures), at, compressed, **settings)
    index = Indexer.load(path)
    assert len(index) == 5 and index.search_type == search
    assert index.distance.name == "cosine" and index.stat_buffer_size == 200
    ids, labels, data = index.items()
    assert ids.tolist() == [0, 1, 2, 3, 4] and labels.tolist() == [3, 1, 2, 1, 5]
    np.testing.assert_array_equal(data, pictures)
    found = index.single_lookup(rows(5)[2:3], k=1)[0]
    assert found.label == 2 and found.distance == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(found.embedding, rows(5)[2])
    assert not caplog.records


def test_what_was_read_is_saved_as_ours(tmp_path):
    path = written(tmp_path / "old", arrays(data=list("abcde")), **RELEASED)
    before = sorted(file.name for file in path.iterdir())
    index = Indexer.load(path)
    with pytest.raises(FileExistsError, match="did not write"):
        index.save(path)
    assert sorted(file.name for file in path.iterdir()) == before
    index.save(tmp_path / "new")
    assert Indexer.load(tmp_path / "new").items()[2] == list("abcde")


def test_pickled_data_are_never_read_but_counted(tmp_path, caplog):
    data = np.array([Evil(), None, {"a": 1}, "x", 2], object)
    path = written(tmp_path / "a", arrays(data=data), **RELEASED)
    with caplog.at_level(logging.WARNING):
        index = Indexer.load(path)
    (said,) = caplog.messages
    assert "data of 5 items" in said and "pickled" in said and "`data=...`" in said
    assert len(index) == 5 and index.items()[2] == [None] * 5
    assert index.items()[1].tolist() == [3, 1, 2, 1, 5]


def test_an_index_without_data_says_nothing(tmp_path, caplog):
    index = Indexer.load(written(tmp_path / "a", arrays(), **RELEASED))
    assert index.items()[2] == [None] * 5 and not caplog.records


PLAIN_OBJECTS = {
    "none": [None] * 5,
    "some": [1, None, 2**40, -3, None],
    "texts": ["a", None, "ü猫", "", "a"],
    "numpy integers": [np.int64(7), None, np.int32(-1), np.uint8(9), 3],
    "other byte order": [np.dtype(">i4").type(5), None, 1, 1, 1],
    "floats that are integers": [1.0, None, np.float32(2), 3, 4],
}


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("kind", PLAIN_OBJECTS)
def test_plain_values_among_objects_are_read(kind, protocol, tmp_path, monkeypatch):
    values = np.array(PLAIN_OBJECTS[kind], object)
    dump = pickle.dump

    def old(array, file, **_):
        dump(array, file, protocol=protocol)

    monkeypatch.setattr(pickle, "dump", old)
    path = written(tmp_path / "a", arrays(labels=values, data=values), **RELEASED)
    index = Indexer.load(path)
    _, labels, data = index.items()
    expected = [NO_LABEL if x is None else x for x in PLAIN_OBJECTS[kind]]
    if kind == "texts":
        expected = PLAIN_OBJECTS[kind]
    assert labels.tolist() == expected
    assert data == PLAIN_OBJECTS[kind]
    assert [type(x) for x in data] == [type(x) for x in PLAIN_OBJECTS[kind]]


@pytest.mark.parametrize(
    "other", [Evil(), [1], {"a": 1}, (1,), {1}, rows(1), 1j, print, Indexer, b"x".join]
)
def test_anything_else_among_objects_is_left_out(other, tmp_path, caplog):
    values = np.empty(5, object)
    values[2] = other
    path = written(tmp_path / "a", arrays(data=values), **RELEASED)
    assert Indexer.load(path).items()[2] == [None] * 5
    assert "data of 5 items" in caplog.text


def test_any_bytes_in_place_of_a_pickle_are_left_out():
    whole = pickle.dumps(np.array([1, "a", None, np.int64(3)], object))
    assert plain_values(whole, 4) == [1, "a", None, 3]
    assert plain_values(whole, 3) is None and plain_values(b"", 0) is None
    generator = np.random.default_rng(1)
    for _ in range(2000):
        broken = bytearray(whole)
        for at in generator.integers(len(whole), size=generator.integers(1, 4)):
            broken[at] = generator.integers(256)
        found = plain_values(bytes(broken[: generator.integers(len(whole) + 1)]), 4)
        assert found is None or len(found) == 4


def test_pickled_labels_are_never_read_but_counted(tmp_path, caplog):
    labels = np.array([Evil(), 1, None, 2, 3], object)
    path = written(tmp_path / "a", arrays(labels=labels, data=rows(5)), **RELEASED)
    with caplog.at_level(logging.WARNING):
        index = Indexer.load(path)
    (said,) = caplog.messages
    assert "labels of 5 items" in said and "`y=...`" in said
    assert [look.label for look in index.single_lookup(rows(1), k=2)] == [None, None]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (np.array(["a", "bcd", "e", "a", ""]), ["a", "bcd", "e", "a", ""]),
        (np.array([1.0, 2, 3, 1, 5]), [1, 2, 3, 1, 5]),
        (np.array([[1], [2], [3], [1], [5]]), [1, 2, 3, 1, 5]),
    ],
)
def test_labels_of_other_kinds_are_read(given, read, tmp_path):
    path = written(tmp_path / "a", arrays(given, data=rows(5)), **RELEASED)
    assert Indexer.load(path).items()[1].tolist() == read


def test_an_empty_index_is_read(tmp_path):
    empty = {name: np.array([]) for name in ("embeddings", "labels", "data")}
    path = written(tmp_path / "a", empty, size=0, **RELEASED)
    index = Indexer.load(path)
    assert len(index) == 0
    assert index.add(rows(1), 3) == 0


CUTPOINTS = {"optimal": {"name": "optimal", "value": 0.9, "distance": 0.2, "f1": 0.9}}


def test_a_calibration_by_cosine_is_read(tmp_path):
    thresholds = {"distance": [0.1, 0.2], "f1": [0.5, 0.9], "value": [0.5, 0.9]}
    path = written(
        tmp_path / "a",
        arrays(data=rows(5)),
        is_calibrated=True,
        cutpoints=CUTPOINTS,
        calibration_thresholds=thresholds,
    )
    found = Indexer.load(path).calibration
    assert found.cutpoints == CUTPOINTS
    assert found.thresholds["distance"].tolist() == [0.1, 0.2]
    assert found.settings == {"metric": "f1"}


@pytest.mark.parametrize(
    "facts", [{"distance": "euclidean"}, {"cutpoints": {"optimal": {}}}]
)
def test_a_calibration_that_means_nothing_here_is_left_out_and_said(
    tmp_path, caplog, facts
):
    facts = {"is_calibrated": True, "cutpoints": CUTPOINTS, **facts}
    path = written(tmp_path / "a", arrays(data=rows(5)), **facts)
    with caplog.at_level(logging.WARNING):
        assert Indexer.load(path).calibration is None
    assert "calibration" in caplog.text and "Call `calibrate` again" in caplog.text


@pytest.mark.parametrize(
    ("name", "search"),
    [("euclidean", "nmslib"), ("manhattan", "nmslib"), ("snr", "linear")]
    + [("squared_euclidean", None), ("inner_product", None)],
)
def test_each_distance_has_a_search(name, search, tmp_path):
    path = written(tmp_path / "a", arrays(data=rows(5)), distance=name)
    index = Indexer.load(path)
    assert index.distance.name == name and search in (None, index.search_type)
    assert len(index.single_lookup(rows(1), k=3)) == 3


@pytest.mark.parametrize("name", ["embeddings", "labels", "data"])
def test_an_absent_array_is_said(name, tmp_path):
    there = {key: array for key, array in arrays().items() if key != name}
    path = written(tmp_path / "a", there, **RELEASED)
    with pytest.raises(ValueError, match=rf"damaged: index\.npz.*{name}\.npy"):
        Indexer.load(path)


def test_an_unknown_distance_is_named(tmp_path):
    path = written(tmp_path / "a", arrays(), distance="haversine")
    with pytest.raises(ValueError, match="'haversine'.*not known.*Index your data ag"):
        Indexer.load(path)


def test_a_missing_or_damaged_folder_is_said(tmp_path):
    path = tmp_path / "bare"
    path.mkdir()
    (path / "index_metadata.json").write_text(json.dumps(METADATA))
    with pytest.raises(FileNotFoundError, match=r"no index\.npz.*only MemoryStore"):
        Indexer.load(path)
    for text in ("", "[]", "{", '{"distance": "cosine"}', "null"):
        (path / "index_metadata.json").write_text(text)
        with pytest.raises(ValueError, match="damaged: index_metadata.json"):
            Indexer.load(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": np.arange(4)}, r"labels of shape \(4,\) for 5 embeddings"),
        ({"data": np.arange(6)}, r"data of shape \(6,\) for 5 embeddings"),
        ({"data": np.array(3)}, r"data of shape \(\) for 5 embeddings"),
        ({"embeddings": np.array([rows(1)[0], None], object)}, "no plain embeddings"),
        ({"embeddings": rows(5, dim=3)}, r"shape \(5, 3\), and not \(n, 4\)"),
        ({"embeddings": np.array(3.0)}, "no plain embeddings"),
    ],
    ids=range(6),
)
def test_arrays_that_do_not_belong_together_are_refused(changed, said, tmp_path):
    path = written(tmp_path / "a", {**arrays(data=rows(5)), **changed}, **RELEASED)
    with pytest.raises(ValueError, match=f"damaged: index.npz holds.*{said}|{said}"):
        Indexer.load(path)


def test_every_cut_and_many_flips_are_said_or_read_rightly(tmp_path):
    path = written(tmp_path / "a", arrays(data=rows(5)), compressed=False, **RELEASED)
    file = path / "index.npz"
    whole = file.read_bytes()
    generator = np.random.default_rng(3)
    for case in range(120):
        broken = bytearray(whole)
        if case % 2:
            broken = broken[: generator.integers(len(whole))]
        else:
            broken[generator.integers(len(whole))] ^= 1 << int(generator.integers(8))
        file.write_bytes(broken)
        try:
            index = Indexer.load(path)
        except ValueError as error:
            assert "damaged" in str(error)
            continue
        ids, labels, _ = index.items()
        assert labels.tolist() == [3, 1, 2, 1, 5]


def test_versions_of_the_array_format_are_read(tmp_path):
    path = written(tmp_path / "a", arrays(data=rows(5)), **RELEASED)
    for version in ((1, 0), (2, 0), (3, 0)):
        with zipfile.ZipFile(path / "index.npz", "w") as archive:
            for name, array in arrays(data=rows(5)).items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, array, version=version)
        assert len(Indexer.load(path)) == 5
