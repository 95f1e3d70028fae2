"""What comes from a user is made plain arrays, or refused."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tensorflow_similarity._core import doors
from tensorflow_similarity.types import NO_LABEL

pytestmark = pytest.mark.backend_smoke


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64"])
def test_numbers_of_any_dtype_become_float32(dtype):
    given_ = np.arange(6).reshape(2, 3).astype(dtype)
    for x in (given_, given_.tolist(), np.asfortranarray(given_), given_[::-1][::-1]):
        made = doors.as_embeddings(x, 3)
        assert made.dtype == np.float32 and made.flags.c_contiguous
        np.testing.assert_array_equal(made, given_)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int32", "bool"])
def test_tensors_become_float32(dtype):
    tensor = keras.ops.cast(keras.ops.convert_to_tensor([[0.0, 1.0]]), dtype)
    assert doors.as_embeddings(tensor, 2).tolist() == [[0, 1]]


def test_a_width_that_is_not_known_is_any_but_none():
    assert doors.as_embeddings(np.ones((0, 3)), None).shape == (0, 3)
    with pytest.raises(ValueError, match=r"shape \(n, dim\).*\(3, 0\)"):
        doors.as_embeddings(np.ones((3, 0)), None)
    with pytest.raises(ValueError, match=r"`queries` must have shape \(n, 4\)"):
        doors.as_embeddings(np.ones((3, 3)), 4, "queries")


@given(
    arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=2, max_dims=2),
        elements=st.floats(allow_nan=True, allow_infinity=True),
    )
)
def test_exactly_the_finite_and_not_too_large_pass(x):
    with np.errstate(invalid="ignore"):
        fine = (np.abs(x) <= 0.99e16).all(axis=1)
        bad = ~(np.abs(x) <= 1.01e16).all(axis=1)
    if fine.all():
        np.testing.assert_allclose(
            doors.as_embeddings(x, None), x, rtol=1e-6, atol=1e-37
        )
    elif bad.any():
        with pytest.raises(ValueError, match="NaN, infinity or a larger number in"):
            doors.as_embeddings(x, None)


def test_one_embedding():
    assert doors.as_embedding([1, 2], 2).shape == (1, 2)
    for bad in (3.0, [[1, 2]], [1, 2, 3], [[1], [1, 2]]):
        with pytest.raises(ValueError, match=r"`embedding` .* of shape \(2,\)"):
            doors.as_embedding(bad, 2)
    with pytest.raises(ValueError, match="`row` must be finite"):
        doors.as_embedding([1, np.nan], 2, "row")


def test_ids():
    for ids in (5, [5], np.int8(5), np.array([5], np.uint64), (5,)):
        made = doors.as_ids(ids)
        assert made.tolist() == [5] and made.dtype == np.int64
    assert doors.as_ids([]).shape == (0,)
    big = np.array([2**63], np.uint64)
    for bad in (None, "a", [1.0], [True], [[1]], [2**70], big):
        with pytest.raises(TypeError, match="`keys` must be integers of 64 bits"):
            doors.as_ids(bad, "keys")


@given(st.lists(st.none() | st.integers(-(2**63) + 1, 2**63 - 1), min_size=1))
def test_integers_stay_what_they_are(labels):
    made = doors.as_labels(labels, len(labels))
    assert made.dtype == np.int64
    expected = [NO_LABEL if label is None else label for label in labels]
    assert made.tolist() == expected


@given(st.lists(st.none() | st.text(), min_size=1).filter(any))
def test_strings_stay_what_they_are(labels):
    made = doors.as_labels(labels, len(labels))
    assert made.dtype == object and made.tolist() == labels


def test_integers_beside_floats_keep_their_digits():
    assert doors.as_labels([2**53 + 1, 2.0], 2).tolist() == [2**53 + 1, 2]
    with pytest.raises(TypeError, match="float"):
        doors.as_labels([2**53 + 1, 2.5], 2)


@pytest.mark.parametrize("k", [1, 7, np.int8(3), np.uint64(9)])
def test_whole_numbers_are_k(k):
    assert doors.as_k(k) == int(k) and type(doors.as_k(k)) is int


@pytest.mark.parametrize("k", [0, -3, 1.0, True, np.True_, "1", None, [1]])
def test_other_things_are_not_k(k):
    with pytest.raises(ValueError, match="`k` must be an integer of at least 1. Recei"):
        doors.as_k(k)


def test_known_names():
    members = {"b": 2, "a": 1}
    assert doors.known(" A ", "thing", members) == 1
    with pytest.raises(ValueError, match=r"Unknown thing 'c'.*\['a', 'b'\]"):
        doors.known("c", "thing", members)
    with pytest.raises(TypeError, match=r"`thing` must be a name.*thing=None"):
        doors.known(None, "thing", members)


class TorchTensor:
    """What of a torch tensor matters here: `__array__` refuses more than it takes."""

    def __init__(self, values, attached=True, half=True):
        self.values, self.attached, self.half = values, attached, half

    def detach(self):
        return TorchTensor(self.values, False, self.half)

    def cpu(self):
        return self

    def float(self):
        return TorchTensor(self.values, self.attached, False)

    def __array__(self, dtype=None, copy=None):
        if self.attached:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.half:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.array(self.values, dtype)


@pytest.mark.parametrize("half", [True, False])
def test_tensors_with_gradients_are_read(half):
    tensor = TorchTensor([[1, 2]], half=half)
    assert doors.as_embeddings(tensor, 2).tolist() == [[1, 2]]


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, 16, np.float64(2)])
def test_an_option_that_counts_is_an_integer_in_range(value):
    assert doors.as_count(np.uint8(15), "n", 0, 15) == 15
    assert type(doors.as_count(np.int64(3), "n", 0)) is int
    with pytest.raises(ValueError, match="`n` must be an integer of at least 0 and at"):
        doors.as_count(value, "n", 0, 15)
