import numpy as np
import pytest

from tensorflow_similarity.samplers import _buffers

pytestmark = pytest.mark.backend_smoke

SHAPE = (2, 2**20)
UINT8 = np.dtype(np.uint8)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(_buffers, "_kept", [])


@pytest.mark.parametrize("shape", [(0,), (3,), (5, 7), SHAPE])
@pytest.mark.parametrize("dtype", ["uint8", "float64", "U3"])
def test_arrays_are_aligned_and_as_asked(shape, dtype):
    array = _buffers.empty(shape, np.dtype(dtype))
    assert array.shape == shape and array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.size == 0 or array.ctypes.data % 64 == 0


def test_memory_in_use_is_never_given_out_again():
    held = [_buffers.empty(SHAPE, UINT8)[:1] for _ in range(5)]  # views of views
    for i, array in enumerate(held):
        array[:] = i
    assert all((array == i).all() for i, array in enumerate(held))
    assert len(_buffers._kept) == 5


def test_memory_nobody_holds_is_used_again():
    places = {_buffers.empty(SHAPE, UINT8).ctypes.data for _ in range(5)}
    assert len(places) == 1 and len(_buffers._kept) == 1


def test_no_more_is_kept_than_allowed(monkeypatch):
    monkeypatch.setattr(_buffers, "_MAX_KEPT", 3 * 2**21)
    held = [_buffers.empty(SHAPE, UINT8) for _ in range(4)]
    assert len(_buffers._kept) == 2
    held.append(_buffers.empty((2, 2**21), UINT8))
    assert [len(buffer) for buffer in _buffers._kept] == [2**22 + 64]


def test_small_arrays_are_not_kept():
    _buffers.empty((10,), UINT8)
    assert _buffers._kept == []
