"""Writes small TFDS data sets, so that `tfds.load` needs no network.

TFDS' own builders write them, so the formats are the genuine ones; only the pictures,
and how many there are, differ: each class is a coarse pattern of colours, every example
of it shifted and noisy. `tests/tiny_mnist.py` does the same with digits. Set
`TFDS_DATA_DIR` to the directory.
"""

import contextlib
import shutil
from pathlib import Path
from unittest import mock

import numpy as np

CIFAR10_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def prepare(builder, downloaded, patches=()):
    """Lets the builder write what lies at `downloaded` instead of in the network."""
    import tensorflow_datasets as tfds

    local = mock.Mock()
    local.download_and_extract.return_value = downloaded
    local.downloaded_size = 1
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        for patch in patches:
            enter(patch)
        enter(mock.patch.object(builder, "_make_download_manager", return_value=local))
        # The published information would be asked for over the network.
        enter(mock.patch.object(tfds.core.DatasetInfo, "initialize_from_bucket"))
        tfds.disable_progress_bar()
        builder.download_and_prepare()


def pictures(n, n_classes, height=32, width=32, seed=0):
    """Pictures (n, height, width, 3) of uint8, and their labels, which take turns."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(77).uniform(30, 225, (n_classes, 4, 4, 3))
    labels = np.arange(n) % n_classes
    tall, wide = -(-height // 4), -(-width // 4)
    large = patterns[labels].repeat(tall, axis=1).repeat(wide, axis=2)
    large = large[:, :height, :width]
    for i in range(n):
        large[i] = np.roll(large[i], rng.integers(-2, 3, 2), axis=(0, 1))
    noisy = large + rng.normal(0, 12, large.shape)
    return noisy.clip(0, 255).astype(np.uint8), labels.astype(np.uint8)


def write_cifar10(directory, n_train=500, n_test=200):
    """Writes `directory`/cifar10/3.0.2 with so many examples of all ten classes."""
    from tensorflow_datasets.image_classification import cifar

    folder = Path(directory) / "raw"
    raw = folder / "cifar-10-batches-bin"
    raw.mkdir(parents=True)
    (raw / "batches.meta.txt").write_text("\n".join(CIFAR10_NAMES), "utf-8")
    files = [f"data_batch_{i}.bin" for i in range(1, 6)]
    for i, name in enumerate([*files, "test_batch.bin"]):
        x, y = pictures(n_train // 5 if name in files else n_test, 10, seed=i)
        # A byte for the label, then the channels one after the other.
        flat = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        (raw / name).write_bytes(np.column_stack([y, flat]).tobytes())
    prepare(cifar.Cifar10(data_dir=str(directory)), str(folder))
    shutil.rmtree(folder)


def write_oxford_iiit_pet(directory, n_train=80, n_test=40, n_breeds=8):
    """Writes `directory`/oxford_iiit_pet/4.0.0 with JPEGs of many sizes.

    Breeds are numbered from 0 to `n_breeds` - 1 of the 37 that TFDS knows.
    """
    from PIL import Image
    from tensorflow_datasets.datasets.oxford_iiit_pet import (
        oxford_iiit_pet_dataset_builder as pet,
    )

    folder = Path(directory) / "raw"
    masks = folder / "annotations" / "trimaps"
    masks.mkdir(parents=True)
    (folder / "images").mkdir()
    rng = np.random.default_rng(5)
    for part, n in (("trainval", n_train), ("test", n_test)):
        lines = []
        for i in range(n):
            label = i % n_breeds
            height, width = rng.integers(40, 90, 2).tolist()
            many, _ = pictures(label + 1, n_breeds, height, width, seed=1000 + i)
            name = f"{part}_{i}"
            Image.fromarray(many[label]).save(folder / "images" / f"{name}.jpg")
            Image.new("L", (width, height), 1).save(masks / f"{name}.png")
            lines.append(f"{name} {label + 1} {1 + label % 2} 1\n")
        listed = folder / "annotations" / f"{part}.txt"
        listed.write_text("".join(lines), "utf-8")
    paths = {"images": str(folder), "annotations": str(folder)}
    prepare(pet.Builder(data_dir=str(directory)), paths)
    shutil.rmtree(folder)
