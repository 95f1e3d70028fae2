"""Writes a small TFDS `mnist`, so that `tfds.load("mnist")` needs no network.

The pictures are scikit-learn's digits, enlarged to 28x28. TFDS' own builder writes
them, so the format is the genuine one, version 3.0.1; only the numbers of examples
differ. Set `TFDS_DATA_DIR` to the directory, or pass it as `data_dir`.
"""

import contextlib
import struct
from pathlib import Path
from unittest import mock

import numpy as np


def write(directory, n_train=400, n_test=100):
    """Writes `directory`/mnist/3.0.1 with so many examples of all ten digits.

    Args:
        directory: str or path. Becomes a TFDS data directory.
        n_train: int. Examples of the train split.
        n_test: int. Examples of the test split.
    """
    import tensorflow_datasets as tfds
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

    builder = mnist.MNIST(data_dir=str(directory))
    local = mock.Mock()
    local.download_and_extract.return_value = {k: str(f) for k, f in files.items()}
    local.downloaded_size = sum(file.stat().st_size for file in files.values())
    with contextlib.ExitStack() as patches:
        enter = patches.enter_context
        enter(mock.patch.object(mnist, "_TRAIN_EXAMPLES", n_train))
        enter(mock.patch.object(mnist, "_TEST_EXAMPLES", n_test))
        enter(mock.patch.object(builder, "_make_download_manager", return_value=local))
        # The published information would be asked for over the network.
        enter(mock.patch.object(tfds.core.DatasetInfo, "initialize_from_bucket"))
        tfds.disable_progress_bar()
        builder.download_and_prepare()
    for file in files.values():
        file.unlink()
    folder.rmdir()


def _write_idx(path, array):
    """LeCun's IDX: two zeros, 8 for bytes, the number of axes, sizes, values."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + sizes + array.tobytes())
