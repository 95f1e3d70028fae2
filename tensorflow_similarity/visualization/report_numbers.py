"""The sections of a report that measure: retrieval and calibration."""

from typing import Any

import numpy as np

from tensorflow_similarity.evaluators import evaluate_retrieval
from tensorflow_similarity.visualization.plot_calibration import plot_calibration
from tensorflow_similarity.visualization.plot_retrieval_by_class import (
    plot_retrieval_by_class,
)
from tensorflow_similarity.visualization.report_page import (
    NO_LABELS,
    Section,
    counted,
    paragraph,
    table,
)
from tensorflow_similarity.visualization.report_plots import plot
from tensorflow_similarity.visualization.report_subject import Subject

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
        why = subject.why_no_fellow if len(subject.classes) else NO_LABELS
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
    n_queries, n_out = (int(metrics[name]) for name in ("n_queries", "n_lone_queries"))
    n_unlabelled = int((subject.codes[asked] < 0).sum())
    metrics["n_unlabelled_queries"] = float(n_unlabelled)
    caption = f"Means over {counted(n_queries - n_out, 'query', 'queries')}"
    whys = {"without a label": n_unlabelled, "alone in its class": n_out - n_unlabelled}
    out = ", ".join(f"{n:,} {why}" for why, n in whys.items() if n)
    if out:
        caption += f"; left out: {out}"
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
