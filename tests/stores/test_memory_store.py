"""What a store keeps: keys, labels, user data, in memory and through files."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tensorflow_similarity import stores
from tensorflow_similarity.stores import MemoryStore
from tensorflow_similarity.types import NO_LABEL
from tensorflow_similarity.types.lookup import equal_data

_MAKE = {}


@pytest.fixture(autouse=True, params=["memory", "sqlite"])
def each_store(request, tmp_path_factory):
    """Each test runs with each store: `new_store()` makes one, empty."""
    _MAKE["now"] = stores.MemoryStore
    if request.param == "sqlite":
        _MAKE["now"] = lambda: stores.SQLiteStore(
            tmp_path_factory.mktemp("store"), durable=False
        )


def new_store():
    return _MAKE["now"]()


def rows(n, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def reloaded(store, path):
    store.save(path)
    again = new_store()
    assert again.load(path) == len(store)
    return again


def kept(store, keys):
    """Embeddings, labels and data of these keys, as plain lists."""
    embeddings, labels, data = store.batch_get(keys)
    return embeddings.tolist(), labels, data


def test_an_item_comes_back():
    store = new_store()
    key = store.add([1, 2, 3], label=7, data="seven")
    embedding, label, data = store.get(key)
    assert embedding.tolist() == [1, 2, 3] and embedding.dtype == np.float32
    assert label == 7 and type(label) is int and data == "seven"
    assert len(store) == store.size() == 1
    embedding, label, data = store.get(store.add([4, 5, 6]))
    assert label is None and data is None


def test_keys_rise_and_never_come_back(tmp_path):
    store = new_store()
    seen = store.batch_add(rows(3)).tolist()
    assert seen == sorted(set(seen))

    def add_more():
        keys = store.batch_add(rows(2)).tolist()
        assert keys == sorted(keys) and keys[0] > max(seen)
        seen.extend(keys)

    store.remove(seen[-1:])
    add_more()
    store.save(tmp_path / "a")
    add_more()
    store.reset()
    assert len(store) == 0
    add_more()
    store.load(tmp_path / "a")
    add_more()
    again = new_store()
    again.load(tmp_path / "a")
    assert again.batch_add(rows(1))[0] > max(again.snapshot().keys[:-1])


def test_keys_of_removed_items_stay_used_through_a_file(tmp_path):
    store = new_store()
    keys = store.batch_add(rows(4))
    store.remove(keys)
    again = reloaded(store, tmp_path / "a")
    assert again.add([1, 2, 3]) > keys.max()


def test_a_missing_key_is_a_key_error():
    store = new_store()
    with pytest.raises(KeyError, match=r"no item with key \[3\]"):
        store.get(3)
    keys = store.batch_add(rows(3))
    store.remove(keys[1:2])
    for missing in (keys[1], -1, 99, NO_LABEL):
        with pytest.raises(KeyError, match="no item"):
            store.get(missing)
    with pytest.raises(TypeError, match="`idxs` must be integers"):
        store.get("0")
    assert store.remove([keys[1], 99, keys[0], keys[0]]) == 1
    assert store.remove([]) == 0
    with pytest.raises(TypeError, match="`keys` must be integers"):
        store.remove([0.5])


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([2**62, -(2**62), 0], [2**62, -(2**62), 0]),
        ([2**53 + 1, 1.0, None], [2**53 + 1, 1, None]),
        (np.array([1, 2, 3], np.uint8), [1, 2, 3]),
        (np.array([[1], [2], [3]]), [1, 2, 3]),
        (np.array([1.0, 2.0, -0.0]), [1, 2, 0]),
        ([True, False, True], [1, 0, 1]),
        ([None, 5, None], [None, 5, None]),
        ([None, None, None], [None, None, None]),
        (None, [None, None, None]),
        (["a", "b", "a"], ["a", "b", "a"]),
        (["", "ü", "猫\0"], ["", "ü", "猫\0"]),
        ([b"cat", None, "dog"], ["cat", None, "dog"]),
        (np.array(["a", "bcd", "e"]), ["a", "bcd", "e"]),
        (np.array(["a", None, "e"], object), ["a", None, "e"]),
        (tf.constant(["x", "y", "z"]), ["x", "y", "z"]),
        (tf.constant([3, 4, 5]), [3, 4, 5]),
    ],
    ids=str,
)
def test_labels_come_back(given, plain, tmp_path):
    store = new_store()
    keys = store.batch_add(rows(3), given)
    for subject in (store, reloaded(store, tmp_path / "a")):
        labels = subject.batch_get(keys)[1]
        assert labels == plain
        assert [type(label) for label in labels] == [type(label) for label in plain]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([1, 2], ValueError, r"one label for each item, shape \(3,\).*\(2,\)"),
        ([[1, 2, 3]], ValueError, "one label for each item"),
        (5, ValueError, "one label for each item"),
        ([[1], [2, 3], [4]], ValueError, "nested sequences"),
        ([0.5, 1, 2], TypeError, "not integers|types"),
        (np.array([0.5, 1, 2]), TypeError, "numbers that are not integers"),
        ([math.nan, 1, 2], TypeError, "types"),
        (np.array([math.nan, 1, math.inf]), TypeError, "not integers of 64 bits"),
        (np.array([1e300, 1, 2]), TypeError, "not integers of 64 bits"),
        (np.array([2**64 - 1, 1, 2], np.uint64), TypeError, "not integers"),
        ([2**70, 1, None], TypeError, "beyond 64 bits"),
        ([1, "1", 2], TypeError, r"types \['int', 'str'\]"),
        ([1j, 2, 3], TypeError, "types"),
        (np.array([1j, 2, 3]), TypeError, "complex128"),
    ],
    ids=str,
)
def test_bad_labels_are_refused_and_nothing_is_added(labels, error, message):
    store = new_store()
    store.batch_add(rows(2), [1, 2])
    with pytest.raises(error, match="`labels`.*" + message):
        store.batch_add(rows(3), labels)
    assert len(store) == 2 and store.add([1, 2, 3]) == 2


@pytest.mark.parametrize(("first", "second"), [([1, 2], ["a", "b"]), ("ab", [1, None])])
def test_labels_of_two_kinds_are_refused_and_nothing_is_added(first, second):
    store = new_store()
    store.batch_add(rows(2), list(first))
    with pytest.raises(TypeError, match="of one kind in one index.*integers|strings"):
        store.batch_add(rows(2), second)
    assert len(store) == 2


def test_items_without_labels_go_with_either_kind(tmp_path):
    for labels in (["a", None], [1, None]):
        store = new_store()
        keys = [*store.batch_add(rows(2)), *store.batch_add(rows(2), labels)]
        keys += [*store.batch_add(rows(1))]
        expected = [None, None, *labels, None]
        assert store.batch_get(keys)[1] == expected
        assert reloaded(store, tmp_path / str(labels[0])).batch_get(keys)[1] == expected


def test_strings_may_all_leave(tmp_path):
    store = new_store()
    keys = store.batch_add(rows(3), ["a", "b", None])
    store.remove(keys[:2])
    again = reloaded(store, tmp_path / "a")
    assert again.batch_get(keys[2:])[1] == [None]
    again.add([1, 2, 3], "c")


GENERATOR = np.random.default_rng(1)
ITEMS = {
    "pictures": GENERATOR.integers(0, 255, (4, 5, 5, 1), np.uint8),
    "ragged pictures": [GENERATOR.random((n, 2)).astype(np.float32) for n in range(4)],
    "ragged dtypes": [np.zeros(2, "<i2"), np.ones(2, ">f8"), np.ones(2), np.zeros(0)],
    "numbers": np.array([1.5, -0.0, np.nan, np.inf]),
    "numbers in a list": [1.5, math.inf, 2**70, True],
    "integers": np.array([2**62, -1, 0, 1]),
    "strings": ["a", "", "ü猫\0\ud800", "\n"],
    "array of strings": np.array(["a", "bcd", "", "é"]),
    "array of bytes": np.array([b"a", b"bcd", b"", b"\xff"]),
    "bytes": [b"", b"\0\1\xff", b"plain", b"\n"],
    "dates": np.array(["2020-01-01", "2021-02-03", "NaT", "1969-12-31"], "M8[D]"),
    "some": ["a", None, None, 4],
    "dicts": [{}, {"a": {1: [None, (1, b"2")]}, "": 0}, {"x": np.eye(2)}, {True: 1}],
    "nested": [[], (), [[1, (2, [3.5])], "x"], ((),)],
    "array-like lists": [["array", "<f4", [1], 0, 4], ["dict", []], ["bytes", 0], []],
    "numpy scalars": [np.float64(1.5), np.int8(-3), np.str_("é"), np.bool_(True)],
    "more scalars": [np.bytes_(b"a"), np.str_(""), np.datetime64("2020", "s"), 1.0],
    "complex": [np.complex64(1 + 2j), np.array([1j]), 0, np.array(3.0)],
    "structured shapes": [np.zeros((0, 3)), np.zeros((2, 0, 1)), np.array(0), 0],
    "float16": np.arange(8, dtype=np.float16).reshape(4, 2),
    "flags": np.array([True, False, True, True]),
    "fortran": np.asfortranarray(GENERATOR.random((4, 3, 2))),
    "many arrays": [[np.arange(i) for i in range(50)], {}, 0, None],
}


def same(a, b):
    """As `equal_data`, and of the same types and dtypes, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray | np.generic):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        return a.tobytes() == b.tobytes()
    return equal_data(a, b)


