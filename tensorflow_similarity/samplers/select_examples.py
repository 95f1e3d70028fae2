"""A random selection with the same number of examples of each class."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tensorflow_similarity.samplers._labels import (
    as_labels,
    check_count,
    check_seed,
    group,
    logger,
)
from tensorflow_similarity.samplers._sources import as_source, gather


def select_examples(
    x: Any,
    y: Any,
    class_list: Iterable[Any] | None = None,
    num_examples_per_class: int | None = None,
    seed: int | None = None,
) -> tuple[Any, np.ndarray]:
    """Selects examples of some classes, shuffled.

    Without replacement while a class lasts. A class of fewer than
    `num_examples_per_class` examples repeats them, each as often as the others or
    once more; this is reported once, through `logging`.

    Args:
        x: the examples: an array, a tensor, a list, or anything with a length that
            gives example i as `x[i]`. Only those selected are fetched.
        y: integer or string labels, shape (n,) or (n, 1).
        class_list: labels of the classes to select. Defaults to None: all.
        num_examples_per_class: int >= 1. Exactly so many of each class. Defaults to
            None: all there are.
        seed: int or None. Defaults to None: `keras.utils.set_random_seed` decides.

    Returns:
        NumPy arrays (x, y) with the labels as given.

    Raises:
        ValueError: if a class of `class_list` has no example.

    Example:

    >>> import numpy as np
    >>> x, y = np.arange(10), np.arange(10) % 3
    >>> sx, sy = select_examples(x, y, [0, 2], 2, seed=1)
    >>> sorted(sy.tolist())
    [0, 0, 2, 2]
    """
    source = as_source(x)
    labels = as_labels(y, len(source))
    groups = group(labels, class_list)
    generator = np.random.default_rng(check_seed(seed))
    rows = groups.rows
    if num_examples_per_class is not None:
        n_wanted = check_count("num_examples_per_class", num_examples_per_class)
        few = groups.few(n_wanted)
        if few:
            logger.warning(
                "Classes with fewer than num_examples_per_class=%d examples are "
                "selected with repeats: %s.",
                n_wanted,
                few,
            )
        # np.resize repeats an array from its beginning until it is long enough.
        selected = [
            np.resize(generator.permutation(members), n_wanted)
            for members in groups.split().values()
        ]
        rows = np.concatenate(selected) if selected else rows
    rows = generator.permutation(rows)
    return gather(source, rows, None), labels[rows]
