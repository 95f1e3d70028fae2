"""Pictures and the PNG files made of them, read back by Pillow."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tensorflow_similarity._core.pictures import as_picture, data_uri, is_picture, png


def read(source):
    head, _, content = source.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (1, 1)])
def test_png_has_the_values_it_was_given(shape):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(Image.open(io.BytesIO(png(values))), values)


def test_one_channel_is_stretched_from_darkest_to_brightest():
    picture = as_picture(np.array([[2.0, 4.0], [3.0, np.nan]]), "x")
    np.testing.assert_array_equal(read(data_uri(picture, 8)), [[0, 255], [128, 0]])


@pytest.mark.parametrize(
    "value, shape",
    [(0.0, (4, 4)), (7.0, (4, 4)), (np.nan, (4, 4)), (np.nan, (4, 4, 3))],
)
@pytest.mark.filterwarnings("error")
def test_a_plain_picture_is_black(value, shape):
    picture = as_picture(np.full(shape, value), "x")
    assert not read(data_uri(picture, 8)).any()


def test_colours_keep_their_values():
    colours = np.full((4, 4, 3), [0.0, 0.5, 1.0])
    expected = np.full((4, 4, 3), [0, 128, 255])
    np.testing.assert_array_equal(read(data_uri(as_picture(colours, "x"), 8)), expected)
    whole = expected.astype("int64")
    np.testing.assert_array_equal(read(data_uri(as_picture(whole, "x"), 8)), expected)


@pytest.mark.parametrize("shape", [(100, 60), (100, 2, 3), (3, 100), (33, 100, 4)])
def test_large_pictures_become_blocks_averaged(shape):
    values = np.random.default_rng(0).uniform(size=shape).astype("float32")
    small = read(data_uri(as_picture(values, "x"), 10))
    assert 10 <= max(small.shape[:2]) < 20
    if shape == (100, 60):
        stretched = 255 * (values - values.min()) / (values.max() - values.min())
        expected = np.rint(np.rint(stretched[:10, :10]).mean())
        assert small[0, 0] == expected


@pytest.mark.parametrize(
    "data, expected",
    [
        (np.zeros((8, 8)), True),
        (np.zeros((8, 8, 3), "uint8"), True),
        (Image.new("RGB", (8, 8)), True),
        (np.zeros((2, 64)), False),
        (np.zeros(8), False),
        (np.zeros((8, 8, 5)), False),
        (np.zeros((8, 8), complex), False),
        ("text", False),
        (None, False),
        ([[1, 2], [3, 4]], False),
        ({"a": 1}, False),
        (3.5, False),
    ],
)
def test_pictures_are_told_from_other_data(data, expected):
    assert is_picture(data) is expected
