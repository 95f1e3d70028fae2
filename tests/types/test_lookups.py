"""Lookups: equality, laziness, and reading as a list of lists."""

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest

from tensorflow_similarity.types import NO_LABEL, Details, Lookup, Lookups

EMBEDDING = np.array([1.0, 2.0], np.float32)


def lookup(**changes):
    fields = {
        "rank": 1,
        "distance": 0.5,
        "label": 3,
        "embedding": EMBEDDING,
        "data": np.ones((2, 2)),
    }
    return Lookup(**{**fields, **changes})


def test_equal_where_every_field_is():
    assert lookup() == lookup(embedding=EMBEDDING.copy(), data=np.ones((2, 2)))
    assert Lookup(1, 0.5) == Lookup(rank=1, distance=0.5)
    assert lookup(label="a") == lookup(label="a")


@pytest.mark.parametrize(
    "changes",
    [
        {"rank": 2},
        {"distance": 0.5 + 1e-12},
        {"label": 4},
        {"label": None},
        {"label": "3"},
        {"embedding": EMBEDDING + 1e-6},
        {"embedding": None},
        {"embedding": EMBEDDING[:1]},
        {"data": None},
        {"data": np.ones((2, 1))},
        {"data": np.zeros((2, 2))},
        {"data": "a"},
    ],
    ids=str,
)
def test_unequal_where_one_field_is(changes):
    assert lookup() != lookup(**changes)
    assert lookup(**changes) != lookup()


def test_nan_equals_nan_and_none_only_none():
    nan = np.array([math.nan, 1.0])
    assert lookup(embedding=nan, data=nan) == lookup(embedding=nan.copy(), data=+nan)
    assert lookup(data=math.nan) == lookup(data=math.nan)
    assert lookup(data=[{"a": nan}]) == lookup(data=[{"a": nan.copy()}])
    assert lookup(data=np.array(math.nan)) != lookup(data=None)
    assert lookup(data=None) != lookup(data=np.array(None))


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("cat", "cat", True),
        ("cat", "dog", False),
        (b"cat", b"cat", True),
        ({"a": [1, (2, None)]}, {"a": [1, (2, None)]}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1, 2], [1, 2, 3], False),
        ([np.ones(2), np.ones(3)], [np.ones(2), np.ones(3)], True),
        ([np.ones(2), np.ones(3)], [np.ones(2), np.zeros(3)], False),
        (np.array(["a", "b"]), np.array(["a", "b"]), True),
        (np.array(["a", "b"]), np.array(["a", "c"]), False),
        ({"a": 1}, [1], False),
        ("a", 1, False),
        ([], {}, False),
    ],
    ids=str,
)
def test_user_data_of_any_kind_are_compared(a, b, equal):
    assert (lookup(data=a) == lookup(data=b)) is equal
    assert (lookup(data=b) == lookup(data=a)) is equal


def test_string_tensors_are_compared():
    tf = pytest.importorskip("tensorflow")
    assert lookup(data=tf.constant(["a"])) == lookup(data=tf.constant(["a"]))
    assert lookup(data=tf.constant(["a"])) != lookup(data=tf.constant(["b"]))


def test_another_class_is_never_equal():
    class Mine(Lookup):
        pass

    assert lookup() != Mine(1, 0.5, 3, EMBEDDING, np.ones((2, 2)))
    assert lookup() != (1, 0.5, 3) and lookup() is not None and lookup() != 1


def test_a_lookup_may_change_and_has_no_hash():
    one = lookup()
    one.label = 9
    assert one.label == 9 and one != lookup()
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    assert copy.deepcopy(one) == one


