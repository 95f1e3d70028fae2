"""Metrics of each class, as a table."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import

# Rows that a printed table has at most; the rest is counted.
_MOST_ROWS = 60


@dataclass(frozen=True, eq=False)
class ClassTable:
    """Metrics by class: what `evaluate_retrieval(..., per_class=True)` adds.

    Printing it shows a table of up to 60 classes; `to_data_frame` gives all, to sort.

    Args:
        classes: labels, shape (n_classes,), ascending.
        n_queries: queries of each class with a relevant item, int64.
        metrics: by name the mean over the class's queries, float64, shape
            (n_classes,); NaN for a class without such a query.
    """

    classes: np.ndarray
    n_queries: np.ndarray
    metrics: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.classes)

    def __str__(self) -> str:
        names = [str(label) for label in self.classes[:_MOST_ROWS].tolist()]
        columns = [["class", *names], ["n_queries", *map(str, self.n_queries.tolist())]]
        for name, values in self.metrics.items():
            columns.append([name, *(f"{value:.4f}" for value in values.tolist())])
        widths = [max(map(len, column[: len(names) + 1])) for column in columns]
        lines = [
            "  ".join(c[i].rjust(w) for c, w in zip(columns, widths, strict=True))
            for i in range(len(names) + 1)
        ]
        if len(self) > _MOST_ROWS:
            lines.append(f"... and {len(self) - _MOST_ROWS} more classes")
        return "\n".join(lines)

    def to_data_frame(self) -> Any:
        """A pandas `DataFrame` with a row for each class.

        Raises:
            ImportError: without pandas.
        """
        pandas = optional_import("pandas", purpose="A data frame")
        return pandas.DataFrame(
            {"class": self.classes, "n_queries": self.n_queries, **self.metrics}
        )


def class_sums(
    values: np.ndarray, query: np.ndarray, code: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, m) summed by class, (n_classes, m), and queries a class.

    Args:
        query, code: which query has which class, pair by pair.
    """
    sums = [np.bincount(code, column[query], n_classes) for column in values.T]
    return np.stack(sums, axis=1), np.bincount(code, minlength=n_classes)
