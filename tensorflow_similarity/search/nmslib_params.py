"""The parameters that NMSLIB knows for a graph, checked before it sees them."""

from typing import Any

import numpy as np

# The least value of each parameter that NMSLIB knows.
_KNOWN: dict[str, dict[str, int]] = {
    "index_params": {
        "M": 2,
        "efConstruction": 1,
        "indexThreadQty": 1,
        "post": 0,
        "delaunay_type": 0,
        "maxM": 1,
        "maxM0": 1,
        "mult": 0,
        "skip_optimized_index": 0,
        "searchMethod": 0,
    },
    "query_params": {"efSearch": 1, "ef": 1},
}


def checked(name: str, given: dict[str, Any] | None) -> dict[str, Any]:
    """A copy of `index_params` or `query_params`.

    Raises:
        ValueError: for a name that NMSLIB does not know, or a value that it cannot
            use: most of these it would take, and answer worse or crash.
    """
    given, known = dict(given or {}), _KNOWN[name]
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(
            f"`{name}` has no {unknown[0]!r}. The known ones are {sorted(known)}."
        )
    for key, value in given.items():
        kinds: tuple[type, ...] = (int, np.integer)
        kinds = (*kinds, float) if key == "mult" else kinds
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if not is_number:
            whole = "" if key == "mult" else " whole"
            raise ValueError(
                f"`{name}[{key!r}]` must be a{whole} number. Received: {value!r}."
            )
        if value < known[key]:
            raise ValueError(
                f"`{name}[{key!r}]` must be at least {known[key]}. Received: {value!r}."
            )
    if given.get("skip_optimized_index"):
        raise ValueError(
            "`skip_optimized_index` can only be 0: NMSLIB reads no other graph without "
            "a second copy of the rows."
        )
    return given


def checked_target(target: float | None, query_params: dict[str, Any]) -> float | None:
    """`recall_target` as it was given.

    Raises:
        ValueError: for no float between 0 and 1, or beside `query_params`.
    """
    if target is None:
        return None
    if isinstance(target, bool) or not isinstance(target, float) or not 0 < target < 1:
        raise ValueError(
            "`recall_target` must be a float between 0 and 1, or None. Received: "
            f"recall_target={target!r}."
        )
    if query_params:
        raise ValueError(
            "`recall_target` sets efSearch, and `query_params` gives it: give one of "
            f"them. Received: recall_target={target!r}, query_params={query_params!r}."
        )
    return float(target)