class Records:
    """Embeddings and data that say their id; counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def fetch(self, ids):
        self.asked.append(ids.tolist())
        texts = [f"item {i}" for i in ids]
        return Details(np.stack([ids, ids], axis=1), texts, [None] * len(ids))


def some(records=None, labels=None):
    ids = np.array([[4, 2, 9], [7, 3, -1], [-1, -1, -1]])
    distances = np.array([[0, 1, 2], [0.5, 1, np.inf], [np.inf] * 3], np.float32)
    if labels is None:
        labels = np.array([[40, 20, 90], [NO_LABEL, 30, 0], [0, 0, 0]])
    return Lookups(ids, distances, labels, records=records)


def test_lookups_read_as_a_list_of_lists():
    records = Records()
    lookups = some(records)
    assert len(lookups) == 3 and not records.asked
    assert [len(row) for row in lookups] == [3, 2, 0]
    first = lookups[0][1]
    assert (first.rank, first.distance, first.label) == (2, 1.0, 20)
    assert first.data == "item 2" and first.embedding.tolist() == [2, 2]
    assert type(first.distance) is float and type(first.label) is int
    assert lookups[1][0].label is None
    assert lookups[-1] == [] and lookups[-3] == lookups[0]
    with pytest.raises(IndexError):
        lookups[3]
    assert [row[0].label for row in lookups[:1]] == [40]
    assert [len(row) for row in reversed(lookups)] == [0, 2, 3]
    assert lookups[0] in lookups and lookups.index(lookups[1]) == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(lookups)
    assert repr(lookups) == "Lookups(n_queries=3, k=3, found=5)"


def test_only_what_is_looked_at_is_fetched():
    records = Records()
    lookups = some(records)
    part = lookups[1:]
    assert isinstance(part, Lookups) and len(part) == 2 and not records.asked
    assert part[0][1].data == "item 3"
    assert records.asked == [[7, 3]]
    assert part[1] == [] and records.asked == [[7, 3]]


def test_going_through_labels_and_distances_fetches_nothing():
    records = Records()
    seen = [
        [(one.rank, one.id, one.distance, one.label) for one in row]
        for row in some(records)
    ]
    assert seen == [
        [(1, 4, 0.0, 40), (2, 2, 1.0, 20), (3, 9, 2.0, 90)],
        [(1, 7, 0.5, None), (2, 3, 1.0, 30)],
        [],
    ]
    assert records.asked == []


def test_neighbours_made_together_are_fetched_together_and_once():
    records = Records()
    first, second, _ = list(some(records))
    texts = ["item 4", "item 2", "item 9"]
    assert [one.data for one in first] == texts
    assert second[1].embedding.tolist() == [3, 3] and second[1].metadata is None
    assert second[1].embedding is second[1].embedding
    assert records.asked == [[4, 2, 9, 7, 3]]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_a_copy_of_a_neighbour_is_whole_and_leaves_the_index_behind(copied):
    neighbour = some(Records())[0][0]
    there = Lookup(1, 0.0, 40, np.array([4, 4]), "item 4", 4)
    assert copied(neighbour) == there and type(copied(neighbour)) is Lookup
    assert dataclasses.asdict(neighbour)["data"] == "item 4"
    assert repr(neighbour) == repr(there)


def test_a_neighbour_has_no_other_attribute():
    with pytest.raises(AttributeError, match="no attribute 'lable'"):
        _ = some(Records())[0][0].lable


def test_strings_as_labels():
    labels = np.array([["a", None, "c"], ["x", "y", None], [None] * 3], object)
    lookups = some(labels=labels)
    assert [[n.label for n in row] for row in lookups] == [
        ["a", None, "c"],
        ["x", "y"],
        [],
    ]
    assert lookups[0][0].data is None and lookups[0][0].embedding is None


def test_lookups_equal_lists_of_the_same_lookups():
    lookups = some(Records())
    plain = [list(row) for row in lookups]
    assert lookups == plain and plain == lookups and lookups == some(Records())
    assert lookups == tuple(plain)
    assert lookups != plain[:2] and lookups[:2] == plain[:2]
    plain[0][0].rank = 7
    assert lookups != plain
    assert lookups != "abc" and lookups != 3
    assert not lookups == "abc"


def test_found_alone_marks_a_missing_neighbour():
    lookups = some()
    assert lookups.found.tolist() == [[True] * 3, [True, True, False], [False] * 3]
    found = np.array([[False, True, False]])
    ids, zeros = np.array([[5, 6, 7]]), np.zeros((1, 3), np.float32)
    lookups = Lookups(ids, zeros, ids, found)
    assert [n.label for n in lookups[0]] == [6] and lookups[0][0].rank == 1


def test_no_queries_and_no_neighbours():
    for shape in ((0, 5), (4, 0)):
        empty = np.zeros(shape, np.int64)
        lookups = Lookups(empty, empty.astype(np.float32), empty)
        assert list(lookups) == [[]] * shape[0]
        assert lookups == [[]] * shape[0]


@pytest.mark.parametrize("index", [True, (0, 1), np.array([0, 1]), 1.0, "a", None])
def test_lookups_take_integers_and_slices_only(index):
    ids = np.zeros((2, 1), np.int64)
    lookups = Lookups(ids, np.zeros((2, 1), np.float32), ids)
    with pytest.raises(TypeError, match="indexed by an integer"):
        lookups[index]
    assert lookups[np.int64(1)] == lookups[-1] == lookups[0]
