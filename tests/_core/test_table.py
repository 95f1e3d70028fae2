"""Metadata: typed columns that grow, with missing values."""

import numpy as np
import pytest

from tensorflow_similarity._core.table import Table, as_metadata


def grown(*batches):
    table = Table()
    for n, values in batches:
        table = table.appended(as_metadata(values, n), n)
    return table


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 3], "integers"),
        ([1.5, None, 3], "floats"),
        ([True, None, False], "booleans"),
        (["a", None, "a"], "strings"),
        ([2**53 + 1, -(2**62), None], "integers"),
        (["", "ü", None], "strings"),
        ([np.int8(3), np.int64(4), None], "integers"),
        ([np.str_("x"), b"y", None], "strings"),
    ],
    ids=repr,
)
def test_values_come_back_and_missing_ones_are_none(values, kind):
    table = grown((2, None), (3, {"a": values}), (1, {"b": [1]}))
    assert table.columns["a"].kind == kind and table.size == 6
    plain = [v.decode() if isinstance(v, bytes) else v for v in values]
    rows = np.arange(6)
    assert table.plain(rows) == {"a": [None, None, *plain, None], "b": [None] * 5 + [1]}
    assert table.records(rows)[2]["a"] == plain[0] and table.records(rows)[0] == {}
    back = Table().appended(table.at(rows), 6)
    assert back.plain(rows) == table.plain(rows)
    assert table.columns["a"].missing.sum() == 4


def test_arrays_records_and_frames_are_read_alike():
    import pandas

    expected = {"n": [1, 2], "t": ["x", None]}
    records = [{"n": 1, "t": "x"}, {"n": 2}]
    for given in (
        expected,
        records,
        pandas.DataFrame(expected),
        {"n": np.array([1, 2]), "t": ["x", None]},
    ):
        assert grown((2, given)).plain(np.arange(2)) == expected
    assert grown((2, [None, {}])).columns == {}
    assert grown((2, {"a": np.array([True, False])})).plain(np.arange(2)) == {
        "a": [True, False]
    }


def test_integers_fit_among_floats_and_a_column_without_values_takes_any():
    table = grown((2, {"a": [0.5, None]}), (2, {"a": [2, None]}))
    assert table.plain(np.arange(4))["a"] == [0.5, None, 2.0, None]
    table = grown((2, {"a": [None, None]}), (1, {"a": ["x"]}))
    assert table.plain(np.arange(3))["a"] == [None, None, "x"]


def test_views_do_not_change():
    first = grown((2, {"a": ["x", "y"]}))
    first.appended(as_metadata({"a": ["z"]}, 1), 1)
    second = first.appended(as_metadata({"a": ["w"]}, 1), 1)
    assert first.plain(np.arange(2))["a"] == ["x", "y"]
    assert second.plain(np.arange(3))["a"] == ["x", "y", "w"]


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ({"a": ["x", "y"]}, TypeError, "'a' holds integers. Received: strings"),
        ({"a": [0.5, 1]}, TypeError, "'a' holds integers. Received: floats"),
        ({"a": [True, False]}, TypeError, "'a' holds integers. Received: booleans"),
        ({"a": [1, "x"]}, TypeError, r"values of one type.*\['int', 'str'\]"),
        ({"a": [1, True]}, TypeError, r"values of one type.*\['bool', 'int'\]"),
        ({"a": [[1], [2]]}, TypeError, "'a' must hold numbers.*a list"),
        ({"a": [1]}, ValueError, "'a' must hold one value for each of the 2"),
        ({"a": "xy"}, ValueError, "'a' must hold one value for each of the 2"),
        ({"a": 5}, ValueError, "'a' must hold one value for each of the 2"),
        ({"label": [1, 2]}, ValueError, "other than label, id, and, or, not"),
        ({1: [1, 2]}, ValueError, "Names of metadata columns must be strings"),
        ([{"a": 1}], ValueError, "one dict for each of the 2 items. Received: 1"),
        ([1, 2], TypeError, "a dict of columns, a list"),
        ("ab", TypeError, "a dict of columns, a list"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(batch, error, message):
    table = grown((2, {"a": [1, 2]}))
    with pytest.raises(error, match=message):
        table.appended(as_metadata(batch, 2), 2)
