"""Columns and user data as views that never change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorflow_similarity._core.columns import Column, Elsewhere, Items


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 40)), max_size=12))
def test_any_tree_of_appends_keeps_every_column(steps):
    """Each step appends to one of the views made so far."""
    views = [(Column(np.empty(0, np.int64)), [])]
    for i, (parent, n) in enumerate(steps):
        column, values = views[parent % len(views)]
        new = list(range(100 * i, 100 * i + n))
        views.append((column.append(np.array(new, np.int64)), values + new))
    for column, values in views:
        assert column.values.tolist() == values and column.size == len(values)


def test_objects_make_a_column_too():
    column = Column(np.empty(0, object)).append(np.array(["a", None], object))
    assert column.append(np.array(["b"], object)).values.tolist() == ["a", None, "b"]


def test_appending_is_cheap_in_the_long_run():
    column, buffers = Column(np.empty(0, np.int64)), set()
    for i in range(1000):
        column = column.append(np.array([i]))
        buffers.add(id(column._written))
    assert len(buffers) < 12


CHUNKS = st.sampled_from(["none", "list", "array", "matrix"])


@given(st.lists(st.tuples(st.integers(0, 7), CHUNKS, st.integers(0, 4)), max_size=12))
def test_any_tree_of_appends_keeps_every_item(steps):
    views = [(Items(), [])]
    for i, (parent, kind, n) in enumerate(steps):
        items, values = views[parent % len(views)]
        new = [100 * i + j for j in range(n)]
        chunk = {
            "none": None,
            "list": new,
            "array": np.array(new, np.int64),
            "matrix": np.array(new).reshape(-1, 1),
        }[kind]
        if kind == "none":
            new = [None] * n
        if kind == "matrix":
            new = [[value] for value in new]
        views.append((items.append(chunk, n), values + new))
    for items, values in views:
        got = [items[row] for row in range(items.size)]
        assert [x.tolist() if isinstance(x, np.ndarray) else x for x in got] == values
        assert items.is_empty() == all(value is None for value in values)
        for start, end in ((0, len(values)), (len(values) // 3, len(values) // 2)):
            part = [
                x.tolist() if isinstance(x, np.ndarray) else x
                for x in items.part(start, end)
            ]
            assert part == values[start:end]


def test_arrays_alike_come_back_as_one():
    items = Items().append(np.ones((2, 3)), 2).append(np.zeros((1, 3)), 1)
    assert items.part(1, 3).tolist() == [[1] * 3, [0] * 3]
    for other in (np.ones((1, 4)), np.ones((1, 3), np.float32), [1], None):
        mixed = items.append(other, 1).part(1, 4)
        assert isinstance(mixed, list) and len(mixed) == 3
    assert Items().part(0, 0) == []


@pytest.mark.parametrize("chunk", [None, np.ones((0, 2)), []])
def test_nothing_more_is_the_same(chunk):
    items = Items().append([1], 1)
    assert items.append(chunk, 0) is items


class Letters(Elsewhere):
    """Five items of a source that counts how often it is asked."""

    def __init__(self):
        self.source = self
        self.asked = []

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return self.fetch([i])[0]

    def place(self, i):
        return i

    def fetch(self, places):
        self.asked.append(places)
        return ["abcde"[place] for place in places]


def test_items_that_stand_elsewhere_are_fetched_together():
    letters = Letters()
    items = Items().append([0, 1], 2).append(letters, 5).append(None, 2)
    items = items.append(np.arange(3), 3)
    assert items.take([11, 3, 0, 8, 6, 1, 3]) == [2, "b", 0, None, "e", 1, "b"]
    assert letters.asked == [[1, 4, 1]] and items.take([]) == []
    parts = [(first, n, chunk is None) for first, n, chunk in items.chunks()]
    assert parts == [(0, 2, False), (2, 5, False), (7, 2, True), (9, 3, False)]
    assert list(Items().chunks()) == []
