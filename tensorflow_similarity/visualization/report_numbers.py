"""The sections of a report that measure: retrieval, verification, calibration."""

from typing import Any

import numpy as np

from tensorflow_similarity.evaluators import (
    VerificationResults,
    evaluate_retrieval,
    evaluate_verification,
)
from tensorflow_similarity.evaluators.verification_results import FARS
from tensorflow_similarity.visualization.plot_calibration import plot_calibration
from tensorflow_similarity.visualization.plot_det import plot_det
from tensorflow_similarity.visualization.plot_distances import plot_distances
from tensorflow_similarity.visualization.plot_precision_recall import (
    plot_precision_recall,
)
from tensorflow_similarity.visualization.plot_retrieval_by_class import (
    plot_retrieval_by_class,
)
from tensorflow_similarity.visualization.plot_roc import plot_roc
from tensorflow_similarity.visualization.report_page import (
    Section,
    counted,
    paragraph,
    table,
)
from tensorflow_similarity.visualization.report_plots import plot
from tensorflow_similarity.visualization.report_subject import Subject

NO_LABELS = "no item has a label. Pass `labels`."
NO_PAIR = "no two items have the same label: every class is a class of one."
_WORDS = {
    "r_precision": "R-precision",
    "mean_average_precision_at_r": "mean average precision at R",
    "mean_reciprocal_rank": "mean reciprocal rank",
}
# Bars of the plot by class: those that fit a screen.
_MOST_CLASSES = 30


def retrieval(subject: Subject) -> Section:
    """Retrieval metrics with n, and the classes that are found worst."""
    head = ("retrieval", "Retrieval")
    if not len(subject.classes) or not subject.has_fellow.any():
        why = NO_LABELS if not len(subject.classes) else NO_PAIR
        return Section(*head, why=why)
    points, asked = subject.points, subject.asked
    queries: dict[str, Any] = {}
    if subject.sampled and points.labels is not None:
        queries = {
            "query_embeddings": points.embeddings[asked],
            "query_labels": points.labels[asked],
            "ids": np.arange(len(points)),
            "query_ids": asked,
        }
    metrics = evaluate_retrieval(
        points.embeddings,
        points.labels,
        **queries,
        distance=subject.distance,
        k=subject.ks,
        per_class=True,
        intervals=subject.confidence is not None,
        confidence=subject.confidence or 0.95,
        seed=subject.seed,
    )
    by_class = metrics.pop("per_class")
    n_queries, n_lone = (int(metrics[name]) for name in ("n_queries", "n_lone_queries"))
    caption = f"Means over {counted(n_queries - n_lone, 'query', 'queries')}"
    if n_lone:
        caption += f"; {n_lone:,} left out, without another item of their class"
    titles = ["metric", "value"]
    if subject.confidence is not None:
        titles += [f"{100 * subject.confidence:g} % interval, from", "to"]
    ends = ("", "_low", "_high") if subject.confidence is not None else ("",)
    rows = [
        [_words(name), *(f"{metrics[name + end]:.4f}" for end in ends)]
        for name in by_class.metrics
    ]
    body = paragraph(
        f"Each query ranks all other items ({len(points) - 1:,}) by exact search with "
        f"the {subject.distance.name} distance; those of its class are relevant."
    )
    body += table(caption, titles, rows)
    return Section(*head, body + _by_class(by_class, subject), numbers=metrics)


def _by_class(by_class: Any, subject: Subject) -> str:
    values = by_class.metrics["r_precision"]
    judged = np.flatnonzero(~np.isnan(values))
    order = judged[np.argsort(values[judged], kind="stable")]
    labels = by_class.classes.tolist()
    n_shown = min(len(order), _MOST_CLASSES)

    def draw(ax: Any) -> None:
        plot_retrieval_by_class(
            by_class,
            "r_precision",
            class_mapping=subject.class_mapping,
            max_classes=_MOST_CLASSES,
            ax=ax,
            title="Retrieval by class, the worst on top",
        )
        ax.set_xlabel(ax.get_xlabel().replace("r_precision", "R-precision"))

    worst = labels[order[0]]
    alt = (
        f"Bars of the R-precision of {counted(n_shown, 'class', 'classes')}, the worst "
        f"on top: {subject.name_of(worst)} with {values[order[0]]:.3g}."
    )
    rows = [
        [
            subject.name_of(labels[i]),
            f"{by_class.n_queries[i]:,}",
            *(f"{by_class.metrics[name][i]:.3f}" for name in ("precision_at_1",)),
            f"{values[i]:.3f}",
        ]
        for i in order[:_MOST_CLASSES]
    ]
    caption = "Retrieval by class, the worst first"
    if len(order) > n_shown:
        caption += f": {n_shown} of {len(order):,} classes"
    titles = ["class", "queries", "precision at 1", "R-precision"]
    return plot(draw, alt, (6.5, max(2.5, 1.3 + 0.24 * n_shown))) + (
        f"<details><summary>{caption}</summary>{table(caption, titles, rows)}</details>"
    )


def verification(subject: Subject) -> Section:
    """Same or not: numbers and curves of pairs."""
    head = ("verification", "Same or different")
    points, asked = subject.points, subject.asked
    codes = subject.codes[asked]
    sizes = np.bincount(codes[codes >= 0], minlength=1)
    if not len(subject.classes):
        return Section(*head, why=NO_LABELS)
    if np.count_nonzero(sizes) < 2:
        why = "all labelled items are of one class, so that no pair is different."
        return Section(*head, why=why)
    if sizes.max() < 2 or points.labels is None:
        return Section(*head, why=NO_PAIR)
    results = evaluate_verification(
        points.embeddings[asked], points.labels[asked], distance=subject.distance
    )
    threshold = subject.threshold
    numbers = results.summary() | _at(results, threshold)
    body = paragraph(
        "All pairs of labelled items; a pair is told the same when its distance is at "
        "most the threshold. FAR is the share of different pairs that are told the "
        "same, TAR that of the same pairs."
    )
    caption = (
        f"{counted(results.n_same, 'pair', 'pairs')} of the same class and "
        f"{results.n_different:,} of different classes"
    )
    n_left = len(codes) - int((codes >= 0).sum())
    if n_left:
        caption += f"; {counted(n_left, 'item', 'items')} without a label left out"
    titles = ["number", "value", "at distance"]
    body += table(caption, titles, _verification_rows(results, threshold))
    return Section(*head, body + _curves(results, threshold), numbers=numbers)


