"""Conditions on metadata, labels and ids: as plain Python would choose the rows."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.stores import MemoryStore, rows_where

N = 40
COLOURS = ["red", "green", "blue", None]


def filled(texts=True):
    generator = np.random.default_rng(3)
    store = MemoryStore()
    records = [
        {
            "colour": COLOURS[generator.integers(4)],
            "price": None if i % 7 == 0 else float(generator.integers(10)) / 2,
            "year": None if i % 5 == 0 else int(generator.integers(2000, 2010)),
            "sold": [True, False, None][generator.integers(3)],
        }
        for i in range(N)
    ]
    labels = [None if i % 9 == 0 else int(generator.integers(4)) for i in range(N)]
    if texts:
        labels = [None if y is None else f"class {y}" for y in labels]
    ids = [f"item {i}" for i in range(N)]
    store.batch_add(np.ones((N, 2)), labels, ids=ids, metadata=records)
    rows = [
        {**record, "label": label, "id": name}
        for record, label, name in zip(records, labels, ids, strict=True)
    ]
    return store.snapshot(), rows


OPERATORS = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def meets(row, where):
    """The law, row by row."""
    return all(one(row, name, condition) for name, condition in where.items())


def one(row, name, condition):
    if name == "and":
        return all(meets(row, part) for part in condition)
    if name == "or":
        return any(meets(row, part) for part in condition)
    if name == "not":
        return not meets(row, condition)
    value = row[name]
    if isinstance(condition, list):
        return value in condition
    if not isinstance(condition, dict):
        return value == condition
    for sign, other in condition.items():
        if sign == "!=":
            holds = value != other
        elif sign in ("in", "not in"):
            holds = (value in other) == (sign == "in")
        else:
            holds = value is not None and OPERATORS[sign](value, other)
            holds = holds or (sign == "==" and other is None and value is None)
        if not holds:
            return False
    return True


SIGNS = st.sampled_from([*OPERATORS, "!="])
VALUES = {
    "colour": st.sampled_from(["red", "green", "pink", ""]),
    "price": st.sampled_from([0.0, 1.5, 2, 4.5, -1.0]),
    "year": st.sampled_from([1999, 2003, 2004.0, 2004.5, 2100]),
    "label": st.sampled_from(["class 1", "class 3", "x"]),
}
SIMPLE = st.one_of(
    *[
        st.one_of(
            values.map(lambda v, name=name: {name: v}),
            st.lists(st.one_of(values, st.none()), max_size=3).map(
                lambda v, name=name: {name: v}
            ),
            st.dictionaries(SIGNS, values, max_size=2).map(
                lambda v, name=name: {name: v}
            ),
            st.lists(values, max_size=2).map(
                lambda v, name=name: {name: {"not in": v}}
            ),
            st.just({name: None}),
            st.just({name: {"!=": None}}),
        )
        for name, values in VALUES.items()
    ],
    st.sampled_from([True, False, None]).map(lambda v: {"sold": v}),
    st.lists(st.sampled_from(["item 3", "item 39", "x"]), max_size=3).map(
        lambda v: {"id": v}
    ),
)
WHERE = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda v: {"and": v}),
        st.lists(inner, min_size=1, max_size=3).map(lambda v: {"or": v}),
        inner.map(lambda v: {"not": v}),
        st.tuples(inner, inner).map(lambda v: {**v[0], **v[1]}),
    ),
    max_leaves=6,
)
SNAPSHOT, ROWS = filled()


@settings(deadline=None)
@given(WHERE)
def test_chooses_the_rows_that_plain_python_would(where):
    expected = [meets(row, where) for row in ROWS]
    assert rows_where(SNAPSHOT, where).tolist() == expected


def test_labels_may_be_integers():
    snapshot, rows = filled(texts=False)
    for where in (
        {"label": 2},
        {"label": {"<": 2}},
        {"label": None},
        {"label": [0, 3]},
    ):
        assert rows_where(snapshot, where).tolist() == [meets(r, where) for r in rows]


def test_a_row_without_a_value_meets_no_comparison():
    store = MemoryStore()
    store.batch_add(np.ones((2, 2)), metadata={"p": [1, None]})
    for condition in ({">": float("-inf")}, {">=": -(2**63)}, {"<": 9}, {"==": 1}, [1]):
        assert rows_where(store.snapshot(), {"p": condition}).tolist() == [True, False]
    assert rows_where(store.snapshot(), {"p": [None, 5]}).tolist() == [False, True]
    assert rows_where(store.snapshot(), {"label": "x"}).tolist() == [False, False]
    assert rows_where(store.snapshot(), {"p": np.array(1)}).tolist() == [True, False]
    assert rows_where(store.snapshot(), {"p": {1, 2}}).tolist() == [True, False]
    assert rows_where(store.snapshot(), {"p": {"<": 10**400}}).tolist() == [True, False]
    with pytest.raises(TypeError, match="ids of this index are integers"):
        rows_where(store.snapshot(), {"id": "x"})


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ({"size": 3}, ValueError, r"'size'.*\['label', 'id', 'colour', 'price', "),
        ({"price": {"~": 3}}, ValueError, r"'price' by '~'.*\['==', '!='"),
        ({"price": "x"}, TypeError, "'price' holds floats.*'x', a str"),
        ({"year": True}, TypeError, "'year' holds integers.*a bool"),
        ({"colour": 3}, TypeError, "'colour' holds strings.*a int"),
        ({"sold": 1}, TypeError, "'sold' holds booleans.*a int"),
        ({"label": 3}, TypeError, "'label' holds strings.*a int"),
        ({"colour": {"in": "red"}}, TypeError, "'in' for 'colour' .* needs a list"),
        ({"colour": {"<": None}}, TypeError, "cannot be compared with None by '<'"),
        ({"and": {"year": 3}}, TypeError, "'and' in `where` must hold a list"),
        ({"or": []}, TypeError, "'or' in `where` must hold a list"),
        ({"id": {">": 3}}, TypeError, "'id' in `where` must be an id or a list"),
        ("year", TypeError, "`where` must be a dict"),
        ({"not": "year"}, TypeError, "`where` must be a dict"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_said(where, error, message):
    with pytest.raises(error, match=message):
        rows_where(SNAPSHOT, where)
