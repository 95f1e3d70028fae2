"""What a report is about: the items, and what several of its sections need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.evaluators.class_codes import NO_CLASS, class_codes
from tensorflow_similarity.types import NO_LABEL, Details, Lookups
from tensorflow_similarity.visualization.class_names import class_name
from tensorflow_similarity.visualization.nearest_points import nearest_points
from tensorflow_similarity.visualization.points import Points
from tensorflow_similarity.visualization.report_page import NO_PAIR

# Neighbours of each item that are looked at, as in `class_confusion`.
N_NEIGHBORS = 10


@dataclass(frozen=True, eq=False)
class Subject:
    """Items, which of them are asked for their neighbours, and how all is to be judged.

    Args:
        given: the embeddings or the index, as the user gave them.
        points: the same, checked.
        asked: rows that are judged, ascending: all, or a sample.
        distance: by which items are near.
        threshold: a distance, or None.
        calibration: of this distance, or None.
        class_mapping, render, ks, confidence, layout, max_points, max_errors, seed: as
            the user gave them; `confidence` None for no intervals.
    """

    given: Any
    points: Points
    asked: np.ndarray
    distance: Distance
    threshold: float | None
    calibration: Any
    class_mapping: Any
    render: Callable[[Any], Any] | None
    ks: Sequence[int]
    confidence: float | None
    layout: Any
    max_points: int | None
    max_errors: int
    seed: int

    @property
    def sampled(self) -> bool:
        """Whether only some of the items are judged."""
        return len(self.asked) < len(self.points)

    @cached_property
    def _classes(self) -> tuple[np.ndarray, np.ndarray]:
        if self.points.labels is None:
            return np.full(len(self.points), NO_CLASS), np.empty(0, np.int64)
        (codes,), classes = class_codes(self.points.labels)
        return codes, classes

    @property
    def codes(self) -> np.ndarray:
        """Number of each item's class; below 0 without a label."""
        return self._classes[0]

    @property
    def classes(self) -> list[Any]:
        """Labels by number of the class."""
        labels: list[Any] = self._classes[1].tolist()
        return labels

    @cached_property
    def sizes(self) -> np.ndarray:
        """Items by number of the class."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.classes))

    @cached_property
    def has_fellow(self) -> np.ndarray:
        """Whether another item has the label of the asked one."""
        codes = self.codes[self.asked]
        found = np.zeros(len(codes), bool)
        found[codes >= 0] = self.sizes[codes[codes >= 0]] > 1
        return found

    def of_drawn(self, words: str) -> str:
        """Why a section is missing that all items, not these drawn, would allow."""
        drawn = f"the {len(self.asked):,} items drawn"
        return f"{words.format(drawn)} Raise `max_items`."

    @property
    def why_no_fellow(self) -> str:
        """Why no asked item has another one of its class."""
        if self.sizes.max() < 2:
            return NO_PAIR
        return self.of_drawn("none of {} has another item of its class.")

    @cached_property
    def lookups(self) -> Lookups:
        """The nearest others of the asked items, found exactly."""
        points = self.points
        rows, distances = nearest_points(
            points.embeddings, N_NEIGHBORS, self.distance, self.asked
        )
        labels = points.labels
        if labels is None:
            labels = np.full(len(points), NO_LABEL)
        found = np.ones(rows.shape, bool)
        return Lookups(rows.astype(np.int64), distances, labels[rows], found, self)

    def fetch(self, ids: np.ndarray) -> Details:
        """What galleries show of items, by row."""
        rows = ids.tolist()
        details = [self.data_of(row) for row in rows]
        return Details(self.points.embeddings[ids], details, [None] * len(rows))

    def data_of(self, row: int) -> Any:
        """An item's picture, or its texts and columns, or None."""
        if self.points.images is not None:
            return self.points.images[row]
        facts = {name: column[row] for name, column in self.points.columns.items()}
        return facts.get("data", facts) if len(facts) == 1 else facts or None

    def name_of(self, label: Any) -> str:
        """What a class is called."""
        return class_name(label, self.class_mapping)
