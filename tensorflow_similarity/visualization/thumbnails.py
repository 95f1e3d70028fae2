"""Small pictures of all points in one image file, the sprite sheet."""

import base64
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import

# Pixels of a sheet: a browser holds 4 bytes for each.
_MAX_PIXELS = 100_000_000
# Coloured sheets beyond this many pixels are JPEG: PNG of photographs takes 2 to 3
# bytes a pixel.
_LOSSLESS_PIXELS = 8_000_000
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Thumbnails:
    """A sprite sheet: picture i lies in row i // columns, column i % columns.

    Args:
        uri: the sheet as a data URI, PNG or JPEG.
        tile: side of the square that each picture fills, in pixels.
        columns: pictures in a row of the sheet.
        notes: what was changed to make them fit, one sentence each.
    """

    uri: str
    tile: int
    columns: int
    notes: tuple[str, ...] = ()


def thumbnails(images: Any, n: int, image_size: int) -> Thumbnails:
    """Encodes all pictures once, into one sheet.

    A picture is drawn into a square of `image_size` pixels, or of its own longer side
    if that is less: shrunk, and centred where it is not square.

    Args:
        images: n pictures, shape (height, width), or with 1, 3 or 4 channels:
            integers from 0 to 255, floats from 0 to 1, or all of them floats from 0
            to 255.
        image_size: at least 1.

    Raises:
        ValueError: for another number of pictures, something that is no picture,
            values out of range, or pictures of different ranges.
        ImportError: if Pillow is missing.
    """
    pictures = _checked(images, n)
    pil = optional_import("PIL.Image", purpose="Drawing thumbnails", package="pillow")
    scaled, mode = _scaled(pictures)
    sides = {picture.shape[:2] for picture in scaled}
    notes = []
    if len(sides) > 1:
        notes.append(f"Pictures of {len(sides)} sizes are drawn at one size.")
    tile = min(image_size, max(max(side) for side in sides))
    fitting = math.isqrt(_MAX_PIXELS // n)
    if tile > fitting:
        notes.append(f"So many pictures are drawn at {fitting} pixels, not {tile}.")
        tile = fitting
    columns = math.ceil(math.sqrt(n))
    sheet = _sheet(pil, scaled, mode, tile, columns)
    lossless = mode != "RGB" or sheet.size[0] * sheet.size[1] <= _LOSSLESS_PIXELS
    kind, options = ("png", {}) if lossless else ("jpeg", {"quality": _JPEG_QUALITY})
    written = io.BytesIO()
    sheet.save(written, kind, **options)
    code = base64.b64encode(written.getvalue()).decode("ascii")
    return Thumbnails(f"data:image/{kind};base64,{code}", tile, columns, tuple(notes))


def are_pictures(data: Sequence[Any]) -> bool:
    """Whether every one is an array that could be a picture."""
    return bool(len(data)) and all(
        isinstance(item, np.ndarray) and _is_picture(item) for item in data
    )


def _is_picture(array: np.ndarray) -> bool:
    good = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3, 4))
    return good and array.size > 0 and array.dtype.kind in "fiub"


def _checked(images: Any, n: int) -> list[np.ndarray]:
    """Pictures as arrays, each (height, width) or (height, width, 3 or 4)."""
    try:
        items: Any = doors.as_array(images)
        if items.dtype == object:
            raise ValueError
    except ValueError:  # of unequal sizes
        items = images
    if not hasattr(items, "__len__") or getattr(items, "ndim", 1) == 0:
        raise ValueError(
            "`images` must be a sequence of pictures. Received: "
            f"{type(images).__name__}."
        )
    if len(items) != n:
        raise ValueError(
            f"`images` must hold one picture for each embedding: {n}. Received: "
            f"{len(items)}."
        )
    pictures = []
    for i, item in enumerate(items):
        array = doors.as_array(item)
        if not _is_picture(array):
            raise ValueError(
                "`images` must be pictures of numbers, shape (height, width), "
                "(height, width, 1), (height, width, 3) or (height, width, 4). "
                f"Received: shape={array.shape}, dtype={array.dtype} at number {i}."
                f"{_cure(item, array)}"
            )
        pictures.append(array[..., 0] if array.shape[2:] == (1,) else array)
    return pictures


def _cure(item: Any, array: np.ndarray) -> str:
    """What makes a picture of something that is none."""
    if isinstance(item, str | os.PathLike):
        return (
            " Read the files first: `[np.asarray(PIL.Image.open(p)) for p in paths]`."
        )
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return " Put the channels last: `np.moveaxis(images, 1, -1)`."
    return ""


def _scaled(pictures: list[np.ndarray]) -> tuple[list[np.ndarray], str]:
    """Pictures as uint8 of one range and one mode: "L", "RGB" or "RGBA"."""
    lowest = np.array([picture.min() for picture in pictures], np.float64)
    highest = np.array([picture.max() for picture in pictures], np.float64)
    bad = ~((lowest >= 0) & (highest <= 255))  # NaN fails, too
    if bad.any():
        i = int(bad.argmax())
        if np.isnan(lowest[i]):
            raise ValueError(
                f"`images` must not be NaN. Received NaN at number {i}. Draw it black: "
                "`images=np.nan_to_num(images)`."
            )
        raise ValueError(
            "`images` must be integers from 0 to 255 or floats from 0 to 1. Received: "
            f"values from {lowest[i]:g} to {highest[i]:g} at number {i}. Rescale them: "
            "`images=(x - x.min()) / (x.max() - x.min())`."
        )
    is_float = np.array([picture.dtype.kind == "f" for picture in pictures])
    is_bool = np.array([picture.dtype.kind == "b" for picture in pictures])
    # A black picture is black in either range.
    to_one = (is_bool | (is_float & (highest <= 1))) & (highest > 0)
    to_255 = ~to_one & (highest > 0)
    if to_one.any() and to_255.any():
        i, other = int(to_one.argmax()), int(to_255.argmax())
        raise ValueError(
            "`images` must all have one range, 0 to 255 or 0 to 1. Received: values to "
            f"{highest[i]:g} at number {i} and to {highest[other]:g} at number "
            f"{other}. Multiply the former by 255."
        )
    factor = 255.0 if to_one.any() else 1.0
    channels = max(picture.shape[2] if picture.ndim == 3 else 1 for picture in pictures)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    return [
        _with_channels(_as_bytes(picture, factor), channels) for picture in pictures
    ], mode


def _as_bytes(picture: np.ndarray, factor: float) -> np.ndarray:
    if picture.dtype == np.uint8 and factor == 1.0:
        return picture
    return np.rint(picture.astype(np.float32) * factor).astype(np.uint8)


def _with_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    """The same picture, grey as colour or opaque where others need the channels."""
    if picture.ndim == 2 and channels == 1:
        return picture
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    if picture.shape[2] < channels:
        opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
        picture = np.concatenate([picture, opaque], axis=2)
    return picture


def _sheet(
    pil: Any, pictures: list[np.ndarray], mode: str, tile: int, columns: int
) -> Any:
    rows = -(-len(pictures) // columns)
    depth = pictures[0].shape[2:]
    sheet = np.zeros((rows * tile, columns * tile, *depth), np.uint8)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * tile, (i % columns) * tile
        height, width = picture.shape[:2]
        if max(height, width) > tile:
            scale = tile / max(height, width)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            picture = np.asarray(
                pil.fromarray(picture).resize(size, pil.Resampling.BOX)
            )
            height, width = picture.shape[:2]
        top, left = top + (tile - height) // 2, left + (tile - width) // 2
        sheet[top : top + height, left : left + width] = picture
    return pil.fromarray(sheet)
