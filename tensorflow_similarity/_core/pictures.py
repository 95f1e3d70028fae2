"""Pictures among user data: what one is, and how it becomes a PNG without a package."""

import base64
import struct
import zlib
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors

# A matrix with a shorter side is a row of numbers to a reader, not a picture.
_SMALLEST_SIDE = 4
# PNG's colour type by the number of channels.
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def as_picture(picture: Any, name: str) -> np.ndarray:
    """(height, width), or (height, width, 3 or 4) as uint8 or floats from 0 to 1.

    Floats in colour are stretched from their lowest to their highest value where one is
    below 0.

    Raises:
        ValueError: for anything but one picture of numbers.
    """
    try:
        array = doors.as_array(picture)
    except ValueError:
        array = np.array(None)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    good = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (3, 4))
    if not good or array.size == 0 or array.dtype.kind not in "fiub":
        shape = f"shape={array.shape}, dtype={array.dtype}"
        raise ValueError(
            f"{name} must be one picture of numbers, shape (height, width), (height, "
            f"width, 1) or (height, width, 3). Received: {shape}."
        )
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.ndim == 3:
        # Colours that are integers run to 255, in any integer type.
        return np.clip(array, 0, 255).astype(np.uint8)
    if array.ndim == 3:
        finite = array[np.isfinite(array)]
        if finite.size and finite.min() < 0:
            # Normalised for a network: where black and white were is not known.
            low, high = finite.min(), finite.max()
            return np.clip((array - low) / max(high - low, 1e-30), 0.0, 1.0)
        scale = 255.0 if finite.size and finite.max() > 1.0 else 1.0
        return np.clip(array / scale, 0.0, 1.0)
    return array


def as_drawable(picture: Any, name: str) -> np.ndarray:
    """What `as_picture` gives, if all of it can be drawn.

    Raises:
        ValueError: for anything but one picture of numbers, and for NaN in it.
    """
    array = as_picture(picture, name)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(
            f"{name} must not be NaN. Received {int(np.isnan(array).sum())} NaN in "
            f"{array.size} values. Draw it black: `np.nan_to_num(picture)`."
        )
    return array


def is_picture(data: Any) -> bool:
    """Whether data look like one picture: arrays, tensors and PIL's images do."""
    if isinstance(data, str | bytes | dict | list | tuple) or data is None:
        return False
    shape = getattr(data, "shape", None)
    if shape is None and not hasattr(data, "__array_interface__"):
        return False
    try:
        array = as_picture(data, "picture")
    except (TypeError, ValueError):
        return False
    return min(array.shape[:2]) >= _SMALLEST_SIDE


def data_uri(picture: np.ndarray, size: int) -> str:
    """What `as_picture` gave as the source of an HTML image.

    The longer side has fewer than 2 `size` pixels: larger ones are averaged in blocks.
    """
    small = _smaller(_as_bytes(picture), size)
    return "data:image/png;base64," + base64.b64encode(png(small)).decode("ascii")


def png(picture: np.ndarray) -> bytes:
    """A PNG file of uint8, shape (height, width) or (height, width, 3 or 4)."""
    height, width = picture.shape[:2]
    rows = picture.reshape(height, -1)
    colour = _COLOUR_TYPES[rows.shape[1] // width]
    # Each row begins with the number of its filter; 0 is none.
    lines = np.zeros((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 1:] = rows
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 6))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _as_bytes(picture: np.ndarray) -> np.ndarray:
    """Values from 0 to 255; those of one channel stretched to all of that, as drawn."""
    if picture.ndim == 3:
        high = 255 if picture.dtype.kind == "f" else 1
        return np.rint(np.nan_to_num(picture) * high).astype(np.uint8)
    values = picture.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = values[finite].min(), values[finite].max()
    scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny)
    return np.rint(255 * np.where(finite, scaled, 0.0)).astype(np.uint8)


def _smaller(picture: np.ndarray, size: int) -> np.ndarray:
    height, width = picture.shape[:2]
    step = max(height, width) // size
    if step < 2:
        return picture
    rows, columns = max(height // step, 1), max(width // step, 1)
    # A side shorter than a block is kept whole.
    block = (min(step, height), min(step, width))
    cut = picture[: rows * block[0], : columns * block[1]]
    blocks = cut.reshape(rows, block[0], columns, block[1], *picture.shape[2:])
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
