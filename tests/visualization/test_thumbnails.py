"""The sprite sheet, decoded and cut again."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tensorflow_similarity.visualization.thumbnails import thumbnails


def picture(*shape, seed=0):
    return np.random.default_rng(seed).integers(1, 256, shape).astype("uint8")


def tiles(images, image_size=64):
    """The pictures as the page cuts them, and the sheet's facts."""
    found = thumbnails(images, len(images), image_size)
    code = found.uri.partition("base64,")[2]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(code))))
    cut = []
    for i in range(len(images)):
        top, left = (i // found.columns) * found.tile, (i % found.columns) * found.tile
        cut.append(sheet[top : top + found.tile, left : left + found.tile])
    return cut, found


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3), (8, 8, 4)])
@pytest.mark.parametrize("n", [3, 4, 10])
def test_every_picture_lies_in_its_tile(shape, n):
    images = picture(n, *shape)
    cut, found = tiles(images)
    assert found.tile == 8
    assert found.uri.startswith("data:image/png;base64,")
    for image, tile in zip(images, cut, strict=True):
        np.testing.assert_array_equal(tile, image.squeeze())


def test_floats_to_1_are_the_same_as_bytes():
    images = picture(5, 8, 8)
    assert thumbnails(images / 255.0, 5, 64) == thumbnails(images, 5, 64)
    assert thumbnails(images.astype("float32"), 5, 64) == thumbnails(images, 5, 64)


def test_large_pictures_shrink_and_small_ones_stay():
    cut, found = tiles(picture(4, 100, 100), image_size=32)
    assert found.tile == 32
    # The mean of what it stands for.
    means = [tile.mean() for tile in cut]
    np.testing.assert_allclose(means, picture(4, 100, 100).mean(axis=(1, 2)), atol=1)


def test_pictures_of_mixed_size_are_centred_and_said():
    images = [picture(8, 8), picture(4, 8, seed=1), picture(2, 2, 3, seed=2)]
    cut, found = tiles(images)
    assert found.notes == ("Pictures of 3 sizes are drawn at one size.",)
    assert not cut[1][:2].any() and not cut[1][6:].any()
    np.testing.assert_array_equal(cut[1][2:6, :, 0], images[1])
    np.testing.assert_array_equal(cut[2][3:5, 3:5], images[2])


def test_sheets_of_photographs_are_jpeg(monkeypatch):
    module = "tensorflow_similarity.visualization.thumbnails"
    monkeypatch.setattr(f"{module}._LOSSLESS_PIXELS", 100)
    images = np.full((4, 8, 8, 3), 90, "uint8")
    cut, found = tiles(images)
    assert found.uri.startswith("data:image/jpeg;base64,")
    assert np.abs(np.stack(cut).astype(int) - 90).max() <= 2


def test_too_many_pictures_shrink_and_it_is_said(monkeypatch):
    module = "tensorflow_similarity.visualization.thumbnails"
    monkeypatch.setattr(f"{module}._MAX_PIXELS", 4 * 5 * 5)
    found = thumbnails(picture(4, 8, 8), 4, 64)
    assert found.tile == 5
    assert found.notes == ("So many pictures are drawn at 5 pixels, not 8.",)


def test_black_pictures_are_of_either_range():
    images = [np.zeros((8, 8)), picture(8, 8) / 255.0, np.zeros((8, 8), "uint8")]
    cut, _ = tiles(images)
    np.testing.assert_array_equal(cut[1], picture(8, 8))


@pytest.mark.parametrize(
    "images, words",
    [
        (picture(3, 8, 8), "one picture for each embedding: 2. Received: 3"),
        (picture(2, 8, 8, 2), r"shape=\(8, 8, 2\)"),
        (["a.png", "b.png"], "must be pictures of numbers"),
        (7, "must be a sequence of pictures"),
        (np.full((2, 8, 8), -0.5), "values from -0.5 to -0.5 at number 0"),
        (np.full((2, 8, 8), 256), "integers from 0 to 255"),
        (np.full((2, 8, 8), np.nan), "NaN at number 0.*nan_to_num"),
        (["a.png", "b.png"], "Read the files first"),
        (picture(2, 3, 8, 8), "channels last: `np.moveaxis"),
        (
            [picture(8, 8), picture(8, 8) / 255.0],
            "one range, 0 to 255 or 0 to 1. Received: values to 1 at number 1",
        ),
    ],
)
def test_bad_pictures_are_named(images, words):
    with pytest.raises(ValueError, match=words):
        thumbnails(images, 2, 64)
