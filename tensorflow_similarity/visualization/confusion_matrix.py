"""Which classes are taken for which."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.types import NO_LABEL
from tensorflow_similarity.visualization.class_names import class_name
from tensorflow_similarity.visualization.drawing import axes_for, shortened

# Classes up to which every cell has its number, and names on each axis.
_MOST_NUMBERS, _MOST_NAMES = 25, 40
_NO_MATCH = "no match"


def confusion_matrix(
    y_pred: Any,
    y_true: Any,
    normalize: bool = True,
    labels: Any = None,
    title: str | None = "Confusion matrix",
    cmap: str = "Blues",
    show: bool = True,
    *,
    no_match_label: int | str = -1,
    ax: Any = None,
    fig_size: tuple[float, float] | None = None,
) -> tuple[Any, np.ndarray]:
    """Draws how often items of each class (row) are taken for each class (column).

        cm[i, j] = items of class i that were taken for class j
        normalized: divided by the items of class i; a row of 0 where there are none

    Classes are those that occur, ascending; with a list of names and labels from 0 on,
    every named class, so that row i is class i. `no_match_label`, what `model.match`
    answers where nothing is near enough, comes last as "no match" unless `labels` names
    it. An item without a label (None) counts as the class "no label".

    Up to 25 classes each cell has its number; above, colours go by the square root, so
    that rare confusions are seen. Above 40 only some classes are named, evenly.

    Args:
        y_pred: what was answered, n integers or strings. It comes first.
        y_true: what is true, n integers or strings.
        normalize: shares of each row instead of counts. Defaults to True: classes of
            unequal size then look alike.
        labels: names of the classes: a list by integer label, or anything with `.get`;
            for string labels a list of them, in the order to draw. Defaults to None.
        title: above the matrix.
        cmap: name of the Matplotlib colours. Defaults to "Blues", whose lightness says
            all; "cividis" is another such.
        show: whether to show the figure now.
        no_match_label: the label that means no class. Defaults to -1, as in `match`.
        ax: axes to draw on. Defaults to None: a new figure.
        fig_size: width and height of that in inches. Defaults to None: grows with the
            number of classes and their names, to 15 at most.

    Returns:
        The axes, and the matrix, float64 or int64, shape (n_classes, n_classes).

    Raises:
        ValueError: for unequal numbers of labels or none at all, or a string label that
            `labels` does not list.
        TypeError: for labels that are neither integers nor strings, or are integers on
            one side and strings on the other.

    Example:
        >>> _, cm = confusion_matrix([0, 1, 1], [0, 1, 0], normalize=False, show=False)
        >>> cm.tolist()
        [[1, 1], [0, 1]]
    """
    predicted, true = _as_pair(y_pred, y_true)
    classes = _classes(predicted + true, labels, no_match_label)
    place = {label: i for i, label in enumerate(classes)}
    cells = [
        place[a] * len(classes) + place[b] for a, b in zip(true, predicted, strict=True)
    ]
    cm = np.bincount(cells, minlength=len(classes) ** 2).reshape(len(classes), -1)
    if normalize:
        totals = cm.sum(axis=1, keepdims=True)
        cm = cm / np.maximum(totals, 1)

    names = [_name(label, labels, no_match_label) for label in classes]
    plt, ax = axes_for(ax, "Drawing a confusion matrix", fig_size or _size(names))
    colours = optional_import("matplotlib.colors", purpose="Drawing a confusion matrix")
    many = len(classes) > _MOST_NUMBERS
    norm = colours.PowerNorm(0.5 if many else 1.0, vmin=0, vmax=max(cm.max(), 1e-9))
    image = ax.imshow(cm, cmap=cmap, interpolation="nearest", norm=norm)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.04)
    bar.set_label("share of the true class" if normalize else "items")
    _name_axes(ax, names)
    if not many:
        _write_numbers(ax, image, cm)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    if title:
        ax.set_title(title, parse_math=False)
    if show:
        plt.show()
    return ax, cm


def _as_pair(y_pred: Any, y_true: Any) -> tuple[list[Any], list[Any]]:
    """Both as Python's own integers, strings and None."""
    columns = []
    n_labels = len(y_true) if hasattr(y_true, "__len__") else 0
    if not n_labels:
        raise ValueError("`y_true` must hold at least one label. Received none.")
    for labels, name in ((y_pred, "y_pred"), (y_true, "y_true")):
        if labels is None:
            raise ValueError(f"`{name}` must hold {n_labels} labels. Received: None.")
        column = doors.as_labels(labels, n_labels, name).tolist()
        columns.append([None if label == NO_LABEL else label for label in column])
    kinds = [{type(label) for label in column} - {type(None)} for column in columns]
    if all(kinds) and kinds[0] != kinds[1]:
        raise TypeError(
            "`y_pred` and `y_true` must be of one kind. Received: y_pred are "
            f"{_kind(kinds[0])}, y_true are {_kind(kinds[1])}."
        )
    return columns[0], columns[1]


