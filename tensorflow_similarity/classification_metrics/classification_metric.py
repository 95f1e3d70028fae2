"""The contract of classification metrics: from counts at thresholds to values."""

import inspect
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np


class ClassificationMetric(ABC):
    """A value at each threshold, from how many queries it tells right and wrong.

    A subclass writes `compute`; `trials` too if its value is a share of some queries.

    Args:
        name: str, the key of its values in results.
        canonical_name: str, by which `make_classification_metric` knows it.
        maximize: bool, whether larger is better. Defaults to True.
        increasing: bool, whether the value rises, by and large, as the threshold does.
            Defaults to True. Of the thresholds that meet a target one end is taken: the
            tightest that does where loosening helps, else the loosest.

    Example:

    >>> class Accepted(ClassificationMetric):
    ...     def __init__(self, name="accepted"):
    ...         super().__init__(name, "accepted", increasing=True)
    ...
    ...     def compute(self, tp, fp, tn, fn, count):
    ...         return (tp + fp) / count
    >>> Accepted().compute(np.array([3.0]), np.array([1.0]), 4, 0, 8).tolist()
    [0.5]
    """

    def __init__(
        self,
        name: str = "",
        canonical_name: str = "",
        maximize: bool = True,
        increasing: bool = True,
    ):
        self.name = name
        self.canonical_name = canonical_name
        self.maximize = maximize
        self.increasing = increasing

    @abstractmethod
    def compute(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """The value at each threshold.

        Args:
            tp, fp, tn, fn: counts, float64, shape (n_thresholds,).
            count: all queries.

        Returns:
            Shape (n_thresholds,).
        """

    def trials(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray | None:
        """How many queries the value is a share of; None if it is no share."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {
            "name": self.name,
            "canonical_name": self.canonical_name,
            "maximize": self.maximize,
            "increasing": self.increasing,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The metric that `get_config` described; other keys are left out."""
        takes = inspect.signature(cls).parameters
        return cls(**{key: value for key, value in config.items() if key in takes})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole` as float64, 0 where the whole is."""
    part, whole = np.broadcast_arrays(
        np.asarray(part, np.float64), np.asarray(whole, np.float64)
    )
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)
