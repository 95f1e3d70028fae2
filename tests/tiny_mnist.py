"""Writes a small TFDS `mnist`, so that `tfds.load("mnist")` needs no network.

The pictures are scikit-learn's digits, enlarged to 28x28. TFDS' own builder writes
them, so the format is the genuine one, version 3.0.1; only the numbers of examples
differ. Set `TFDS_DATA_DIR` to the directory, or pass it as `data_dir`.
"""

import struct
from pathlib import Path
from unittest import mock

import numpy as np

from tests import tiny_tfds


def write(directory, n_train=400, n_test=100):
    """Writes `directory`/mnist/3.0.1 with so many examples of all ten digits.

    Args:
        directory: str or path. Becomes a TFDS data directory.
        n_train: int. Examples of the train split.
        n_test: int. Examples of the test split.
    """
    from sklearn.datasets import load_digits
    from tensorflow_datasets.image_classification import mnist

    digits = load_digits()
    n = n_train + n_test
    pictures = np.clip(digits.images / 16 * 255, 0, 255).astype(np.uint8)
    pictures = np.kron(pictures, np.ones((1, 3, 3), np.uint8))
    pictures = np.pad(pictures, ((0, 0), (2, 2), (2, 2)))
    # More than there are: the same again, shifted by a pixel each time.
    shifted = [np.roll(pictures, i, axis=2) for i in range(1 + n // len(pictures))]
    pictures = np.concatenate(shifted)
    labels = np.resize(digits.target.astype(np.uint8), len(pictures))

    folder = Path(directory) / "idx"
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    train, test = slice(0, n_train), slice(n_train, n_train + n_test)
    for split, rows in (("train", train), ("test", test)):
        files[f"{split}_data"] = folder / f"{split}-images"
        files[f"{split}_labels"] = folder / f"{split}-labels"
        _write_idx(files[f"{split}_data"], pictures[rows])
        _write_idx(files[f"{split}_labels"], labels[rows])

    sizes = [
        mock.patch.object(mnist, "_TRAIN_EXAMPLES", n_train),
        mock.patch.object(mnist, "_TEST_EXAMPLES", n_test),
    ]
    downloaded = {name: str(file) for name, file in files.items()}
    tiny_tfds.prepare(mnist.MNIST(data_dir=str(directory)), downloaded, sizes)
    for file in files.values():
        file.unlink()
    folder.rmdir()


def _write_idx(path, array):
    """LeCun's IDX: two zeros, 8 for bytes, the number of axes, sizes, values."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + sizes + array.tobytes())