@pytest.mark.parametrize("compression", [True, False])
@pytest.mark.parametrize("kind", ITEMS)
def test_user_data_come_back_exactly(kind, compression, tmp_path):
    data = ITEMS[kind]
    store = new_store()
    keys = store.batch_add(rows(4), data=data)
    extra = store.batch_add(rows(3), data=data[1:])
    store.remove(extra[:1])
    store.save(tmp_path / "a", compression=compression)
    again = new_store()
    again.load(tmp_path / "a")
    for subject in (store, again):
        for key, item in zip([*keys, *extra[1:]], [*data, *data[2:]], strict=True):
            assert same(subject.get(key)[2], item), (item, subject.get(key)[2])
    with pytest.raises(KeyError):
        again.get(extra[0])


def test_user_data_of_many_kinds_share_a_store(tmp_path):
    store = new_store()
    keys, expected = [], []
    for data in (*ITEMS.values(), None):
        keys += store.batch_add(rows(4), data=data).tolist()
        expected += [None] * 4 if data is None else list(data)
    for subject in (store, reloaded(store, tmp_path / "a")):
        assert all(map(same, subject.batch_get(keys)[2], expected))


def test_tensors_are_kept_as_arrays():
    store = new_store()
    first = store.batch_add(rows(2), data=tf.constant([[1.0], [2.0]]))
    assert same(store.get(first[1])[2], np.array([2.0], np.float32))
    second = store.batch_add(rows(2), data=[{"x": tf.constant([1])}, tf.constant(2)])
    assert same(store.get(second[0])[2], {"x": np.array([1], np.int32)})
    third = store.batch_add(rows(2), data=tf.constant([["a", "b"], ["c", "d"]]))
    assert store.get(third[1])[2] == [b"c", b"d"]


