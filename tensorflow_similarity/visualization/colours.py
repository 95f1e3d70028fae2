"""By what points are coloured: classes, numbers, right and wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.types import NO_LABEL

# Okabe and Ito's palette, which colour-blind readers tell apart, strongest on white
# and on black first.
_OKABE_ITO = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (240, 228, 66),
)
# Further rounds of the seven hues: shares of black (below 0) or white mixed in.
_SHADES = (0.0, -0.45, 0.45, -0.25, 0.25, -0.65, 0.65)
_GREY = "#999999"
_ONE_COLOUR = (0, 114, 178)
# Whole numbers of more values than that are shaded, fewer are classes.
_MOST_CLASSES = 20
NO_NAME = "no label"


@dataclass(frozen=True, eq=False)
class Colouring:
    """One entry of the list "colour by".

    Args:
        name: what stands in the list.
        values: float32, shape (n,): numbers of classes from 0, or measured numbers;
            NaN without one.
        names: of the classes; empty for measured numbers.
        palette: a colour for each class, or from the lowest to the highest number.
        low, high: what the first and last colour stand for.
    """

    name: str
    values: np.ndarray
    names: tuple[str, ...]
    palette: tuple[str, ...]
    low: float
    high: float


def by_label(
    labels: np.ndarray, class_mapping: Any, colorize: bool, pastel_factor: float
) -> Colouring:
    """Colours by class; the classes in ascending order, those without a label last.

    Raises:
        ValueError: if the mapping has no name for some of the labels.
        TypeError: if it is neither a list nor a dict.
    """
    missing = without_label(labels)
    classes, codes = np.unique(labels[~missing], return_inverse=True)
    names = names_of(classes.tolist(), class_mapping)
    values = np.full(len(labels), len(names), np.float32)
    values[~missing] = codes
    colours = palette(len(names), pastel_factor if colorize else None)
    if missing.any():
        names, colours = [*names, NO_NAME], [*colours, _GREY]
    return _of_classes("label", values, names, colours)


def by_error(name: str, wrong: np.ndarray, judged: np.ndarray) -> Colouring:
    """Right and wrong, and a third kind where nothing was judged."""
    values = np.where(judged, wrong.astype(np.float32), 2.0).astype(np.float32)
    names, colours = ["right", "wrong"], palette(2)
    if not judged.all():
        names, colours = [*names, NO_NAME], [*colours, _GREY]
    return _of_classes(name, values, names, colours)


def by_column(name: str, column: Sequence[Any]) -> Colouring | None:
    """Shades of a column of many numbers, classes of another.

    None for a column of texts that differs for every point: it is no class.
    """
    items = [item.item() if hasattr(item, "item") else item for item in column]
    given = [item for item in items if item is not None]
    numbers = [item for item in given if isinstance(item, int | float)]
    kinds = {type(item) for item in given}
    distinct = set(given) if all(_is_hashable(item) for item in given) else set()
    if len(numbers) == len(given) and (len(distinct) > _MOST_CLASSES or float in kinds):
        return _by_number(name, items)
    if not distinct or len(distinct) in (len(items), len(given)):
        return None
    classes = sorted(distinct, key=lambda item: (str(type(item)), item))
    codes = {item: code for code, item in enumerate(classes)}
    values = np.array([codes.get(item, len(classes)) for item in items], np.float32)
    names, colours = [str(item) for item in classes], palette(len(classes))
    if len(given) < len(items):
        names, colours = [*names, "none"], [*colours, _GREY]
    return _of_classes(name, values, names, colours)


def of_one(n: int) -> Colouring:
    """One colour for all of n points."""
    return _of_classes("nothing", np.zeros(n, np.float32), ["all"], palette(1))


def palette(n: int, pastel_factor: float | None = 0.0) -> list[str]:
    """n colours: seven hues, then the same darker and lighter.

    Up to 49 are distinct, and up to seven are told apart by colour-blind readers; the
    list beside the plot tells all apart.

    Args:
        pastel_factor: share of white mixed in, from 0 to 1; None for one colour only.
    """
    if pastel_factor is None:
        return [_hex(_ONE_COLOUR, 0.0)] * n
    found = []
    for i in range(n):
        base = _OKABE_ITO[i % len(_OKABE_ITO)]
        shade = _SHADES[i // len(_OKABE_ITO) % len(_SHADES)]
        end = 255.0 if shade > 0 else 0.0
        shaded = tuple(part + (end - part) * abs(shade) for part in base)
        found.append(_hex(shaded, pastel_factor))
    return found


def without_label(labels: np.ndarray) -> np.ndarray:
    """Where labels, as `doors.as_labels` gives them, are none."""
    if labels.dtype == object:
        return np.array([label is None for label in labels], bool)
    return labels == NO_LABEL


def names_of(classes: list[Any], class_mapping: Any) -> list[str]:
    """What the mapping calls these labels; all of them must be in it.

    Raises:
        ValueError, TypeError: as `by_label`.
    """
    if class_mapping is None:
        return [str(label) for label in classes]
    if isinstance(class_mapping, list | tuple | np.ndarray):
        known = dict(enumerate(class_mapping))
    elif hasattr(class_mapping, "get") and hasattr(class_mapping, "__contains__"):
        known = class_mapping
    else:
        raise TypeError(
            "`class_mapping` must be a list of names or a dict from labels to names. "
            f"Received: {type(class_mapping).__name__}."
        )
    unnamed = [label for label in classes if label not in known]
    if unnamed:
        more = "" if len(unnamed) <= 5 else f" and {len(unnamed) - 5} more"
        raise ValueError(
            f"`class_mapping` must name every label. It has {len(known)} names, and "
            f"none for the labels {unnamed[:5]}{more}. Add them, or leave it out."
            + _other_keys(unnamed, known)
        )
    return [str(doors.as_array(known[label]).item()) for label in classes]


def _of_classes(
    name: str, values: np.ndarray, names: list[str], colours: list[str]
) -> Colouring:
    high = len(names) - 0.5
    return Colouring(name, values, tuple(names), tuple(colours), -0.5, high)


def _by_number(name: str, items: list[Any]) -> Colouring | None:
    values = np.array([np.nan if item is None else item for item in items], np.float32)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    palettes = optional_import("bokeh.palettes", purpose="Drawing the projector")
    low, high = float(finite.min()), float(finite.max())
    # Of one value all are in the middle.
    margin = 0.0 if high > low else 0.5
    values[~np.isfinite(values)] = np.nan
    colours = tuple(palettes.Cividis256)
    return Colouring(name, values, (), colours, low - margin, high + margin)


def _other_keys(unnamed: list[Any], known: Any) -> str:
    """What to say where labels and keys are only written differently, as in JSON."""
    if all(str(label) in known for label in unnamed):
        return " Its keys are strings: `{int(key): name for key, name in ...}`."
    return ""


def _is_hashable(item: Any) -> bool:
    return isinstance(item, str | int | float | bool)


def _hex(colour: Sequence[float], pastel_factor: float) -> str:
    mixed = [part + (255 - part) * pastel_factor for part in colour]
    return "#" + "".join(f"{round(part):02x}" for part in mixed)
