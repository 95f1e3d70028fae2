"""Batches of P classes with K examples each, from a TensorFlow Datasets name."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.samplers.multi_shot_memory_sampler import (
    MultiShotMemorySampler,
)
from tensorflow_similarity.samplers.sampler import Augmenter

_BLOCK = 256
"""Examples read at a time."""

_PURPOSE = "TFDatasetMultiShotMemorySampler"


class TFDatasetMultiShotMemorySampler(MultiShotMemorySampler):
    """Loads a TensorFlow Datasets data set into memory and draws batches from it.

    Draws as `MultiShotMemorySampler` does. Examples of classes that are not in
    `class_list` are not kept.

    Args:
        dataset_name: name that `tfds.load` knows, such as "mnist".
        classes_per_batch: int >= 1. Classes in a batch. Defaults to 2.
        x_key: key of the examples. Defaults to "image".
        y_key: key of the labels. Defaults to "label".
        splits: split or list of splits to load, also slices ("train[:10%]").
            Defaults to None: ["train", "test"], one after the other.
        examples_per_class_per_batch: int >= 1. Defaults to 2.
        steps_per_epoch: int >= 1. Batches in a pass. Defaults to 1000.
        class_list: labels of the classes to draw from. Defaults to None: all.
        total_examples_per_class: int >= 1. Random examples of each class to use.
            Defaults to None: all.
        preprocess_fn: called on each example while loading, as
            `preprocess_fn(x, y)` on TensorFlow tensors in a graph; answers (x, y).
            Needed where examples differ in shape. Defaults to None.
        augmenter: called with each batch as `augmenter(x, y, 1, is_warmup)`; answers
            (x, y). Defaults to None.
        warmup: int. Number of passes with `is_warmup` true. Defaults to -1: none.
        seed: int or None. Defaults to None: `keras.utils.set_random_seed` decides.
        fixed: bool. True gives the same batches on every pass, for
            `validation_data`. Defaults to False.
        verbose: int. 1 shows a progress bar while loading. Defaults to 1.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of
            `keras.utils.PyDataset`.

    Raises:
        ImportError: if tensorflow or tensorflow_datasets is not installed.
        ValueError: if `x_key` or `y_key` is not a key of the data set, or if the
            examples differ in shape.
    """

    def __init__(
        self,
        dataset_name: str,
        classes_per_batch: int = 2,
        x_key: str = "image",
        y_key: str = "label",
        splits: str | Sequence[str] | None = None,
        examples_per_class_per_batch: int = 2,
        steps_per_epoch: int = 1000,
        class_list: Iterable[Any] | None = None,
        total_examples_per_class: int | None = None,
        preprocess_fn: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        augmenter: Augmenter | None = None,
        warmup: int = -1,
        *,
        seed: int | None = None,
        fixed: bool = False,
        verbose: int = 1,
        **kwargs: Any,
    ):
        if splits is None:
            splits = ["train", "test"]
        elif isinstance(splits, str):
            splits = [splits]
        if class_list is not None:
            class_list = np.asarray(class_list).reshape(-1)
        x, y = _load(
            dataset_name, list(splits), x_key, y_key, class_list, preprocess_fn, verbose
        )
        super().__init__(
            x,
            y,
            None,
            classes_per_batch,
            examples_per_class_per_batch,
            steps_per_epoch,
            class_list,
            total_examples_per_class,
            augmenter,
            warmup,
            seed=seed,
            fixed=fixed,
            **kwargs,
        )


def _load(
    dataset_name: str,
    splits: list[str],
    x_key: str,
    y_key: str,
    class_list: np.ndarray | None,
    preprocess_fn: Callable[[Any, Any], tuple[Any, Any]] | None,
    verbose: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the splits into one array of examples and one of labels."""
    tf = optional_import("tensorflow", purpose=_PURPOSE)
    tfds = optional_import(
        "tensorflow_datasets", purpose=_PURPOSE, package="tensorflow-datasets"
    )
    datasets = tfds.load(dataset_name, split=splits)
    for key, name in ((x_key, "x_key"), (y_key, "y_key")):
        keys = sorted(datasets[0].element_spec)
        if key not in keys:
            raise ValueError(
                f"`{name}` must be a key of data set {dataset_name!r}: {keys}. "
                f"Received: {name}={key!r}."
            )
    n_examples = sum(int(dataset.cardinality()) for dataset in datasets)
    dataset = datasets[0]
    for other in datasets[1:]:
        dataset = dataset.concatenate(other)
    dataset = dataset.map(lambda example: (example[x_key], example[y_key]))
    if class_list is not None:
        wanted = tf.constant(class_list)
        dataset = dataset.filter(
            lambda _, y: tf.reduce_any(tf.cast(y, wanted.dtype) == wanted)
        )
    if preprocess_fn is not None:
        dataset = dataset.map(preprocess_fn, num_parallel_calls=tf.data.AUTOTUNE)
    try:
        return _read(dataset.batch(_BLOCK).prefetch(1), n_examples, verbose)
    except tf.errors.InvalidArgumentError as error:
        if "to the batch" not in str(error) and "different shapes" not in str(error):
            raise
        raise ValueError(
            f"The examples of data set {dataset_name!r} differ in shape. Bring them "
            "to one shape in `preprocess_fn`, with `tf.image.resize` for instance."
        ) from error


def _read(blocks: Any, n_examples: int, verbose: int) -> tuple[np.ndarray, np.ndarray]:
    """Copies blocks (x, y) into arrays for at most `n_examples` examples."""
    progress = optional_import("tqdm.auto", purpose=_PURPOSE, package="tqdm").tqdm(
        total=n_examples, desc="Loading examples", disable=not verbose
    )
    x = y = np.empty((0,))
    n_read = 0
    with progress:
        for block_x, block_y in blocks.as_numpy_iterator():
            if not n_read:
                # Memory that is never written to is never taken from the system.
                x = np.empty((n_examples, *block_x.shape[1:]), block_x.dtype)
                y = np.empty((n_examples, *block_y.shape[1:]), block_y.dtype)
            end = n_read + len(block_x)
            x[n_read:end], y[n_read:end] = block_x, block_y
            progress.update(len(block_x))
            n_read = end
    return x[:n_read], y[:n_read]
