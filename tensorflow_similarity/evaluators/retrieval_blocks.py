"""Metrics of all queries, block by block of what fits in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tensorflow_similarity.evaluators import retrieval_ranking as ranked
from tensorflow_similarity.evaluators.retrieval_relevance import Relevance
from tensorflow_similarity.evaluators.retrieval_values import (
    first_places,
    metric_names,
    values,
)

# Neighbours held at a time: with ids, distances and counts about 60 MB.
_BLOCK_NEIGHBOURS = 2_000_000
# Queries in a block at most: several blocks keep several cores at work.
_BLOCK_QUERIES = 512


@dataclass(frozen=True, eq=False)
class RetrievalTask:
    """What is asked of `evaluate_retrieval`, checked.

    Args:
        own: positions of the items that the queries are themselves, -1 for none.
        n_relevant: R of each query.
        ks: ascending.
        whole_ranking: whether all items are ordered.
        batch_size: queries in a block, None for what fits in memory.
    """

    ranking: ranked.Ranking
    relevance: Relevance
    own: np.ndarray
    n_relevant: np.ndarray
    ks: list[int]
    whole_ranking: bool = False
    batch_size: int | None = None
    verbose: int = 0

    def values_of(self, judged: np.ndarray) -> np.ndarray:
        """Metrics of these queries, float64, shape (len(judged), n_metrics)."""
        names = metric_names(self.ks, self.whole_ranking)
        found = np.empty((len(self.own), len(names)))
        blocks = list(self._blocks(judged))
        for shallow in (True, False):
            alike = [
                block
                for block in blocks
                if ranked.is_shallow(self._depth(block)) == shallow
            ]
            if not alike:
                continue
            self.ranking.prepare(shallow)
            for block, part in ranked.in_threads(self._measure, alike, self.verbose):
                found[block] = part
        reciprocal = names.index("mean_reciprocal_rank")
        unseen = judged[found[judged, reciprocal] == 0]
        if len(unseen):
            # As deep as was looked nothing is relevant: count among all items.
            self.ranking.prepare(shallow=False)
            blocks = list(_split(unseen, self._step(self.ranking.n_items)))
            places = ranked.in_threads(self._first_places, blocks, self.verbose)
            for block, part in places:
                found[block, reciprocal] = 1.0 / part
        return found[judged]

    def _measure(self, block: np.ndarray) -> np.ndarray:
        own, n_relevant = self.own[block], self.n_relevant[block]
        near = self.ranking.nearest(block, self._depth(block))
        gains = self.relevance.at(block, own, near)
        ideal = self.relevance.ideal(block, own, n_relevant, self.ks[-1])
        return values(gains, n_relevant, ideal, self.ks, self.whole_ranking)

    def _first_places(self, block: np.ndarray) -> np.ndarray:
        relevant = self.relevance.rows(block, self.own[block]) > 0
        return first_places(self.ranking.distances(block), relevant)

    def _blocks(self, judged: np.ndarray) -> Iterator[np.ndarray]:
        """Queries that look alike deep, those that leave themselves out apart."""
        for is_own in (True, False):
            group = judged[(self.own[judged] >= 0) == is_own]
            group = group[np.argsort(self.n_relevant[group], kind="stable")]
            depths = self._depths(group)
            shallow = int(np.count_nonzero(ranked.is_shallow(depths)))
            for part in (group[:shallow], group[shallow:]):
                if len(part):
                    yield from _split(part, self._step(self._depth(part)))

    def _step(self, depth: int) -> int:
        if self.batch_size:
            return self.batch_size
        step = max(1, _BLOCK_NEIGHBOURS // (depth + 1))
        if ranked.is_shallow(depth):
            return min(step, _BLOCK_QUERIES)
        return min(step, ranked.queries_per_block(self.ranking.n_items))

    def _depth(self, block: np.ndarray) -> int:
        return int(self._depths(block).max())

    def _depths(self, block: np.ndarray) -> np.ndarray:
        """Neighbours that these queries need, of which there may be fewer."""
        n_others = self.ranking.n_items - (self.own[block] >= 0)
        if self.whole_ranking:
            return n_others
        return np.minimum(np.maximum(self.ks[-1], self.n_relevant[block]), n_others)


def _split(queries: np.ndarray, step: int) -> Iterator[np.ndarray]:
    for start in range(0, len(queries), step):
        yield queries[start : start + step]