def _at(results: VerificationResults, threshold: float | None) -> dict[str, float]:
    """Both rates at the calibrated threshold, by name."""
    if threshold is None:
        return {}
    i = int(np.searchsorted(results.thresholds, threshold, side="right")) - 1
    rates = {"far": results.fpr, "tar": results.tpr}
    return {f"{name}_at_threshold": float(rate[i]) for name, rate in rates.items()}


def _verification_rows(
    results: VerificationResults, threshold: float | None
) -> list[list[str]]:
    always = results.n_different / (results.n_same + results.n_different)
    rows = [
        ["area under the ROC curve", _within(results.auc, results.auc_error), ""],
        [
            "equal error rate",
            _within(results.eer, results.eer_error),
            f"{results.eer_threshold:.4g}",
        ],
        [
            f"best accuracy (always saying different: {always:.4f})",
            _within(results.best_accuracy, results.best_accuracy_error),
            f"{results.best_accuracy_threshold:.4g}",
        ],
    ]
    for far in FARS:
        if far * results.n_different >= 1:
            value = _within(results.tar_at_far(far), results.tar_error(far))
            at = f"{results.threshold_at_far(far):.4g}"
            rows.append([f"TAR at a FAR of {far:g}", value, at])
    for name, rate in _at(results, threshold).items():
        words = f"{name[:3].upper()} at the calibrated threshold"
        rows.append([words, f"{rate:.4f}", f"{threshold:.4g}"])
    return rows


def _within(value: float, error: float) -> str:
    return f"{value:.4f}" + (f" ± {error:.1g}" if error else "")


def _curves(results: VerificationResults, threshold: float | None) -> str:
    mark = "eer" if threshold is None else threshold
    limit = results.eer_threshold if threshold is None else threshold
    kind = "equal error" if threshold is None else "calibrated"
    parts = [
        plot(
            lambda ax: plot_distances(
                results, threshold=limit, ax=ax, title=f"Distances, {kind} threshold"
            ),
            "Histograms of the distances of same and of different pairs; the dashed "
            f"line is the {kind} threshold, {limit:.4g}.",
            kind="png",
        ),
        plot(
            lambda ax: plot_roc(results, cutpoint=mark, ax=ax, title="ROC curve"),
            "True accept rate over false accept rate; the area under the curve is "
            f"{results.auc:.4f}.",
        ),
    ]
    if _has_errors(results):
        parts.append(
            plot(
                lambda ax: plot_det(results, cutpoint=_inner(results, mark), ax=ax),
                "False reject rate over false accept rate; the equal error rate is "
                f"{results.eer:.4f}.",
            )
        )
    parts.append(
        plot(
            lambda ax: plot_precision_recall(
                results, cutpoint=limit if np.isfinite(limit) else None, ax=ax
            ),
            "Precision over recall of pairs told the same, by threshold.",
        )
    )
    none = paragraph(
        "No threshold errs both ways, so that there is no detection error trade-off."
    )
    note = "" if _has_errors(results) else none
    return f'<div class="plots">{"".join(parts)}</div>{note}'


def _has_errors(results: VerificationResults) -> bool:
    return bool(_both(results).any())


def _both(results: VerificationResults) -> np.ndarray:
    """Thresholds at which both rates are neither 0 nor 1."""
    inner = [(rate > 0) & (rate < 1) for rate in (results.fpr, results.fnr)]
    both: np.ndarray = inner[0] & inner[1]
    return both


def _inner(results: VerificationResults, mark: Any) -> Any:
    """The mark, if it has a place on the curve: rates of 0 lie infinitely far."""
    at = results.eer_threshold if mark == "eer" else mark
    i = int(np.searchsorted(results.thresholds, at, side="right")) - 1
    return mark if _both(results)[i] else None


def calibration(subject: Subject) -> Section:
    """Cutpoints and what each threshold would give."""
    found = subject.calibration
    points = sorted(found.cutpoints.items(), key=lambda item: item[1]["distance"])
    numbers = {name: float(point["distance"]) for name, point in points}
    known = [
        name
        for name in found.thresholds
        if name not in ("distance", "value") and any(name in p for _, p in points)
    ]
    rows = [
        [
            str(name),
            f"{point['distance']:.4g}",
            *(f"{point[metric]:.4f}" if metric in point else "" for metric in known),
        ]
        for name, point in points
    ]
    titles = ["cutpoint", "distance", *(name.replace("_", " ") for name in known)]
    body = paragraph(
        "What the model was calibrated to, with the examples of its calibration, not "
        "with those of this report."
    )
    body += table("Cutpoints", titles, rows)
    words = ", ".join(f"{name} at {at:.4g}" for name, at in numbers.items())
    alt = f"Metrics over the distance up to which a neighbour counts; {words}."
    body += plot(lambda ax: plot_calibration(found, ax=ax), alt, (7, 4.5))
    return Section("calibration", "Calibration", body, numbers=numbers)


def _words(name: str) -> str:
    words = name.replace("ndcg", "NDCG").replace("_", " ")
    return _WORDS.get(name, words)
