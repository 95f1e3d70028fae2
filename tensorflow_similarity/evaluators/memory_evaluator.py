"""The evaluator of existing programs: functions of this room as methods."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors, label_rows
from tensorflow_similarity.classification_metrics import ClassificationMetric
from tensorflow_similarity.evaluators.calibrate_distances import as_metrics, rounded
from tensorflow_similarity.evaluators.calibration import calibrate_lookups
from tensorflow_similarity.evaluators.evaluator import Evaluator
from tensorflow_similarity.evaluators.judged_distances import lookup_arrays
from tensorflow_similarity.matchers import (
    ClassificationMatch,
    count,
    make_classification_matcher,
)
from tensorflow_similarity.matchers.classification_match import as_thresholds
from tensorflow_similarity.types import CalibrationResults, Lookup, Lookups


class MemoryEvaluator(Evaluator):
    """Judges lookups in memory. It holds nothing.

    Example:

    >>> evaluator = MemoryEvaluator()
    >>> found = evaluator.evaluate_classification(
    ...     [1, 2, 3], [[1], [2], [1]], [[0.1], [0.3], [0.4]],
    ...     distance_thresholds=[0.1, 0.4], metrics=["precision"],
    ...     matcher="match_nearest",
    ... )
    >>> found["precision"].round(3).tolist(), found["distance"].tolist()
    ([1.0, 0.667], [0.1, 0.4])
    """

    def evaluate_retrieval(
        self,
        target_labels: Any,
        lookups: Lookups | Sequence[Sequence[Lookup]],
        retrieval_metrics: Sequence[Any],
        distance_rounding: int | None = 8,
    ) -> dict[str, np.ndarray]:
        """The value of each retrieval metric.

        Args:
            target_labels: of the queries, n integers or strings.
            lookups: their neighbours, as many as the largest k of the metrics.
            retrieval_metrics: `RetrievalMetric` objects.
            distance_rounding: decimals that distances are rounded to. None: not at all.

        Returns:
            Float arrays of shape () by the names of the metrics.

        Raises:
            ValueError: for fewer neighbours than the k of a metric, labels of another
                number, or something that is not a metric.
        """
        metrics = as_retrieval_metrics(retrieval_metrics)
        labels, distances = lookup_arrays(lookups)
        needed = max(metric.k for metric in metrics)
        fewest = int(np.isfinite(distances).sum(axis=1).min())
        if fewest < needed:
            raise ValueError(
                f"The metrics need {needed} neighbours of each query, and some have "
                f"{fewest}. Look up more, index more items, or take metrics of a "
                "smaller k."
            )
        own = doors.as_labels(target_labels, len(labels), "target_labels")
        arguments = {
            "query_labels": own,
            "lookup_labels": labels,
            "lookup_distances": rounded(distances, distance_rounding),
            "match_mask": label_rows.same(own[:, None], labels),
        }
        return {
            metric.name: np.asarray(metric.compute(**arguments), np.float64)
            for metric in metrics
        }

    def evaluate_classification(
        self,
        query_labels: Any,
        lookup_labels: Any,
        lookup_distances: Any,
        distance_thresholds: Any,
        metrics: Sequence[str | ClassificationMetric] = ("f1",),
        matcher: str | ClassificationMatch = "match_nearest",
        distance_rounding: int | None = 8,
        verbose: int = 1,
    ) -> dict[str, np.ndarray]:
        """The values of classification metrics at thresholds.

        Args:
            query_labels: n integers or strings, None for a query of no class.
            lookup_labels: of their neighbours, shape (n, k).
            lookup_distances: shape (n, k), inf where there is no neighbour.
            distance_thresholds: one or more numbers.
            metrics: names or `ClassificationMetric` objects.
            matcher: name or `ClassificationMatch`.
            distance_rounding: decimals that distances and thresholds are rounded to.
                Defaults to 8, as in `calibrate`. None: not at all.
            verbose: accepted as existing programs pass it.

        Returns:
            float64 arrays of shape (n_thresholds,): "distance", the thresholds
            ascending, and each metric by its name.

        Raises:
            ValueError: for shapes that do not belong together, NaN, or unknown names.
        """
        made = as_metrics(metrics)
        thresholds = np.sort(
            rounded(as_thresholds(distance_thresholds), distance_rounding)
        )
        judged = make_classification_matcher(matcher).judge(
            query_labels, lookup_labels, lookup_distances
        )
        counts = count(
            rounded(judged.distances, distance_rounding), judged.matches, thresholds
        )
        values = {m.name: np.asarray(m.compute(*counts), np.float64) for m in made}
        return {"distance": thresholds, **values}

    def calibrate(
        self,
        target_labels: Any,
        lookups: Lookups | Sequence[Sequence[Lookup]],
        thresholds_targets: Mapping[str, Any] | str | Sequence[str] | None = None,
        calibration_metric: str | ClassificationMetric = "f1",
        matcher: str | ClassificationMatch = "match_nearest",
        extra_metrics: Sequence[str | ClassificationMetric] = (),
        distance_rounding: int | None = 8,
        metric_rounding: int = 6,
        verbose: int = 1,
        **options: Any,
    ) -> CalibrationResults:
        """What `calibrate_lookups` does.

        Args:
            metric_rounding, verbose: accepted as existing programs pass them.

        The others as those of `calibrate_lookups`.
        """
        return calibrate_lookups(
            target_labels,
            lookups,
            thresholds_targets,
            calibration_metric,
            matcher,
            extra_metrics,
            distance_rounding=distance_rounding,
            **options,
        )


def as_retrieval_metrics(metrics: Any) -> list[Any]:
    """One or several retrieval metrics as a list.

    Raises:
        ValueError: for none, something that is not a metric, or two of one name.
    """
    made = [metrics] if hasattr(metrics, "compute") else list(metrics or ())
    wrong = [m for m in made if not (hasattr(m, "compute") and hasattr(m, "k"))]
    if wrong or not made:
        raise ValueError(
            "`retrieval_metrics` must be one or more RetrievalMetric objects, such as "
            f"`RecallAtK(k=1)`. Received: {wrong[0] if wrong else metrics!r}."
        )
    names = [metric.name for metric in made]
    if len(set(names)) < len(names):
        raise ValueError(
            "`retrieval_metrics` must have distinct names. Received: "
            f"{names}. Give one another name by `name=`."
        )
    return made
