"""The user's own ids: as a dictionary finds them, in sorted runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity._core import id_index
from tensorflow_similarity._core.id_index import IdIndex, as_asked_ids, as_own_ids

BATCHES = st.lists(st.lists(st.integers(-9, 30), unique=True, max_size=12), max_size=12)


def as_ids(numbers, texts):
    if texts:
        return np.array([f"n{i}" for i in numbers], object)
    return np.array(numbers, np.int64)


@settings(deadline=None)
@given(BATCHES, st.booleans(), st.booleans())
def test_finds_the_last_row_as_a_dictionary_does(batches, texts, colliding):
    with pytest.MonkeyPatch.context() as patch:
        if colliding:  # every text has one of three hashes
            own = id_index._sort_keys
            patch.setattr(id_index, "_sort_keys", lambda ids: own(ids) % 3)
        if colliding and not texts:
            return
        index, rows, n = IdIndex.of(as_ids([], texts)), {}, 0
        views = []
        for batch in batches:
            index = index.appended(as_ids(batch, texts))
            rows.update({number: n + i for i, number in enumerate(batch)})
            n += len(batch)
            views.append((index, dict(rows)))
        asked = list(range(-12, 34))
        for view, expected in views:
            found = view.rows_of(as_ids(asked, texts))
            assert found.tolist() == [expected.get(number, -1) for number in asked]


def test_ids_of_another_kind_are_not_there():
    assert IdIndex.of(as_ids([1, 2], True)).rows_of(np.array([1])).tolist() == [-1]
    assert IdIndex.of(as_ids([1, 2], False)).rows_of(as_ids([1], True)).tolist() == [-1]


def test_a_million_cost_twenty_bytes_each():
    index = IdIndex.of(np.arange(100_000)[::-1].copy())
    for start in range(100_000, 110_000, 1000):
        index = index.appended(np.arange(start, start + 1000))
    assert index.nbytes <= 20 * 110_000
    assert index.rows_of(np.array([0, 99_999, 109_999])).tolist() == [
        99_999,
        0,
        109_999,
    ]


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([1, 2, 1], ValueError, r"distinct in one call.*: \[1\]"),
        (["a", "b", "a"], ValueError, r"distinct in one call.*'a'"),
        ([1, "a", 2], TypeError, "all of one type"),
        ([1, None, 2], TypeError, "an id for each item. Received None at 1"),
        (["a", None, "b"], TypeError, "an id for each item. Received None at 1"),
        ([0.5, 1, 2], TypeError, "integers of 64 bits or strings"),
        ([1, 2], ValueError, r"each of the 3 items, shape \(3,\).*: \[1, 2\]"),
    ],
    ids=str,
)
def test_bad_ids_are_refused(ids, error, message):
    with pytest.raises(error, match="`ids` .*" + message):
        as_own_ids(ids, 3)


@pytest.mark.parametrize("ids", ["a", ["a"], np.array(["a"]), [b"a"]], ids=repr)
def test_texts_are_asked_alone_or_in_sequence(ids):
    assert as_asked_ids(ids).tolist() == ["a"]
    assert as_asked_ids(7).tolist() == as_asked_ids([7]).tolist() == [7]
    assert as_asked_ids([]).tolist() == []


@pytest.mark.parametrize(
    "ids", [[0.5], [None], [True], [[1, 2], [3]], [["a"], ["b", "c"]]]
)
def test_what_is_no_id_is_refused(ids):
    with pytest.raises(TypeError, match="`ids` must "):
        as_asked_ids(ids)
