"""Batches in which classes meet those that they are confused with."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.samplers._confused_plan import ConfusedPlan
from tensorflow_similarity.samplers._labels import check_count
from tensorflow_similarity.samplers._sources import to_host
from tensorflow_similarity.samplers.multi_shot_memory_sampler import (
    MultiShotMemorySampler,
)

# From this pass on, these rivals and shares, each (n_classes, m).
_Rivals = tuple[int, np.ndarray, np.ndarray]


class ConfusedClassesSampler(MultiShotMemorySampler):
    """Draws P classes and K examples of each, together with classes they resemble.

    A batch is made of groups: a class and up to `n_rivals` classes that it is confused
    with, drawn in proportion to how much; a share of `random_share` of the classes of a
    batch is drawn without regard to that, so that what is not confused is not
    forgotten. Each class leads a group before any leads twice; one that is in the batch
    already leads in a later one. Where a class has no rivals left, the next group
    begins.

    Which classes are confused is set by `set_confusion`, usually by the callback
    `RefreshConfusedClasses`; until then classes are drawn as
    `MultiShotMemorySampler` draws them. A new confusion counts from a pass on that has
    not begun; batch i of pass p depends on the seed, p, i and the confusion that counts
    in p only. Within a pass, no example of a class repeats before all were used.

    Args:
        x, y, *args: as those of `MultiShotMemorySampler`.
        n_rivals: int >= 1. Rivals that join a class in its group. Defaults to 3.
        random_share: share of the classes of a batch drawn at random, from 0 to 1.
            Defaults to 0.25. It is rounded to whole classes: with 2 classes a batch,
            0.25 of them is none.
        **kwargs: as those of `MultiShotMemorySampler`.

    Raises:
        ValueError: as `MultiShotMemorySampler`, and for numbers out of range.

    Example:

    >>> import numpy as np
    >>> x, y = np.arange(24.0), np.arange(24) % 6
    >>> sampler = ConfusedClassesSampler(
    ...     x, y, n_rivals=1, random_share=0.0, steps_per_epoch=4, seed=1
    ... )
    >>> sampler.set_confusion(np.eye(6)[[1, 0, 3, 2, 5, 4]], first_pass=0)
    >>> sorted(np.unique(sampler[i][1]).tolist() for i in range(3))
    [[0, 1], [2, 3], [4, 5]]
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *args: Any,
        n_rivals: int = 3,
        random_share: float = 0.25,
        **kwargs: Any,
    ):
        super().__init__(x, y, *args, **kwargs)
        self.n_rivals = check_count("n_rivals", n_rivals)
        self.random_share = doors.as_number(
            random_share, "random_share", "from 0 to 1", lambda share: 0 <= share <= 1
        )
        self._confusions: list[_Rivals] = []

    def set_confusion(
        self,
        confusion: Any,
        classes: Iterable[Any] | None = None,
        first_pass: int | None = None,
    ) -> None:
        """Says which classes are confused, from a coming pass on. From any thread.

        Args:
            confusion: what `evaluators.class_confusion` answers; or an array, shape
                (n, n), with entry [a, b] at least 0: how much class a is taken for b.
                The diagonal does not count.
            classes: labels of the rows of an array. Defaults to None: `class_list`.
                Classes that the sampler does not have are left out.
            first_pass: from which pass on, as `epoch` counts them; earlier ones keep
                theirs. Defaults to None: the one after `epoch`, which may have begun.

        Raises:
            ValueError: for an array of another shape, negative or not finite, classes
                that repeat or of which the sampler has none, or a pass that is no
                integer of at least 0.
        """
        if first_pass is None:
            first_pass = self.epoch + 1
        first_pass = doors.as_count(first_pass, "first_pass", least=0)
        n_kept = max(16, 4 * self.n_rivals)
        if hasattr(confusion, "rivals") and hasattr(confusion, "classes"):
            labels = confusion.classes.tolist()
            rivals, shares = confusion.rivals(min(n_kept, max(1, len(labels) - 1)))
        else:
            labels = self.class_list if classes is None else list(classes)
            rivals, shares = _largest(confusion, len(labels), n_kept)
        rivals, shares = self._own(labels, rivals, shares)
        with self._planning, self._lock:
            kept = [one for one in self._confusions if one[0] < first_pass]
            self._confusions = [*kept, (first_pass, rivals, shares)]
            # Later passes may have been planned ahead.
            for number in [n for n in self._plans if n >= first_pass]:
                del self._plans[number]

    def _own(
        self, labels: list[Any], rivals: np.ndarray, shares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rivals of the sampler's own classes, as places in `class_list`."""
        own = {label: place for place, label in enumerate(self.class_list)}
        if len(set(labels)) < len(labels):
            raise ValueError("`classes` must be distinct. Received a class twice.")
        if not own.keys() & set(labels):
            raise ValueError(
                "`set_confusion` knows none of the sampler's classes. Received: "
                f"classes like {labels[:3]}, where `class_list` is like "
                f"{list(own)[:3]}. Give the labels that the sampler was given."
            )
        places = np.array([own.get(label, -1) for label in labels], np.int64)
        # Place -1, no rival, stays -1.
        found = np.append(places, -1)[rivals]
        ordered = np.full((len(own), rivals.shape[1]), -1, np.int64)
        weights = np.zeros(ordered.shape)
        here = places >= 0
        ordered[places[here]] = found[here]
        weights[places[here]] = np.where(found >= 0, shares, 0.0)[here]
        return ordered, weights

    def _rows(self, begin: int, end: int) -> np.ndarray:
        number = begin // (end - begin)
        in_force = [one for one in self._confusions if one[0] <= number]
        if not in_force:
            return super()._rows(begin, end)
        _, rivals, shares = in_force[-1]
        plan = ConfusedPlan(
            self._groups.rows,
            self._groups.sizes,
            self.classes_per_batch,
            self.examples_per_class_per_batch,
            self.seed,
            rivals,
            shares,
            self.n_rivals,
            round(self.random_share * self.classes_per_batch),
        )
        return plan.one_pass(number, end - begin)


def _largest(confusion: Any, n: int, n_kept: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest entries of each row but the diagonal: columns and values."""
    matrix = np.array(to_host(confusion), np.float64)
    if matrix.shape != (n, n) or not (matrix >= 0).all() or np.isinf(matrix).any():
        raise ValueError(
            f"`confusion` must be an array of shape ({n}, {n}), a row for each class, "
            f"of finite numbers of at least 0. Received: shape={matrix.shape}"
            f"{'' if matrix.shape != (n, n) else ' with others'}."
        )
    np.fill_diagonal(matrix, 0.0)
    columns = np.argsort(-matrix, axis=1, kind="stable")[:, :n_kept]
    values = np.take_along_axis(matrix, columns, 1)
    return np.where(values > 0, columns, -1), values
