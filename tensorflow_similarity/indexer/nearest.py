"""From queries to rows: filters, limits and groups around a search."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tensorflow_similarity.search import Search, SearchState
from tensorflow_similarity.stores import StoreSnapshot, rows_where
from tensorflow_similarity.types import NO_LABEL

# A group's further members cost places: so many times k are asked for at first.
_GROUP_FACTOR = 4
# Of so many neighbours at once the groups are told.
_ANSWERS_AT_A_TIME = 1_000_000


@dataclass(frozen=True, eq=False)
class IndexSnapshot:
    """Facts and structure that belong together, swapped as one."""

    facts: StoreSnapshot
    search: SearchState


@dataclass(frozen=True)
class Question:
    """What is asked of each query, checked.

    Args:
        k: neighbours wanted.
        where: conditions on metadata, labels and ids, None for all items.
        exact: True compares with every row; False lets the structure answer filters,
            too; None is exact for filters and the search's own way without.
        max_distance: neighbours beyond it are not found.
        group_by: "label" or a metadata column of which each value may come once.
    """

    k: int
    where: Mapping[str, Any] | None = None
    exact: bool | None = None
    max_distance: float | None = None
    group_by: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing but k is asked."""
        return (self.where, self.exact, self.max_distance, self.group_by) == (None,) * 4


def nearest(
    search: Search,
    snapshot: IndexSnapshot,
    queries: np.ndarray,
    question: Question,
    own_rows: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that answer each query, -1 where there are none left.

    Args:
        queries: float32, shape (n, dim), checked.
        own_rows: the row of each query itself, left out of its answer, shape (n,).

    Returns:
        rows, int64, and distances, float32, inf where no row is; both (n, m).

    Raises:
        ValueError: for unknown columns in `where` or `group_by`.
    """
    state, facts = snapshot.search, snapshot.facts
    if question.is_plain and own_rows is None:
        return search.find(state, queries, question.k)
    exact = bool(question.exact)
    if question.where is not None:
        allowed = rows_where(facts, question.where)
        state = replace(state, vectors=state.vectors.masked(allowed))
        exact = question.exact is not False

    def find(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return search.find(state, queries, k, exact=exact)

    more = 0 if own_rows is None else 1
    if question.group_by is None:
        rows, distances = find(queries, question.k + more)
        rows, distances = _without(rows, distances, own_rows, question.k)
    else:
        groups = _groups(facts, question.group_by)
        rows, distances = _one_a_group(
            find, state, queries, question.k, groups, own_rows
        )
    if question.max_distance is not None:
        rows = np.where(distances <= question.max_distance, rows, -1)
    return rows, np.where(rows >= 0, distances, np.float32(np.inf))


def _without(
    rows: np.ndarray, distances: np.ndarray, own_rows: np.ndarray | None, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first k of each row of answers, the query's own row left out."""
    if own_rows is None:
        return rows, distances
    is_own = rows == own_rows[:, None]
    # Where the query itself was not found, the last of the k + 1 goes.
    is_own[~is_own.any(axis=1), k:] = True
    order = np.argsort(is_own, axis=1, kind="stable")[:, : min(k, rows.shape[1])]
    rows = np.take_along_axis(np.where(is_own, -1, rows), order, 1)
    return rows, np.take_along_axis(distances, order, 1)


def _groups(facts: StoreSnapshot, name: str) -> np.ndarray:
    """A number for the group of each row; a row without a value is one of its own."""
    if name == "label":
        values = facts.labels
        if values.dtype == object:
            values = facts.label_numbers
            missing = values < 0
        else:
            missing = values == NO_LABEL
    elif name in facts.metadata.columns:
        column = facts.metadata.columns[name]
        values, missing = column.values, column.missing
    else:
        known = ["label", *sorted(facts.metadata.columns)]
        raise ValueError(f"`group_by` must be one of {known}. Received: {name!r}.")
    _, groups = np.unique(values, return_inverse=True)
    return np.where(missing, -1 - np.arange(len(groups)), groups)


def _one_a_group(
    find: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]],
    state: SearchState,
    queries: np.ndarray,
    k: int,
    groups: np.ndarray,
    own_rows: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of each group, of the k groups that are nearest."""
    n_alive = state.vectors.n_alive
    # No more groups can be found than there are.
    k = min(k, len(np.unique(groups[state.vectors.alive_rows()])))
    rows = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), np.inf, np.float32)
    asked, unfinished = _GROUP_FACTOR * (k + 1), np.arange(len(queries))
    while len(unfinished) and k:
        asked = min(asked, n_alive)
        lot, short = max(1, _ANSWERS_AT_A_TIME // asked), []
        for start in range(0, len(unfinished), lot):
            part = unfinished[start : start + lot]
            found, values = find(queries[part], asked)
            for i, query in enumerate(part.tolist()):
                own = -1 if own_rows is None else own_rows[query]
                candidates = np.flatnonzero((found[i] >= 0) & (found[i] != own))
                _, first = np.unique(groups[found[i][candidates]], return_index=True)
                chosen = candidates[np.sort(first)[:k]]
                rows[query, : len(chosen)] = found[i][chosen]
                distances[query, : len(chosen)] = values[i][chosen]
                if len(chosen) < k:
                    short.append(query)
        if asked >= n_alive:
            break
        unfinished, asked = np.array(short, np.int64), asked * _GROUP_FACTOR
    return rows, distances
