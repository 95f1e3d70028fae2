"""A model that judges what it finds: thresholds, matches, metrics."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity import classification_metrics
from tensorflow_similarity._core import doors
from tensorflow_similarity._core.embedding import embed
from tensorflow_similarity.classification_metrics import (
    ClassificationMetric,
    make_classification_metric,
)
from tensorflow_similarity.evaluators import (
    MemoryEvaluator,
    calibrate_lookups,
    match_lookups,
)
from tensorflow_similarity.evaluators.calibrate_distances import (
    EXTRA_METRICS,
    as_metrics,
    check_options,
    rounded,
)
from tensorflow_similarity.evaluators.calibration_table import lines, row
from tensorflow_similarity.evaluators.judged_distances import lookup_arrays
from tensorflow_similarity.evaluators.matching import cutpoint_names, matcher_of
from tensorflow_similarity.evaluators.memory_evaluator import as_retrieval_metrics
from tensorflow_similarity.matchers import ClassificationMatch, count
from tensorflow_similarity.models.indexing import IndexingMixin
from tensorflow_similarity.types import CalibrationResults, Lookups

logger = logging.getLogger(__name__)


class JudgingMixin(IndexingMixin):
    """Looks up, asks an evaluator and returns, for `SimilarityMixin`."""

    @property
    def calibration(self) -> CalibrationResults | None:
        """What `calibrate` found for this index, None before."""
        indexer = self._similarity.indexer
        return None if indexer is None else indexer.calibration

    def calibrate(
        self,
        x: Any,
        y: Any = None,
        thresholds_targets: Mapping[str, Any] | str | Sequence[str] | None = None,
        k: int = 1,
        calibration_metric: str | ClassificationMetric = "f1",
        matcher: str | ClassificationMatch = "match_nearest",
        extra_metrics: Sequence[str | ClassificationMetric] = EXTRA_METRICS,
        rounding: int = 2,
        verbose: int = 1,
        *,
        per_class: bool = False,
        print_fn: Callable[[str], Any] = print,
        **options: Any,
    ) -> CalibrationResults:
        """Finds the distances up to which `match` takes a neighbour for the same.

        The model keeps them with its index, and saves them with it. They hold for these
        weights and these items. Examples that are in the index find themselves, at
        distance 0: calibrate with others, some of them of classes not indexed.

        Args:
            x: examples that are not in the index, as `lookup` takes them.
            y: their labels. Defaults to None: those that come with `x`.
            thresholds_targets: words such as "fpr<=0.001", "precision>=0.99" or "f1",
                one or several; or a mapping from names of cutpoints to values of the
                calibration metric, or to words. Defaults to None: "optimal" only.
            k: neighbours that the matcher sees.
            calibration_metric: what "optimal" is best at. Defaults to "f1".
            matcher: "match_nearest", "match_majority_vote",
                "match_distance_weighted_vote" or a `ClassificationMatch`. One of your
                own, or a metric, must be registered with Keras to be saved.
            extra_metrics: reported beside it.
            rounding: decimals of metrics in the table; results are not rounded.
            verbose: 1 prints a table of the cutpoints, 0 nothing.
            per_class: whether labels with enough queries get cutpoints of their own.
            print_fn: prints the lines of the table.
            options: `probability`, `distance_rounding`, `n_new`, `n_resamples`,
                `confidence` and `seed` of `evaluators.calibrate_distances`.

        Returns:
            `CalibrationResults`.

        Raises:
            IndexError: if the index is empty.
            ValueError: for labels of another number, all labels alike, unknown names,
                or a target in words that cannot be reached or supported.
            TypeError: for other `options`.
        """
        check_options(options)
        k = doors.as_k(k)
        lookups, labels = self._judged(x, y, k, verbose, "calibrate")
        results = calibrate_lookups(
            labels,
            lookups,
            thresholds_targets,
            calibration_metric,
            matcher,
            extra_metrics,
            k=k,
            per_class=per_class,
            **options,
        )
        indexer = self._similarity.existing_index()
        results.settings["distance"] = indexer.distance.name
        results.settings["items"] = indexer.extent()
        indexer.calibration = results
        if verbose:
            for line in lines(results, rounding):
                print_fn(line)
        return results

    def match(
        self,
        x: Any,
        cutpoint: str = "optimal",
        no_match_label: int | str = -1,
        k: int | None = None,
        matcher: str | ClassificationMatch | None = None,
        verbose: int = 0,
    ) -> "list[Any] | dict[str, list[Any]]":
        """The label of each example, or `no_match_label` if nothing is near enough.

        Args:
            x: examples, as `lookup` takes them.
            cutpoint: name of a cutpoint of the calibration, or "all". Defaults to
                "optimal".
            no_match_label: stands where there is no match.
            k, matcher: Defaults to None: those that `calibrate` was given.
            verbose: 1 shows progress after two seconds, 0 never.

        Returns:
            A list of integers or strings; with "all" a dict of such lists by the names
            of cutpoints.

        Raises:
            ValueError: without a calibration, or for an unknown cutpoint.
            IndexError: if the index is empty.
        """
        calibration = self._existing_calibration("match")
        cutpoint_names(calibration, cutpoint)
        k = calibration.settings.get("k", 1) if k is None else k
        lookups, _ = self._judged(x, None, doors.as_k(k), verbose, "match")
        return match_lookups(lookups, calibration, cutpoint, no_match_label, matcher, k)

    def evaluate_classification(
        self,
        x: Any,
        y: Any = None,
        k: int | None = None,
        extra_metrics: Sequence[str | ClassificationMetric] = EXTRA_METRICS,
        matcher: str | ClassificationMatch | None = None,
        verbose: int = 1,
        print_fn: Callable[[str], Any] = print,
    ) -> dict[str, dict[str, Any]]:
        """How well examples are told at each cutpoint, on data that did not calibrate.

        Cutpoints of single labels are not judged here, only those of all.

        Args:
            x: examples, as `lookup` takes them.
            y: their labels. Defaults to None: those that come with `x`.
            k, matcher: Defaults to None: those that `calibrate` was given.
            extra_metrics: beside the calibration metric.
            verbose: 1 prints a table, 0 nothing.
            print_fn: prints the lines of the table.

        Returns:
            By the names of cutpoints: dicts of "name", "distance" and each metric by
            its name, float arrays of shape (1,).

        Raises:
            ValueError: without a calibration, or for labels of another number.
            IndexError: if the index is empty.
        """
        what = "evaluate_classification"
        calibration = self._existing_calibration(what)
        k = calibration.settings.get("k", 1) if k is None else k
        derive = matcher_of(calibration, matcher)
        single = isinstance(extra_metrics, str | ClassificationMetric)
        extra = [extra_metrics] if single else list(extra_metrics or ())
        lookups, labels = self._judged(x, y, doors.as_k(k), verbose, what)
        names = list(calibration.cutpoints)
        judged = derive.judge(labels, *lookup_arrays(lookups))
        metrics = as_metrics([_calibration_metric(calibration), *extra])
        decimals = calibration.settings.get("distance_rounding")
        distances = rounded(judged.distances, decimals)
        results: dict[str, dict[str, Any]] = {}
        for name in names:
            limit = np.array([calibration.cutpoints[name]["distance"]])
            counts = count(distances, judged.matches, limit)
            values = {m.name: np.asarray(m.compute(*counts)) for m in metrics}
            results[name] = {**values, "distance": limit, "name": name}
        if verbose:
            print_fn("Classification")
            for name, values in results.items():
                plain = {
                    key: value if key == "name" else value[0]
                    for key, value in values.items()
                }
                print_fn(f"  {name:<20}{row(plain)}")
        return results

    def evaluate_retrieval(
        self, x: Any, y: Any = None, retrieval_metrics: Any = (), verbose: int = 1
    ) -> dict[str, np.ndarray]:
        """How well the index finds examples of the own class.

        Args:
            x: examples that are not in the index, as `lookup` takes them.
            y: their labels. None: those that come with `x`.
            retrieval_metrics: one or more `RetrievalMetric` objects.
            verbose: 1 shows progress after two seconds, 0 never.

        Returns:
            Float arrays of shape () by the names of the metrics.

        Raises:
            IndexError: if the index is empty.
            ValueError: for something that is not a metric, labels of another number, or
                fewer items than a metric needs.
        """
        metrics = as_retrieval_metrics(retrieval_metrics)
        # One's own metrics may have `k` alone.
        k = max(getattr(m, "n_needed", lambda m=m: m.k)() for m in metrics) + 1
        lookups, labels = self._judged(x, y, k, verbose, "evaluate_retrieval")
        return MemoryEvaluator().evaluate_retrieval(labels, lookups, metrics)

    def _existing_calibration(self, what: str) -> CalibrationResults:
        if self.calibration is None:
            raise ValueError(
                f"`{what}` needs thresholds, and the model is not calibrated. Call "
                "`model.calibrate(x, y)` first, with labelled examples that are not in "
                "the index."
            )
        self._warn_if_items_changed(self.calibration)
        return self.calibration

    def _warn_if_items_changed(self, calibration: CalibrationResults) -> None:
        """Warns once if the items are not those that were calibrated on."""
        state = self._similarity
        before, now = calibration.settings.get("items"), state.existing_index().extent()
        if before in (None, now) or state.warned_calibration is calibration:
            return
        state.warned_calibration = calibration
        logger.warning(
            "Items were added, replaced or removed since the model was calibrated "
            "(%d items then, %d now), so its thresholds may no longer reach what they "
            "promise. Call `model.calibrate(x, y)` again.",
            before[0],
            now[0],
        )

    def _judged(
        self, x: Any, y: Any, k: int, verbose: int, what: str
    ) -> tuple[Lookups, Any]:
        """Neighbours of examples, and the examples' labels."""
        if not self._similarity.index_size():
            raise IndexError(
                f"The index is empty. Call `model.index(x, y)` before `model.{what}`."
            )
        indexer = self._similarity.existing_index()
        self._warn_if_old(indexer)
        embedder = self._embedder(queries=True)
        embeddings, labels = embed(embedder, x, self._output, verbose=verbose)
        labels = labels if y is None else y
        if what != "match":
            if labels is None:
                raise ValueError(
                    f"`{what}` needs a label for each example. Give `y`, or batches of "
                    "`(x, y)`."
                )
            # Before the search, which may take long.
            labels = doors.as_labels(labels, len(embeddings), "y")
        return indexer.batch_lookup(embeddings, k, verbose), labels


def _calibration_metric(calibration: CalibrationResults) -> ClassificationMetric:
    if "metric" in calibration.objects:
        return make_classification_metric(calibration.objects["metric"])
    config = calibration.settings.get("metric", "f1")
    if isinstance(config, dict):
        return classification_metrics.deserialize(config)
    return make_classification_metric(config)