def test_frames_and_columns_are_kept_by_row():
    import pandas

    frame = pandas.DataFrame({"page": [1, 2], "name": ["a", None]}, index=[9, 8])
    store = new_store()
    first = store.batch_add(rows(2), data=frame)
    assert store.get(first[0])[2] == {"page": 1, "name": "a"}
    second = store.batch_add(rows(2), data=frame["page"])
    assert [store.get(key)[2] for key in second] == [1, 2]


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (object(), "a object"),
        ({1, 2}, "a set"),
        ([{"deep": (print,)}], "a builtin_function_or_method"),
        ({1.5: 2}, "a dict with keys other than"),
        ({None: 2}, "a dict with keys other than"),
        (1j, "a complex"),
        (np.array([object()], object), "a object"),
        (np.zeros(1, [("a", "i4")]), "an array of dtype"),
    ],
    ids=range(8),
)
def test_what_cannot_be_kept_is_refused_by_its_type(item, named):
    store = new_store()
    store.batch_add(rows(1))
    with pytest.raises(TypeError, match=r"`data\[1\]` must be.*Received: " + named):
        store.batch_add(rows(2), data=["fine", item])
    assert len(store) == 1 and store.add([1, 2, 3], data="fine") == 1


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (["a"], ValueError, "one item for each.*1 items for 2"),
        (np.zeros((3, 2)), ValueError, "3 items for 2"),
        (np.array(3), ValueError, "0 items for 2"),
        ("ab", TypeError, "a sequence of 2 items.*a str"),
        ({"a": 1, "b": 2}, TypeError, "a dict"),
        ({"a", "b"}, TypeError, "a set"),
        (7, TypeError, "a int"),
        (iter([1, 2]), TypeError, "a list_iterator"),
    ],
    ids=range(8),
)
def test_data_of_another_length_or_kind_are_refused(data, error, message):
    store = new_store()
    with pytest.raises(error, match="`data` must .*" + message):
        store.batch_add(rows(2), data=data)
    assert len(store) == 0


