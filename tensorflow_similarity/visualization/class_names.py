"""What labels are called in pictures."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors


def as_label(label: Any, name: str = "example_class") -> int | str | None:
    """The label inside arrays and tensors of one element."""
    if label is None or isinstance(label, int | str):
        return label
    array = doors.as_array(label)
    if array.size != 1:
        raise ValueError(
            f"`{name}` must be one label. Received an array of shape {array.shape}."
        )
    item = array.item()
    if isinstance(item, bytes):
        return item.decode()
    if item != item:
        raise ValueError(f"`{name}` must be one label, or None. Received: NaN.")
    return int(item) if isinstance(item, float) and item.is_integer() else item


def class_name(
    label: int | str | None, class_mapping: Any, argument: str = "class_mapping"
) -> str:
    """What the mapping calls the label; the label itself where it does not know."""
    if class_mapping is None or label is None:
        return "no label" if label is None else str(label)
    if hasattr(class_mapping, "get"):
        return str(class_mapping.get(label, label))
    if not isinstance(class_mapping, list | tuple | np.ndarray):
        raise TypeError(
            f"`{argument}` must have `.get`, as a dict does, or be a list or tuple. "
            f"Received: {type(class_mapping).__name__}."
        )
    if isinstance(label, int) and 0 <= label < len(class_mapping):
        return str(class_mapping[label])
    return str(label)
