"""The projector's page: a Bokeh plot, the facts, styles and programs in one file."""

import base64
import html
import json
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.visualization.colours import Colouring, without_label
from tensorflow_similarity.visualization.points import Points
from tensorflow_similarity.visualization.thumbnails import Thumbnails

# In the order in which they build on each other.
_PROGRAMS = ("facts.js", "pictures.js", "classes.js", "details.js", "projector.js")
# Tools of the plot by the names that `active_drag` takes.
DRAG_TOOLS = ("box_zoom", "pan", "lasso_select", "box_select")
# On a canvas about so many points are drawn while they move, all when they rest.
_MOVING_POINTS = 1_000
# Share of the plot's side left free around the points.
_MARGIN = 0.04


def page(
    points: Points,
    coordinates: np.ndarray,
    neighbors: tuple[np.ndarray, np.ndarray],
    colourings: Sequence[Colouring],
    pictures: Thumbnails | None,
    notes: Sequence[str],
    *,
    title: str,
    image_size: int,
    pt_size: float,
    plot_size: int,
    active_drag: str | None,
) -> str:
    """The page as text; it asks nothing of any other place."""
    bokeh = optional_import("bokeh.resources", purpose="Drawing the projector")
    # Neither widgets nor formulas: a third of the size.
    inline = bokeh.Resources(mode="inline", components=["bokeh", "bokeh-gl"])
    facts = {
        "ids": [str(name) for name in points.ids],
        "labelled": points.labels is not None,
        "unlabelled": _unlabelled(points),
        "colourings": [_packed_colouring(colouring) for colouring in colourings],
        "columns": {
            name: [_text(item) for item in column]
            for name, column in points.columns.items()
        },
        "neighbors": _packed(neighbors[0].astype(np.int32)),
        "distances": _packed(neighbors[1].astype(np.float32)),
        "nNeighbors": int(neighbors[0].shape[1]),
        "pictures": None
        if pictures is None
        else {
            "uri": pictures.uri,
            "tile": pictures.tile,
            "columns": pictures.columns,
            "size": image_size,
        },
        "plot": _plot(coordinates, colourings, pt_size, plot_size, active_drag),
    }
    return Template(_file("projector.html")).substitute(
        title=html.escape(title),
        notes=html.escape(" ".join(notes)),
        style=_file("projector.css"),
        plot_size=plot_size,
        bokeh=inline.render_js(),
        facts=_json(facts),
        programs="\n".join(_file(name) for name in _PROGRAMS),
    )


def _plot(
    coordinates: np.ndarray,
    colourings: Sequence[Colouring],
    pt_size: float,
    plot_size: int,
    active_drag: str | None,
) -> Any:
    """The plot as Bokeh's JSON, which the page's own program puts in its place."""
    purpose = "Drawing the projector"
    models = optional_import("bokeh.models", purpose=purpose)
    plotting = optional_import("bokeh.plotting", purpose=purpose)
    embed = optional_import("bokeh.embed", purpose=purpose)

    first = colourings[0]
    source = models.ColumnDataSource(
        {
            "x": np.ascontiguousarray(coordinates[:, 0]),
            "y": np.ascontiguousarray(coordinates[:, 1]),
            "value": first.values,
        },
        name="points",
    )
    marks = models.ColumnDataSource({"x": [], "y": [], "size": []}, name="marks")
    colours = models.LinearColorMapper(
        palette=list(first.palette),
        low=first.low,
        high=first.high,
        nan_color="#999999",
        name="colours",
    )
    shown = models.IndexFilter(name="shown")
    x_range, y_range = _ranges(models, coordinates)
    tools = {
        "pan": models.PanTool(),
        "box_zoom": models.BoxZoomTool(match_aspect=True),
        "wheel_zoom": models.WheelZoomTool(),
        "lasso_select": models.LassoSelectTool(continuous=False),
        "box_select": models.BoxSelectTool(continuous=False),
        "reset": models.ResetTool(),
        "save": models.SaveTool(),
    }
    figure = plotting.figure(
        width=plot_size,
        height=plot_size,
        # The page makes its place a square, smaller in a narrow window.
        sizing_mode="stretch_both",
        x_range=x_range,
        y_range=y_range,
        output_backend="webgl",
        tools=list(tools.values()),
        toolbar_location="above",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color="#999999",
        lod_threshold=_MOVING_POINTS,
        lod_factor=max(2, len(coordinates) // _MOVING_POINTS),
        name="plot",
    )
    figure.toolbar.logo = None
    figure.toolbar.active_drag = tools.get(active_drag) if active_drag else None
    figure.toolbar.active_scroll = tools["wheel_zoom"]
    # Axes of such layouts have no unit.
    figure.axis.visible = False
    figure.grid.visible = False
    figure.scatter(
        "x",
        "y",
        source=source,
        view=models.CDSView(filter=shown),
        size=pt_size,
        line_color=None,
        fill_color={"field": "value", "transform": colours},
        nonselection_fill_alpha=0.08,
    )
    figure.scatter(
        "x",
        "y",
        source=marks,
        size="size",
        fill_color=None,
        line_color="#d55e00",
        line_width=2,
    )
    return _renumbered(embed.json_item(figure))


def _renumbered(item: Any) -> Any:
    """Bokeh's JSON with models numbered from 0, not from what was drawn before."""
    numbers: dict[str, str] = {}

    def note(part: Any) -> None:
        if isinstance(part, dict):
            if isinstance(part.get("id"), str):
                numbers.setdefault(part["id"], f"m{len(numbers)}")
            part = list(part.values())
        if isinstance(part, list):
            for inner in part:
                note(inner)

    def renamed(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: renamed(inner) for key, inner in part.items()}
        if isinstance(part, list):
            return [renamed(inner) for inner in part]
        return numbers.get(part, part) if isinstance(part, str) else part

    note(item)
    return renamed(item)


def _ranges(models: Any, coordinates: np.ndarray) -> tuple[Any, Any]:
    """A square around all points."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    middle = (low.astype(np.float64) + high) / 2
    half = float((high - low).max()) / 2 * (1 + 2 * _MARGIN) or 1.0
    ends = [(float(m) - half, float(m) + half) for m in middle]
    x_range, y_range = (models.Range1d(*end) for end in ends)
    return x_range, y_range


def _packed_colouring(colouring: Colouring) -> dict[str, Any]:
    return {
        "name": colouring.name,
        "values": _packed(colouring.values),
        "names": list(colouring.names),
        "palette": list(colouring.palette),
        "low": colouring.low,
        "high": colouring.high,
    }


def _unlabelled(points: Points) -> int:
    """The number of the class of those without a label; -1 if there is none such."""
    if points.labels is None:
        return -1
    missing = without_label(points.labels)
    classes = set(points.labels[~missing].tolist())
    return len(classes) if missing.any() else -1


def _packed(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def _text(item: Any) -> str:
    if item is None:
        return ""
    return f"{item:.6g}" if isinstance(item, float) else str(item)


def _json(facts: Any) -> str:
    """JSON that nothing in it can end, as "</script>" would."""
    text = json.dumps(facts, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _file(name: str) -> str:
    where = resources.files("tensorflow_similarity.visualization") / "page" / name
    return where.read_text("utf-8")
