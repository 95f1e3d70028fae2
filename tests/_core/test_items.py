"""User data as bytes and back."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tensorflow_similarity._core import items

DTYPES = (
    arrays.boolean_dtypes()
    | arrays.integer_dtypes(endianness="?")
    | arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | arrays.complex_number_dtypes(endianness="?")
    | arrays.datetime64_dtypes(endianness="?")
    | arrays.byte_string_dtypes(endianness="?", max_len=4)
    | arrays.unicode_string_dtypes(endianness="?", max_len=4)
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.binary()
TEXTS = st.text(st.characters())  # surrogates too
ITEMS = st.recursive(
    PLAIN | TEXTS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(TEXTS | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray | np.generic):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@settings(deadline=None)
@given(ITEMS)
def test_every_item_comes_back(item):
    kept = items.as_item(item)
    assert same(kept, item)
    assert same(items.decode(items.encode(kept)), item)


@given(ARRAYS)
def test_scalars_keep_their_type(array):
    for scalar in array.ravel()[:2]:
        assert same(items.decode(items.encode(items.as_item(scalar))), scalar)


def test_what_is_decoded_may_be_written_to():
    array = items.decode(items.encode(np.zeros(3)))
    array[0] = 1


def test_arrays_inside_are_copied():
    array = np.ones(3)
    kept = items.as_item({"a": [(array,)]})
    array[:] = 0
    assert kept["a"][0][0].tolist() == [1, 1, 1]


def test_arrays_of_objects_become_lists():
    ragged = np.array([np.ones(1), np.ones(2)], object)
    assert same(items.as_item(ragged), [np.ones(1), np.ones(2)])
    assert items.as_item(np.array(["a", None], object)) == ["a", None]


@pytest.mark.parametrize("item", [object(), {1, 2}, 1j, range(3), np.void(b"1"), print])
def test_other_things_are_refused_by_type(item):
    with pytest.raises(TypeError, match="`data` must be made of .*Received: a") as got:
        items.as_item([{"x": item}])
    assert type(item).__name__ in str(got.value) or "dtype" in str(got.value)


def test_nothing_in_the_bytes_is_a_pickle():
    encoded = items.encode([np.ones(2), {"a": b"x"}])
    length = int.from_bytes(encoded[:4], "little")
    assert encoded[4 : 4 + length].decode().startswith('["list", ')
    assert encoded[4 + length :] == np.ones(2).tobytes() + b"x"