def test_bad_embeddings_are_refused_and_nothing_is_added():
    store = new_store()
    store.batch_add(rows(2))
    for bad in (rows(2, dim=4), rows(2)[0], [[1, 2, math.nan]], [[1], [2, 3]]):
        with pytest.raises(ValueError, match="`embeddings` must"):
            store.batch_add(bad)
    with pytest.raises(ValueError, match=r"one embedding of shape \(3,\)"):
        store.add([1, 2])
    assert len(store) == 2


def test_nothing_of_the_user_is_shared():
    store = new_store()
    embeddings, labels = rows(2), np.array([1, 2])
    pictures, nested = np.ones((2, 3)), [{"a": [np.ones(2)]}, [1]]
    first = store.batch_add(embeddings, labels, pictures)
    second = store.batch_add(embeddings, labels, nested)
    before = kept(store, first)
    embeddings[:], labels[:], pictures[:] = 0, 0, 0
    nested[0]["a"][0][:], nested[1][0] = 0, 2
    assert str(kept(store, first)) == str(before)
    assert same(store.get(second[0])[2], {"a": [np.ones(2)]})
    assert store.get(second[1])[2] == [1]
    # Nor does changing what came out change what is in.
    embedding, _, picture = store.get(first[0])
    embedding[:], picture[:] = 5, 5
    store.get(second[1])[2].append(3)
    assert str(kept(store, first)) == str(before)
    assert store.get(second[1])[2] == [1]


def test_snapshots_do_not_change():
    store = new_store()
    keys = store.batch_add(rows(20), range(20), data=list(range(20)))
    snapshot = store.snapshot()
    before = snapshot.fetch(keys), snapshot.labels.copy(), snapshot.keys.copy()
    store.remove(keys[:5])
    store.batch_add(rows(300, seed=1), range(300), data=np.arange(300))
    store.replace_embeddings(rows(315, seed=2))
    store.reset()
    store.batch_add(rows(20, seed=3), ["a"] * 20, data=["x"] * 20)
    after = snapshot.fetch(keys), snapshot.labels, snapshot.keys
    np.testing.assert_array_equal(after[0].embeddings, before[0].embeddings)
    assert after[0].data == before[0].data == list(range(20))
    np.testing.assert_array_equal(after[1], before[1])
    np.testing.assert_array_equal(after[2], before[2])
    assert snapshot.vectors.n_alive == 20


def test_replaced_embeddings_keep_keys_labels_and_data(tmp_path):
    store = new_store()
    keys = store.batch_add(rows(5), range(5), data=list("abcde"))
    store.remove(keys[2:3])
    new = rows(4, dim=3, seed=9)
    store.replace_embeddings(new)
    keys = np.delete(keys, 2)
    for subject in (store, reloaded(store, tmp_path / "a")):
        embeddings, labels, data = subject.batch_get(keys)
        np.testing.assert_array_equal(embeddings, new)
        assert labels == [0, 1, 3, 4] and data == list("abde")


