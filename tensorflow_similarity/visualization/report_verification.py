"""The section of a report on pairs: same or different."""

from typing import Any

import numpy as np

from tensorflow_similarity.evaluators import (
    VerificationResults,
    evaluate_verification,
)
from tensorflow_similarity.evaluators.verification_results import FARS
from tensorflow_similarity.visualization.plot_det import plot_det
from tensorflow_similarity.visualization.plot_distances import plot_distances
from tensorflow_similarity.visualization.plot_precision_recall import (
    plot_precision_recall,
)
from tensorflow_similarity.visualization.plot_roc import plot_roc
from tensorflow_similarity.visualization.report_page import (
    NO_LABELS,
    NO_PAIR,
    Section,
    counted,
    paragraph,
    table,
)
from tensorflow_similarity.visualization.report_plots import plot
from tensorflow_similarity.visualization.report_subject import Subject


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
        if len(subject.classes) > 1:
            why = subject.of_drawn("no two of {} are of different classes.")
        return Section(*head, why=why)
    if sizes.max() < 2 or points.labels is None:
        why = NO_PAIR
        if subject.sizes.max() > 1:
            why = subject.of_drawn("no two of {} have the same label.")
        return Section(*head, why=why)
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
            _distance(results.eer_threshold),
        ],
        [
            f"best accuracy (always saying different: {always:.4f})",
            _within(results.best_accuracy, results.best_accuracy_error),
            _distance(results.best_accuracy_threshold),
        ],
    ]
    for far in FARS:
        if far * results.n_different >= 1:
            value = _within(results.tar_at_far(far), results.tar_error(far))
            at = _distance(results.threshold_at_far(far))
            rows.append([f"TAR at a FAR of {far:g}", value, at])
    for name, rate in _at(results, threshold).items():
        words = f"{name[:3].upper()} at the calibrated threshold"
        rows.append([words, f"{rate:.4f}", f"{threshold:.4g}"])
    return rows


def _distance(threshold: float) -> str:
    """A threshold; below all distances no pair is told the same."""
    return f"{threshold:.4g}" if threshold > -np.inf else "never the same"


def _within(value: float, error: float) -> str:
    return f"{value:.4f}" + (f" ± {error:.1g}" if error else "")


def _curves(results: VerificationResults, threshold: float | None) -> str:
    mark = "eer" if threshold is None else threshold
    limit = results.eer_threshold if threshold is None else threshold
    kind = "equal error" if threshold is None else "calibrated"
    # Below all distances there is no place for a line.
    line = limit if np.isfinite(limit) else None
    title, words = "Distances", ""
    if line is not None:
        title += f", {kind} threshold"
        words = f"; the dashed line is the {kind} threshold, {line:.4g}"
    parts = [
        plot(
            lambda ax: plot_distances(results, threshold=line, ax=ax, title=title),
            f"Histograms of the distances of same and of different pairs{words}.",
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
            lambda ax: plot_precision_recall(results, cutpoint=line, ax=ax),
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
