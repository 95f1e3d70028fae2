"""Gains of the neighbours, less the later they come."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from tensorflow_similarity.retrieval_metrics.class_counts import ClassCountMetric

# Sums of 2**grade leave float64 not far above.
_LARGEST_GRADE = 1000


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class NDCG(ClassCountMetric):
    """Normalised discounted cumulative gain, with graded relevance.

    dcg@k  = sum over j <= k of gain(grade_j) / log2(j + 1)
    ndcg@k = dcg@k / the dcg@k of the best order

    Grades are the numbers of `match_mask`, 0 for not relevant; true and false are 1
    and 0. The best order is that of all columns that were given, so give more than k,
    best all relevant items; with `r` it is min(R, k) matches. A query whose best order
    has no gain has the value 0. The further arguments are those of `RetrievalMetric`.

    Args:
        r: items of each class in the index, a dict by label, for matches without
            grades. With `drop_closest_lookup`, R is one less. Defaults to None.
        clip_at_r: True takes R of each query in place of k; needs `r`. Defaults to
            False.
        gain: "linear", the grade, or "exponential", 2**grade - 1, which parts high
            grades further. Defaults to "linear".

    Raises:
        ValueError: for an unknown `gain`, `clip_at_r` without `r`, and what
            `RetrievalMetric` refuses; on a call, for grades other than 0 and 1 with
            `r`, negative ones, more matches than `r` says, or grades above 1000 with
            "exponential".

    Example:

    >>> metric = NDCG(k=2)
    >>> value = metric.compute(
    ...     query_labels=[0],
    ...     lookup_labels=[[1, 2, 3]],
    ...     lookup_distances=[[0.1, 0.2, 0.3]],
    ...     match_mask=[[1.0, 0.0, 3.0]],
    ... )
    >>> round(float(value), 4)  # 1 / (3 + 1 / log2(3))
    0.2754

    Reference:
        Jarvelin and Kekalainen, "Cumulated Gain-Based Evaluation of IR Techniques",
        TOIS 2002.
    """

    default_name = "graded_ndcg"
    default_canonical_name = "graded_ndcg@k"

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
        gain: str = "linear",
    ):
        super().__init__(
            name,
            canonical_name,
            k,
            distance_threshold,
            average,
            drop_closest_lookup,
            r,
            clip_at_r,
        )
        check_gain(gain)
        self.gain = gain

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {**super().get_config(), "gain": self.gain}

    def per_query(self, grades: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
        gains = gained(grades, self.gain)
        if self.r is None:
            best = -np.sort(-gains, axis=1)[:, : self.k]
            counted = gains[:, : self.k]
        else:
            self._check_binary(grades)
            relevant = self._relevant(query_labels)
            self._check_counts(grades, query_labels)
            counted = self._counted(gains, relevant)
            places = np.arange(counted.shape[1])
            best = (places < relevant[:, None]).astype(np.float64)
        found, ideal = discounted(counted), discounted(best)
        values = np.divide(found, ideal, out=np.zeros_like(found), where=ideal > 0)
        # Where a copy of the query was dropped, the query is one match too many.
        return np.minimum(values, 1.0)


def check_gain(gain: Any) -> None:
    """Refuses anything but the two kinds of gain."""
    if gain not in ("linear", "exponential"):
        raise ValueError(
            f"`gain` must be 'linear' or 'exponential'. Received: gain={gain!r}."
        )


def gained(grades: np.ndarray, gain: str) -> np.ndarray:
    """What grades are worth.

    Raises:
        ValueError: for grades whose exponential is beyond all numbers.
    """
    if gain == "exponential" and grades.max(initial=0.0) > _LARGEST_GRADE:
        raise ValueError(
            f"`gain='exponential'` takes grades of at most {_LARGEST_GRADE}, such as 0 "
            f"to 4. Received: grades up to {grades.max():g}. Take `gain='linear'`."
        )
    return np.exp2(grades) - 1.0 if gain == "exponential" else grades


def discounted(gains: np.ndarray) -> np.ndarray:
    """sum_j gain_j / log2(j + 1) of each row, shape (n_queries,)."""
    return gains @ (1.0 / np.log2(np.arange(2, gains.shape[1] + 2)))
