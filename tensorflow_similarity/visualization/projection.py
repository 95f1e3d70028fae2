"""A drawn projection: shown in a notebook or a browser, saved as one file."""

import html
import logging
import os
import tempfile
import webbrowser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.visualization.colours import Colouring
from tensorflow_similarity.visualization.layout import Layout
from tensorflow_similarity.visualization.pages import frame, write_page
from tensorflow_similarity.visualization.points import Points
from tensorflow_similarity.visualization.projector_page import page
from tensorflow_similarity.visualization.thumbnails import Thumbnails

logger = logging.getLogger(__name__)

# What stands above the plot, in pixels.
_HEADER = 110


@dataclass(eq=False)
class Projection:
    """What `projector` drew.

    The last expression of a notebook's cell shows itself; elsewhere call `show` or
    `save_html`. The page is one file with all it needs, made when it is first asked
    for, the same to the byte each time.

    Args:
        coordinates: float32, shape (n, 2), where the drawn points lie.
        layout: the fitted layout: `layout.transform(new_embeddings)` places further
            points, and `projector(new_embeddings, layout=projection.layout)` draws
            them.
        rows: int64, shape (n,), which of the given points are drawn, ascending.
        n_given: how many points were given.
        neighbors: int32, shape (n, k), the nearest others of each drawn point, by
            number among the drawn ones.
        neighbor_distances: float32, shape (n, k), ascending.
        notes: what the page says about itself: the layout, the sample, the pictures.
    """

    coordinates: np.ndarray
    layout: Layout
    rows: np.ndarray
    n_given: int
    neighbors: np.ndarray
    neighbor_distances: np.ndarray
    notes: tuple[str, ...]
    _points: Points
    _colourings: list[Colouring]
    _thumbnails: Thumbnails | None
    _options: dict[str, Any]

    @property
    def sampled(self) -> bool:
        """Whether fewer points are drawn than were given."""
        return len(self.rows) < self.n_given

    def save_html(self, path: str | Path) -> None:
        """Writes the page as one file that opens in a browser without a network.

        Args:
            path: where to; its folder must exist. A file there is replaced.

        Raises:
            FileNotFoundError: if there is no such folder.
            IsADirectoryError: if the path is a folder itself.
            PermissionError: if nothing may be written there.
        """
        write_page(path, self.html)

    def show(self) -> None:
        """Shows the page under a notebook's cell, or else in a browser.

        Without a browser a warning is logged that says what to do instead.
        """
        notebook = _notebook()
        if notebook is not None:
            self._shown_in = notebook.execution_count
            display = optional_import(
                "IPython.display", purpose="Showing the projector"
            )
            # Not `HTML`, which warns of every frame and shows as an object's address.
            shown = {"text/html": self._frame(), "text/plain": repr(self)}
            display.display(shown, raw=True)
            return
        handle, name = tempfile.mkstemp(prefix="projector_", suffix=".html")
        os.close(handle)
        self.save_html(name)
        if not _open(Path(name).as_uri()):
            logger.warning(
                "No browser could be opened for the projector. Its page is %s; "
                "`projection.save_html(path)` writes it where you want it, and "
                "`projector(..., show=False)` opens none.",
                name,
            )

    @cached_property
    def html(self) -> str:
        """The page."""
        return page(
            self._points,
            self.coordinates,
            (self.neighbors, self.neighbor_distances),
            self._colourings,
            self._thumbnails,
            self.notes,
            **self._options,
        )

    def _repr_html_(self) -> str:
        notebook = _notebook()
        shown = getattr(self, "_shown_in", None)
        if notebook is not None and shown == notebook.execution_count:
            # `show` drew it in this very cell.
            return html.escape(repr(self))
        return self._frame()

    def _frame(self) -> str:
        return frame(self.html, self._options["plot_size"] + _HEADER, "Projector")

    def __repr__(self) -> str:
        return (
            f"Projection(n_points={len(self.rows)}, n_given={self.n_given}, "
            f"layout={self.layout.method!r})"
        )


def _notebook() -> Any:
    """The notebook that runs this, None in a terminal or a script."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if hasattr(shell, "kernel") else None


def _open(uri: str) -> bool:
    # Without a screen a text browser would take the terminal over.
    has_screen = (
        os.name == "nt"
        or os.environ.get("DISPLAY")
        or os.environ.get("WAYLAND_DISPLAY")
    )
    if not has_screen and os.uname().sysname != "Darwin":
        return False
    return webbrowser.open(uri)
