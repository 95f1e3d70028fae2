"""A report that was made: shown in a notebook, saved as one file."""

import os
from dataclasses import dataclass
from typing import Any

from tensorflow_similarity.visualization.pages import frame, write_page

# Height under a notebook's cell, in pixels: a screen.
_HEIGHT = 800


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingReport:
    """What `report` made. The last expression of a notebook's cell shows itself.

    Args:
        html: the page, the same to the byte for the same arguments.
        numbers: by section ("retrieval", "verification", "calibration", "errors",
            "confused", "projector", "health") its numbers by name.
        missing: by section why it could not be made.
        notes: what the page says of samples, and of a `k` beyond the items.
    """

    html: str
    numbers: dict[str, dict[str, Any]]
    missing: dict[str, str]
    notes: tuple[str, ...]

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Writes the page as one file that opens in a browser without a network.

        Args:
            path: where to; its folder must exist. A file there is replaced, at once
                and only when the new one is whole.

        Raises:
            FileNotFoundError: if there is no such folder.
            IsADirectoryError: if the path is a folder itself.
            PermissionError: if nothing may be written there.
        """
        write_page(path, self.html)

    def _repr_html_(self) -> str:
        return frame(self.html, _HEIGHT, "Report")

    def __repr__(self) -> str:
        made = [name for name in self.numbers if name not in self.missing]
        return f"EmbeddingReport(sections={made}, missing={sorted(self.missing)})"
