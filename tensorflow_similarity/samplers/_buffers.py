"""Memory for batches, used again when nobody holds the batch any more."""

import sys
import threading

import numpy as np

_ALIGNMENT = 64
"""Bytes. Where TensorFlow's tensors must begin (EIGEN_MAX_ALIGN_BYTES)."""

_LARGE = 2**20
"""Bytes from which memory is kept: malloc gives larger pieces back to the system, and
getting 5 MB anew costs several times the copying of 5 MB."""

_MAX_KEPT = 2**28
"""Bytes kept at most, in all."""

_REFERENCES = 3
"""Of a buffer that nobody uses: the list, the loop variable and the question itself."""

_lock = threading.Lock()
_kept: list[np.ndarray] = []


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that TensorFlow takes over without a copy.

    A view of a buffer keeps the buffer alive, be it in Python, in a TensorFlow tensor
    or in a JAX array; without one the buffer serves the next batch.
    """
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    buffer = _buffer(n_bytes + _ALIGNMENT)
    shift = -buffer.ctypes.data % _ALIGNMENT
    return buffer[shift : shift + n_bytes].view(dtype).reshape(shape)


def _buffer(n_bytes: int) -> np.ndarray:
    if n_bytes < _LARGE:
        return np.empty(n_bytes, np.uint8)
    with _lock:
        n_kept = 0
        for buffer in _kept:
            n_kept += len(buffer)
            if len(buffer) == n_bytes and sys.getrefcount(buffer) == _REFERENCES:
                return buffer
        if n_kept + n_bytes > _MAX_KEPT:
            # Those of other sizes are of no use to this reader.
            _kept[:] = [buffer for buffer in _kept if len(buffer) == n_bytes]
            n_kept = n_bytes * len(_kept)
        buffer = np.empty(n_bytes, np.uint8)
        if n_kept + n_bytes <= _MAX_KEPT:
            _kept.append(buffer)
        return buffer
