"""Batches of P classes with K examples each, from anything that can be indexed."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import keras
import numpy as np

from tensorflow_similarity.samplers._batch_plan import BatchPlan
from tensorflow_similarity.samplers._labels import (
    Groups,
    as_labels,
    check_count,
    encode,
    group,
    limit,
    logger,
)
from tensorflow_similarity.samplers._sources import as_source, gather, window
from tensorflow_similarity.samplers.sampler import Augmenter, Sampler


class MultiShotMemorySampler(Sampler):
    """Draws P classes and K examples of each into every batch.

    Every class is drawn almost equally often, whatever its size. Within a class no
    example repeats before all were used, across passes too, and none stands twice in
    a batch. A class of fewer than K examples repeats them; this is reported once,
    through `logging`. The examples of a class stand side by side in the batch.

    Batch labels are int32 as every backend takes them: the labels given, if they are
    integers within int32; otherwise (strings, 64-bit ids) their places in
    `class_list`. `get_slice`, `class_list` and `index_per_class` speak in the labels
    given.

    Args:
        x: the examples: an array, a memory map, a tensor, a list (of paths, say), or
            anything with a length that gives example i as `x[i]`. Never copied.
        y: integer or string labels, shape (n,) or (n, 1).
        load_example_fn: makes an example of `x[i]`, reading a file for instance.
            Defaults to None: `x[i]` is the example.
        classes_per_batch: int >= 1, P. Defaults to 2, the fewest that give each
            example a negative.
        examples_per_class_per_batch: int >= 1, K. Defaults to 2, the fewest that
            give each example a positive.
        steps_per_epoch: int >= 1. Batches in a pass. Defaults to 1000.
        class_list: labels of the classes to draw from. Defaults to None: all,
            sorted. Afterwards the attribute `class_list` holds them.
        total_examples_per_class: int >= 1. Random examples of each class to use, the
            same throughout. A class that has fewer is used whole; reported once.
            Defaults to None: all.
        augmenter: called with each batch as `augmenter(x, y, 1, is_warmup)`; answers
            (x, y). Defaults to None.
        warmup: int. Number of passes with `is_warmup` true. Defaults to -1: none.
        seed: int or None. Defaults to None: `keras.utils.set_random_seed` decides.
        fixed: bool. True gives the same batches on every pass, for
            `validation_data`. Defaults to False.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of
            `keras.utils.PyDataset`.

    Raises:
        ValueError: if there are fewer classes than `classes_per_batch`, if `x` and
            `y` differ in length, or if the labels are neither integers nor strings.

    Example:

    >>> import numpy as np
    >>> x, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 3
    >>> sampler = MultiShotMemorySampler(x, y, classes_per_batch=3, seed=1)
    >>> batch_x, batch_y = sampler[0]
    >>> batch_x.shape, sorted(batch_y.tolist())
    ((6, 2), [0, 0, 1, 1, 2, 2])
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        load_example_fn: Callable[[Any], Any] | None = None,
        classes_per_batch: int = 2,
        examples_per_class_per_batch: int = 2,
        steps_per_epoch: int = 1000,
        class_list: Iterable[Any] | None = None,
        total_examples_per_class: int | None = None,
        augmenter: Augmenter | None = None,
        warmup: int = -1,
        *,
        seed: int | None = None,
        fixed: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            classes_per_batch,
            examples_per_class_per_batch,
            steps_per_epoch=steps_per_epoch,
            augmenter=augmenter,
            warmup=warmup,
            seed=seed,
            fixed=fixed,
            **kwargs,
        )
        self._x = as_source(x)
        self._y = as_labels(y, len(self._x))
        self._load_example_fn = load_example_fn
        groups = group(self._y, class_list)
        self._check_classes(groups)
        generator = np.random.default_rng(self.seed)
        if total_examples_per_class is not None:
            check_count("total_examples_per_class", total_examples_per_class)
            groups = limit(groups, total_examples_per_class, generator)
        self._report_small_classes(groups)
        self._groups = groups
        self._batch_y = encode(self._y, groups)
        self._order = generator.permutation(groups.rows)
        self._batch_plan = BatchPlan(
            groups.rows,
            groups.sizes,
            self.classes_per_batch,
            self.examples_per_class_per_batch,
            self.seed,
        )

    @property
    def class_list(self) -> list[Any]:
        """Labels of the classes in use, as given; re-encoded labels are places here."""
        return self._groups.classes

    @cached_property
    def index_per_class(self) -> dict[Any, np.ndarray]:
        """Rows of `x` in use, by label."""
        return self._groups.split()

    @property
    def num_examples(self) -> int:
        """Number of examples in use."""
        return len(self._order)

    @property
    def example_shape(self) -> Any:
        """Shape of one example as it stands in a batch before augmentation."""
        first = gather(self._x, self._order[:1], self._load_example_fn)
        return keras.tree.map_structure(lambda leaf: leaf.shape[1:], first)

    def get_slice(self, begin: int = 0, size: int = -1) -> tuple[Any, np.ndarray]:
        """Some of the examples in use, in an order shuffled once, not augmented.

        Args:
            begin: int >= 0. Where to start. Defaults to 0.
            size: int. How many; fewer come if the examples end. Defaults to -1: all
                to the end.

        Returns:
            NumPy arrays (x, y) with the labels as given.
        """
        rows = self._order[window(begin, size)]
        return gather(self._x, rows, self._load_example_fn), self._y[rows]

    def _rows(self, begin: int, end: int) -> np.ndarray:
        return self._batch_plan.batches(begin, end)

    def _load(self, rows: np.ndarray) -> tuple[Any, np.ndarray]:
        return gather(self._x, rows, self._load_example_fn), self._batch_y[rows]

    def _check_classes(self, groups: Groups) -> None:
        n_classes = len(groups.classes)
        if n_classes < self.classes_per_batch:
            raise ValueError(
                f"`classes_per_batch` must not exceed the number of classes. "
                f"Received: classes_per_batch={self.classes_per_batch} for "
                f"{n_classes} classes: {groups.classes[:10]}. Lower it or give "
                "examples of more classes."
            )

    def _report_small_classes(self, groups: Groups) -> None:
        few = groups.few(self.examples_per_class_per_batch)
        if few:
            logger.warning(
                "Classes with fewer than examples_per_class_per_batch=%d examples "
                "are drawn with repeats: %s.",
                self.examples_per_class_per_batch,
                few,
            )
