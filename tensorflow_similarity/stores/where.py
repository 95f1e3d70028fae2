"""Which rows a `where=` keeps: conditions on metadata, labels and ids, as a mask."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tensorflow_similarity._core.id_index import as_asked_ids, kind_of
from tensorflow_similarity._core.table import MetadataColumn
from tensorflow_similarity.stores.snapshot import StoreSnapshot
from tensorflow_similarity.types import NO_LABEL

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_OPERATORS = [*_COMPARISONS, "in", "not in"]


def rows_where(snapshot: StoreSnapshot, where: Mapping[str, Any]) -> np.ndarray:
    """Bool by row, shape (vectors.size,): the rows that meet every condition.

    `{"colour": "red"}` is equal, `{"colour": ["red", "blue"]}` one of, `{"colour":
    None}` without a value, `{"price": {">=": 10, "<": 20}}` a range; operators are
    ==, !=, <, <=, >, >=, in, not in. Several names must all hold. `{"or": [a, b]}`,
    `{"and": [a, b]}` and `{"not": a}` join conditions. "label" and "id" are names,
    too. A row without a value meets only `None`, `!=`, `not in` and `not`.

    Raises:
        ValueError: for an unknown column or operator; the message lists the known.
        TypeError: for a value that cannot be compared with the column's.
    """
    if not isinstance(where, Mapping):
        raise TypeError(
            "`where` must be a dict of conditions by column, {'colour': 'red'} for "
            f"example. Received: {where!r}."
        )
    mask = np.ones(snapshot.vectors.size, bool)
    for name, condition in where.items():
        mask &= _one(snapshot, name, condition)
    return mask


def _one(snapshot: StoreSnapshot, name: Any, condition: Any) -> np.ndarray:
    if name in ("and", "or"):
        if not isinstance(condition, list | tuple) or not condition:
            raise TypeError(
                f"{name!r} in `where` must hold a list of conditions. Received: "
                f"{condition!r}."
            )
        join = np.logical_and if name == "and" else np.logical_or
        masks = [rows_where(snapshot, part) for part in condition]
        return np.asarray(join.reduce(masks))
    if name == "not":
        return ~rows_where(snapshot, condition)
    if name == "id":
        return _ids(snapshot, condition)
    column = _column(snapshot, name)
    if not isinstance(condition, Mapping):
        many = isinstance(condition, list | tuple | set | frozenset | np.ndarray)
        many = many and not (isinstance(condition, np.ndarray) and not condition.ndim)
        condition = {"in" if many else "==": condition}
    mask = np.ones(snapshot.vectors.size, bool)
    for operator, value in condition.items():
        mask &= _compared(name, column, operator, value)
    return mask


def _column(snapshot: StoreSnapshot, name: Any) -> "MetadataColumn | _Labels":
    if name == "label":
        return _Labels(snapshot.labels)
    columns = snapshot.metadata.columns
    if name not in columns:
        known = ["label", "id", *sorted(columns)]
        raise ValueError(
            f"`where` names the column {name!r}. The index has {known}, and 'and', "
            "'or', 'not' join conditions."
        )
    return columns[name]


class _Labels:
    """The labels, read as a column."""

    def __init__(self, labels: np.ndarray):
        self.values = labels
        self.kind = "texts" if labels.dtype == object else "integers"

    @property
    def is_empty(self) -> bool:
        """Whether no item has a label."""
        return self.kind == "integers" and bool(self.missing.all())

    @property
    def missing(self) -> np.ndarray:
        none = None if self.kind == "texts" else NO_LABEL
        return np.asarray(self.values == none)


def _compared(
    name: str, column: "MetadataColumn | _Labels", operator: str, value: Any
) -> np.ndarray:
    if operator not in _OPERATORS:
        raise ValueError(
            f"`where` compares {name!r} by {operator!r}. The operators are "
            f"{_OPERATORS}."
        )
    if operator in ("!=", "not in"):
        opposite = "==" if operator == "!=" else "in"
        return ~_compared(name, column, opposite, value)
    if operator == "in":
        many = hasattr(value, "__iter__") and np.ndim(value) != 0
        if isinstance(value, str | bytes) or not (many or isinstance(value, set)):
            raise TypeError(
                f"'in' for {name!r} in `where` needs a list. Received: {value!r}."
            )
        return _one_of(name, column, list(value))
    if value is None:
        if operator != "==":
            raise TypeError(f"{name!r} cannot be compared with None by {operator!r}.")
        return column.missing
    if isinstance(column, _Labels) and column.is_empty:
        return np.zeros(len(column.values), bool)  # there is no label to compare
    value = _value_for(name, column.kind, value)
    compare = _COMPARISONS[operator]
    if isinstance(column, MetadataColumn) and column.kind == "strings":
        return _among_texts(column, compare, operator, value)
    if column.kind == "texts" and operator != "==":
        known = [text is not None and compare(text, value) for text in column.values]
        return np.array(known, bool)
    try:
        mask = np.asarray(compare(column.values, value), bool)
    except OverflowError:
        raise TypeError(
            f"{name!r} in `where` is compared with {value!r}, which is beyond 64 bits."
        ) from None
    # NaN compares false; what stands for a missing integer is a number, too.
    return mask if column.kind in ("floats", "texts") else mask & ~column.missing


def _one_of(
    name: str, column: "MetadataColumn | _Labels", values: list[Any]
) -> np.ndarray:
    """The rows whose value is among these, in one pass."""
    given = [value for value in values if value is not None]
    mask = np.zeros(len(column.values), bool)
    if len(given) < len(values):
        mask |= column.missing
    if not given or (isinstance(column, _Labels) and column.is_empty):
        return mask
    given = [_value_for(name, column.kind, value) for value in given]
    if isinstance(column, MetadataColumn) and column.kind == "strings":
        numbers = column.vocabulary.numbers
        given = [numbers[text] for text in given if text in numbers]
    if column.kind == "texts":
        wanted = set(given)
        return mask | np.array([text in wanted for text in column.values], bool)
    among = np.isin(column.values, np.array(given) if given else np.empty(0, np.int64))
    return mask | (among & ~column.missing)


def _among_texts(
    column: MetadataColumn,
    compare: Callable[[Any, Any], Any],
    operator: str,
    value: str,
) -> np.ndarray:
    """Texts are compared once each, rows by the number of their text."""
    vocabulary = column.vocabulary
    if operator == "==":
        return np.asarray(column.values == vocabulary.numbers.get(value, -2))
    holds = [bool(compare(text, value)) for text in vocabulary.texts]
    return np.asarray(np.array([*holds, False])[column.values])


def _value_for(name: str, kind: str, value: Any) -> Any:
    """The value as the column's arrays hold it."""
    if isinstance(value, np.generic) or getattr(value, "shape", None) == ():
        value = value.item()
    fits = {
        "integers": isinstance(value, int | float) and not isinstance(value, bool),
        "floats": isinstance(value, int | float) and not isinstance(value, bool),
        "booleans": isinstance(value, bool),
        "strings": isinstance(value, str),
        "texts": isinstance(value, str),
    }[kind]
    if not fits:
        kind = "strings" if kind == "texts" else kind
        raise TypeError(
            f"The column {name!r} holds {kind}; `where` compares it with {value!r}, "
            f"a {type(value).__name__}."
        )
    return value


def _ids(snapshot: StoreSnapshot, ids: Any) -> np.ndarray:
    if isinstance(ids, Mapping):
        raise TypeError("'id' in `where` must be an id or a list of ids.")
    asked = as_asked_ids(ids)
    if len(asked) and kind_of(asked) != kind_of(snapshot.ids):
        raise TypeError(
            f"The ids of this index are {kind_of(snapshot.ids)}; `where` asks for "
            f"{kind_of(asked)}."
        )
    rows = snapshot.rows_of_ids(asked)
    mask = np.zeros(snapshot.vectors.size, bool)
    mask[rows[rows >= 0]] = True
    return mask
