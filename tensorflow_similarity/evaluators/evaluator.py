"""The contract of evaluators: objects that judge what an index answered."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity.classification_metrics import ClassificationMetric
from tensorflow_similarity.matchers import ClassificationMatch
from tensorflow_similarity.types import CalibrationResults, Lookup, Lookups


class Evaluator(ABC):
    """Judges lookups. `MemoryEvaluator` is one; subclass this for another."""

    @abstractmethod
    def evaluate_retrieval(
        self,
        target_labels: Any,
        lookups: Lookups | Sequence[Sequence[Lookup]],
        retrieval_metrics: Sequence[Any],
        distance_rounding: int | None = 8,
    ) -> dict[str, np.ndarray]:
        """The value of each retrieval metric by its name."""

    @abstractmethod
    def evaluate_classification(
        self,
        query_labels: Any,
        lookup_labels: Any,
        lookup_distances: Any,
        distance_thresholds: Any,
        metrics: Sequence[str | ClassificationMetric],
        matcher: str | ClassificationMatch,
        distance_rounding: int | None = 8,
        verbose: int = 1,
    ) -> dict[str, np.ndarray]:
        """The values of classification metrics at thresholds."""

    @abstractmethod
    def calibrate(
        self,
        target_labels: Any,
        lookups: Lookups | Sequence[Sequence[Lookup]],
        thresholds_targets: Mapping[str, Any] | str | Sequence[str] | None,
        calibration_metric: str | ClassificationMetric,
        matcher: str | ClassificationMatch,
        extra_metrics: Sequence[str | ClassificationMetric] = (),
        distance_rounding: int | None = 8,
        metric_rounding: int = 6,
        verbose: int = 1,
    ) -> CalibrationResults:
        """Distances up to which a neighbour is taken for the same."""
