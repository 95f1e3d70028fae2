"""Batches of examples that each are a class of their own, for augmented views."""

from typing import Any

import keras
import numpy as np

from tensorflow_similarity.samplers._batch_plan import BatchPlan
from tensorflow_similarity.samplers._labels import check_count
from tensorflow_similarity.samplers._sources import as_source, gather, window
from tensorflow_similarity.samplers.sampler import Augmenter, Sampler


class SingleShotMemorySampler(Sampler):
    """Draws examples without labels; the augmenter makes the positives.

    Each example is its own class, its label its number in `x`. No example repeats
    before all were used, across passes too, and none stands twice in a batch.

    Args:
        x: the examples: an array, a memory map, a tensor, a list, or anything with a
            length that gives example i as `x[i]`. Never copied.
        augmenter: called with each batch as
            `augmenter(x, y, num_augmentations_per_example, is_warmup)`; answers
            (x, y), as a rule with several rows or views for each example.
        examples_per_batch: int >= 1. Examples in a batch before augmentation.
        num_augmentations_per_example: int >= 1. Handed to the augmenter. Defaults
            to 2, the fewest that give each example a positive.
        steps_per_epoch: int >= 1. Batches in a pass. Defaults to 1000.
        warmup: int. Number of passes with `is_warmup` true. Defaults to -1: none.
        seed: int or None. Defaults to None: `keras.utils.set_random_seed` decides.
        fixed: bool. True draws the same examples on every pass. Defaults to False.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of
            `keras.utils.PyDataset`.

    Raises:
        ValueError: if `examples_per_batch` exceeds the number of examples.

    Example:

    >>> import numpy as np
    >>> def twice(x, y, num_augmentations_per_example, is_warmup):
    ...     return np.concatenate([x, -x]), np.concatenate([y, y])
    >>> x = np.ones((5, 3))
    >>> sampler = SingleShotMemorySampler(x, twice, examples_per_batch=4, seed=1)
    >>> pictures, labels = sampler[0]
    >>> pictures.shape
    (8, 3)
    """

    def __init__(
        self,
        x: Any,
        augmenter: Augmenter,
        examples_per_batch: int,
        num_augmentations_per_example: int = 2,
        steps_per_epoch: int = 1000,
        warmup: int = -1,
        *,
        seed: int | None = None,
        fixed: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            check_count("examples_per_batch", examples_per_batch),
            1,
            num_augmentations_per_example,
            steps_per_epoch,
            augmenter,
            warmup,
            seed=seed,
            fixed=fixed,
            **kwargs,
        )
        self._x = as_source(x)
        n_examples = len(self._x)
        if n_examples < examples_per_batch:
            raise ValueError(
                "`examples_per_batch` must not exceed the number of examples. "
                f"Received: examples_per_batch={examples_per_batch} for "
                f"{n_examples} examples in `x`."
            )
        self._y = np.arange(n_examples, dtype=np.int32)
        self._order = np.random.default_rng(self.seed).permutation(n_examples)
        # For the plan all examples are one class of which a batch draws.
        self._batch_plan = BatchPlan(
            np.arange(n_examples),
            np.array([n_examples]),
            1,
            examples_per_batch,
            self.seed,
        )

    @property
    def num_examples(self) -> int:
        """Number of examples in `x`."""
        return len(self._y)

    @property
    def example_shape(self) -> Any:
        """Shape of one example before augmentation."""
        first = gather(self._x, self._order[:1], None)
        return keras.tree.map_structure(lambda leaf: leaf.shape[1:], first)

    def get_slice(self, begin: int = 0, size: int = -1) -> tuple[Any, Any]:
        """Some of the examples, in an order shuffled once, augmented.

        Args:
            begin: int >= 0. Where to start. Defaults to 0.
            size: int. How many examples before augmentation; fewer if they end.
                Defaults to -1: all to the end.

        Returns:
            NumPy arrays (x, y) as the augmenter answers them.
        """
        x, y = self._load(self._order[window(begin, size)])
        return self._augmented(x, y, self.is_warmup)

    def _rows(self, begin: int, end: int) -> np.ndarray:
        return self._batch_plan.batches(begin, end)

    def _load(self, rows: np.ndarray) -> tuple[Any, np.ndarray]:
        return gather(self._x, rows, None), self._y[rows]
