"""Plots as parts of a page: drawn for light and for dark ground, sharp at any size."""

import base64
import io
import warnings
from collections.abc import Callable
from html import escape
from typing import Any

from tensorflow_similarity._core.optional import optional_import

# For light and for dark ground.
_STYLES = ("default", "dark_background")
# PNG has two pixels for each of the page, for sharp screens and for print.
_DOTS_PER_INCH = 192
# What would change a file from run to run, or with the version, is left out.
_FACTS: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
_MIME = {"svg": "image/svg+xml", "png": "image/png"}
# Without a salt each file names its parts at random; text stays text, so that browsers
# take fonts that have the letters.
_SVG = {"svg.hashsalt": "tensorflow_similarity", "svg.fonttype": "none"}


def plot(
    draw: Callable[[Any], Any],
    alt: str,
    size: tuple[float, float] = (5.5, 4.6),
    kind: str = "svg",
) -> str:
    """A `<figure>`; the reader's browser takes the picture for its ground.

    Args:
        draw: draws on the axes that it is given.
        alt: what the plot shows, for who does not see it.
        size: width and height in inches.
        kind: "svg", or "png" for plots with hatches, which Matplotlib's SVG loses on
            a tinted ground.
    """
    light, dark = (_picture(draw, size, style, kind) for style in _STYLES)
    return (
        '<figure class="plot"><picture>'
        f'<source media="screen and (prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(alt)}" width="{size[0] * 96:.0f}" '
        f'height="{size[1] * 96:.0f}"></picture></figure>'
    )


def _picture(
    draw: Callable[[Any], Any], size: tuple[float, float], style: str, kind: str
) -> str:
    """The plot as a data URI; neither pyplot's figures nor the user's style change."""
    purpose = "Drawing the plots of a report"
    matplotlib = optional_import("matplotlib", purpose=purpose)
    styles = optional_import("matplotlib.style", purpose=purpose)
    figures = optional_import("matplotlib.figure", purpose=purpose)
    written = io.BytesIO()
    with (
        styles.context(["default", style]),
        matplotlib.rc_context(_SVG),
        warnings.catch_warnings(),
    ):
        # The letters are the browser's.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = figures.Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        # The page's own ground shows around the axes.
        figure.savefig(
            written,
            format=kind,
            dpi=_DOTS_PER_INCH if kind == "png" else "figure",
            facecolor="none",
            metadata=_FACTS[kind],
        )
    code = base64.b64encode(written.getvalue()).decode("ascii")
    return f"data:{_MIME[kind]};base64,{code}"
