"""Which rows make up which batch, where classes come with those they are taken for."""

import numpy as np

from tensorflow_similarity.samplers._batch_plan import BatchPlan, rank_among_equals


class ConfusedPlan(BatchPlan):
    """Plans one pass: classes in groups of a class and its rivals, and random classes.

    A pass is planned by itself, from the seed, its number and the rivals: what was
    drawn in other passes makes no difference.

    Args:
        rows, sizes, classes_per_batch, examples_per_class, seed: as `BatchPlan` takes
            them.
        rivals: places of classes, shape (C, m), -1 where there are no more.
        shares: how often a rival is drawn beside others, shape (C, m).
        n_rivals: rivals that join a class.
        n_random: classes of each batch that are drawn without regard to rivals.
    """

    def __init__(
        self,
        rows: np.ndarray,
        sizes: np.ndarray,
        classes_per_batch: int,
        examples_per_class: int,
        seed: int,
        rivals: np.ndarray,
        shares: np.ndarray,
        n_rivals: int,
        n_random: int,
    ):
        super().__init__(rows, sizes, classes_per_batch, examples_per_class, seed)
        self._rivals = rivals
        self._shares = shares
        self._n_rivals = n_rivals
        self._n_grouped = classes_per_batch - n_random

    def one_pass(self, number: int, n_batches: int) -> np.ndarray:
        """Rows of the batches of a pass, shape (n_batches, P * K)."""
        generator = np.random.default_rng([self._seed, number])
        self._salt = generator.integers(2**32, dtype=np.uint32)
        classes = self._grouped(generator, n_batches).reshape(-1)
        members = self._members(classes, rank_among_equals(classes))
        rows: np.ndarray = self._rows[self._starts[classes][:, None] + members]
        return rows.reshape(n_batches, -1)

    def _grouped(self, generator: np.random.Generator, n_batches: int) -> np.ndarray:
        """Classes of the batches, shape (n_batches, P), none twice in a batch."""
        n_classes, n_places = len(self._sizes), self._classes_per_batch
        # Each class leads a group before any leads twice.
        leaders, others = _Deck(generator, n_classes), _Deck(generator, n_classes)
        batches = np.empty((n_batches, n_places), np.int64)
        for batch in batches:
            taken: dict[int, None] = {}
            while len(taken) < self._n_grouped:
                leader = leaders.next(taken)
                taken[leader] = None
                room = min(self._n_rivals, self._n_grouped - len(taken))
                for rival in self._drawn_rivals(generator, leader, room, taken):
                    taken[rival] = None
            while len(taken) < n_places:
                taken[others.next(taken)] = None
            batch[:] = list(taken)
        return batches

    def _drawn_rivals(
        self,
        generator: np.random.Generator,
        leader: int,
        n: int,
        taken: dict[int, None],
    ) -> list[int]:
        """Up to n rivals that are not in the batch yet, more often the larger ones."""
        if n < 1:
            return []
        rivals, shares = self._rivals[leader], self._shares[leader]
        free = (rivals >= 0) & (shares > 0) & (rivals != leader)
        free &= ~np.isin(rivals, list(taken))
        rivals, shares = rivals[free], shares[free]
        if not len(rivals):
            return []
        # The n largest of exponential races are a draw by shares without replacement.
        races = generator.standard_exponential(len(rivals)) / shares
        return rivals[np.argsort(races, kind="stable")[:n]].tolist()


class _Deck:
    """Classes shuffled anew whenever all were dealt."""

    def __init__(self, generator: np.random.Generator, n_classes: int):
        self._generator = generator
        self._n_classes = n_classes
        self._waiting: list[int] = []

    def next(self, taken: dict[int, None]) -> int:
        """The next class that is not taken; those passed over stay for later."""
        for place in range(len(self._waiting) - 1, -1, -1):
            if self._waiting[place] not in taken:
                return self._waiting.pop(place)
        fresh = self._generator.permutation(self._n_classes).tolist()
        self._waiting = fresh + self._waiting
        return self.next(taken)