def test_removed_items_are_not_in_the_file(tmp_path):
    store = new_store()
    secret = np.array([[1.2345678, -8.7654321, 3.1415926]], np.float32)
    store.batch_add(rows(2), ["a", "b"], data=["x", "y"])
    key = store.batch_add(secret, ["secret label"], data=["secret data"])
    store.batch_add(rows(1), ["c"], data=["z"])
    store.save(tmp_path / "with", compression=False)
    store.remove(key)
    store.save(tmp_path / "without", compression=False)
    for name, there in (("with", True), ("without", False)):
        raw = b"".join(
            file.read_bytes() for file in (tmp_path / name).rglob("*") if file.is_file()
        )
        for text in (secret.tobytes(), b"secret label", b"secret data"):
            assert (text in raw) == there


@pytest.mark.parametrize("width", [None, 3])
def test_an_empty_store_is_saved_and_loaded(tmp_path, width):
    store = new_store()
    if width:
        store.batch_add(np.zeros((0, width)))
    again = reloaded(store, tmp_path / "a")
    assert len(again) == 0
    again.batch_add(rows(2), ["a", "b"])
    assert len(again) == 2


def test_all_items_removed_is_saved_and_loaded(tmp_path):
    store = new_store()
    store.remove(store.batch_add(rows(3), [1, 2, 3], data=np.ones((3, 2))))
    again = reloaded(store, tmp_path / "a")
    assert len(again) == 0
    again.add([1, 2, 3], 1, np.ones(2))


def test_loading_replaces_what_was_there_or_changes_nothing(tmp_path):
    store = new_store()
    store.batch_add(rows(3), ["a", "b", "c"])
    store.save(tmp_path / "a")
    other = new_store()
    other.batch_add(rows(7, dim=5), range(7))
    assert other.load(tmp_path / "a") == 3
    assert other.to_data_frame()["labels"].tolist() == ["a", "b", "c"]
    (tmp_path / "a" / "store" / "store.json").write_bytes(b"x")
    with pytest.raises(ValueError, match="damaged"):
        other.load(tmp_path / "a")
    assert len(other) == 3
    with pytest.raises(FileNotFoundError):
        other.load(tmp_path / "nowhere")


def test_a_data_frame_of_the_items():
    store = new_store()
    keys = store.batch_add(rows(4), ["a", "b", None, "d"], data=[1, 2, None, [4]])
    store.remove(keys[:1])
    frame = store.to_data_frame()
    assert list(frame.columns) == ["embeddings", "labels", "data"]
    assert frame.index.tolist() == keys[1:].tolist()
    assert frame["labels"].tolist() == ["b", None, "d"]
    assert frame["data"].tolist() == [2, None, [4]]
    np.testing.assert_array_equal(np.stack(frame["embeddings"]), rows(4)[1:])
    assert len(store.to_data_frame(2)) == 2
    assert len(new_store().to_data_frame()) == 0


def test_configuration_goes_through_keras_and_json():
    store = MemoryStore(name="mine", verbose=1)
    store.add([1, 2, 3])
    again = stores.get(json.loads(json.dumps(stores.serialize(store))))
    assert type(again) is MemoryStore and len(again) == 0
    assert again.get_config() == store.get_config() == {"name": "mine", "verbose": 1}


def test_stores_by_name():
    assert type(stores.get(" Memory ")) is MemoryStore
    store = MemoryStore()
    assert stores.get(store) is store
    with pytest.raises(ValueError, match=r"'nowhere'.*'memory'"):
        stores.get("nowhere")
    with pytest.raises(TypeError, match=r"`store` must be a name.*store=3"):
        stores.get(3)
    from tensorflow_similarity import search

    with pytest.raises(TypeError, match="configuration of a store"):
        stores.deserialize(search.serialize(search.get("linear", dim=2)))