def _kind(kinds: set[type]) -> str:
    return "strings" if kinds == {str} else "integers"


def _classes(found: list[Any], labels: Any, no_match_label: Any) -> list[Any]:
    """The classes in the order they are drawn: no match and no label last."""
    occurring = set(found) - {None}
    last = [no_match_label] if no_match_label in occurring else []
    regular = sorted(occurring - set(last))
    listed = list(labels) if _is_list(labels) else []
    if listed and all(isinstance(label, int) for label in regular):
        if not regular or 0 <= regular[0] <= regular[-1] < len(listed):
            regular = list(range(len(listed)))
            last = [label for label in last if label not in regular]
    elif listed:
        names = [str(name) for name in listed]
        unknown = [label for label in regular if label not in names]
        if unknown:
            raise ValueError(
                "`labels` must list every class. Received labels without "
                f"{unknown[:5]!r}{' and others' if len(unknown) > 5 else ''}."
            )
        last = [label for label in last if label not in names]
        regular = names
    return regular + last + ([None] if None in found else [])


def _is_list(labels: Any) -> bool:
    return isinstance(labels, list | tuple | np.ndarray)


def _name(label: Any, labels: Any, no_match_label: Any) -> str:
    if isinstance(label, str) and _is_list(labels) and label in list(labels):
        return label
    name = class_name(label, labels, "labels")
    return _NO_MATCH if label == no_match_label and name == str(label) else name


def _size(names: list[str]) -> tuple[float, float]:
    """Width and height in inches, with room for the names on two sides."""
    matrix = float(np.clip(0.4 * len(names), 2.5, 11))
    beside = 0.6 + 0.085 * max(len(shortened(name)) for name in names)
    return matrix + beside + 1.2, matrix + beside + 0.4


def _name_axes(ax: Any, names: list[str]) -> None:
    step = -(-len(names) // _MOST_NAMES)
    places = list(range(0, len(names), step))
    shown = [shortened(names[i]) for i in places]
    upright = len(names) > 10 or max(map(len, shown)) > 6
    size = "medium" if len(names) <= 20 else "x-small"
    turned = {"rotation": 90, "va": "top"} if upright else {}
    ax.set_xticks(places, shown, fontsize=size, parse_math=False, **turned)
    ax.set_yticks(places, shown, fontsize=size, parse_math=False)


def _write_numbers(ax: Any, image: Any, cm: np.ndarray) -> None:
    """Each cell's number, in black or white, whichever its colour lets stand out."""
    size = "medium" if len(cm) <= 12 else "xx-small"
    for (i, j), value in np.ndenumerate(cm):
        red, green, blue, _ = image.cmap(image.norm(value))
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        text = f"{value:.2f}" if cm.dtype.kind == "f" else f"{value:,}"
        # Zeros say little and are many.
        alpha = 1.0 if value else 0.4
        ax.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color="black" if light else "white",
            alpha=alpha,
        )
