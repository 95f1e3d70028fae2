"""Metrics that divide by how many items of the class there are."""

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tensorflow_similarity.retrieval_metrics.retrieval_metric import RetrievalMetric


class ClassCountMetric(RetrievalMetric):
    """What `PrecisionAtK`, `MapAtK` and `NDCG` share: the class sizes `r`.

    With `drop_closest_lookup` the query itself is one of its class: R is then
    r[label] - 1. A query with R = 0 has the value 0.

    Args:
        r: items of each class in the index, a dict by label, or (label, count) pairs.
            Defaults to None: not known.
        clip_at_r: True counts the first R neighbours of each query alone. Defaults to
            False.
    """

    def __init__(
        self,
        name: str = "",
        canonical_name: str = "",
        k: int = 5,
        distance_threshold: float = math.inf,
        average: str = "micro",
        drop_closest_lookup: bool = False,
        r: Mapping[Any, int] | Iterable[tuple[Any, int]] | None = None,
        clip_at_r: bool = False,
    ):
        super().__init__(
            name, canonical_name, k, distance_threshold, average, drop_closest_lookup
        )
        self.r = None if r is None else _as_counts(r)
        self.clip_at_r = bool(clip_at_r)
        if self.clip_at_r and self.r is None:
            raise ValueError(
                "`clip_at_r=True` needs `r`, the number of items of each class in the "
                "index, such as r={0: 100, 1: 80}. Received: r=None."
            )

    @property
    def name(self) -> str:
        """The key of results; with `clip_at_r` the bare name: k does not decide."""
        return self._name if self.clip_at_r else super().name

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        # Pairs: JSON would make strings of integer keys.
        pairs = None if self.r is None else [list(pair) for pair in self.r.items()]
        return {**super().get_config(), "r": pairs, "clip_at_r": self.clip_at_r}

    def _relevant(self, query_labels: np.ndarray) -> np.ndarray:
        """R of each query, float64, shape (n_queries,)."""
        counts = self.r or {}
        labels = query_labels.tolist()
        unknown = sorted({str(label) for label in labels if label not in counts})
        if unknown:
            raise ValueError(
                "`r` must hold the number of items of every class that is asked for. "
                f"Missing: {', '.join(unknown[:5])}."
            )
        dropped = int(self.drop_closest_lookup)
        return np.array([max(counts[x] - dropped, 0) for x in labels], np.float64)

    def n_needed(self) -> int:
        """How many neighbours to look up: with `clip_at_r` those of the largest R."""
        if not self.clip_at_r:
            return super().n_needed()
        return max([self.k, *(self.r or {}).values()])

    def _check_counts(self, grades: np.ndarray, query_labels: np.ndarray) -> None:
        """Refuses `r` where a query has more matches than it says there are."""
        if self.r is None:
            return
        # The query itself may be among them: a copy of it may have been dropped.
        most = np.array([self.r.get(x, 0) for x in query_labels.tolist()])
        matches = (grades[:, : self.k] > 0).sum(axis=1)
        if (matches > most).any():
            first = int((matches > most).argmax())
            label = query_labels.tolist()[first]
            raise ValueError(
                "`r` must hold how many items of each class are indexed. Received: "
                f"r[{label!r}]={most[first]}, and a query of this class has "
                f"{matches[first]} matches."
            )

    def _counted(self, grades: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        """Grades of the first k columns, with `clip_at_r` of the first R of each."""
        if not self.clip_at_r:
            return grades[:, : self.k]
        most = int(relevant.max())
        if most > grades.shape[1]:
            raise ValueError(
                f"{self.name} with `clip_at_r=True` needs R neighbours of each query. "
                f"Expected: {most} columns. Received: {grades.shape[1]}. Look up "
                f"{self.n_needed() + self.drop_closest_lookup}, or index more items."
            )
        places = np.arange(grades.shape[1])
        return np.where(places < relevant[:, None], grades, 0.0)


def _as_counts(r: Any) -> dict[Any, int]:
    try:
        pairs = list(r.items() if isinstance(r, Mapping) else r)
        counts = {_plain(label): operator.index(count) for label, count in pairs}
    except (TypeError, ValueError):
        raise ValueError(
            "`r` must be the number of items of each class, a dict by label. Received: "
            f"r={r!r}."[:300]
        ) from None
    if any(count < 0 for count in counts.values()):
        raise ValueError(
            f"`r` must hold counts of at least 0. Received: r={r!r}."[:300]
        )
    return counts


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
