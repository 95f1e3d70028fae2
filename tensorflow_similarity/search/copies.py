"""Equal rows: one stands in the structure for all of them, answers name each.

Many copies of a row wreck a graph: its links go to one another and lead nowhere else
(measured on 10,000 rows, 1,000 of them equal: recall of the others' neighbours 0.87).
"""

from dataclasses import dataclass, replace

import numpy as np

from tensorflow_similarity._core.vectors import Vectors

# So few copies do no harm: they are left in, and answers need no further step.
_HARMLESS_SHARE = 0.01
_HARMLESS_GROUP = 8
# Numbers of 64 bits held while rows are hashed (8 MB).
_HASH_NUMBERS = 1024 * 1024


@dataclass(frozen=True, eq=False)
class Copies:
    """Which positions of a structure stand for several equal rows.

    Args:
        positions: int64, ascending.
        ends: int64, one for each position: where its rows end in `rows`.
        rows: int64, the rows of one position after those of the other, ascending
            within each; the first is the one that the structure was made of.
    """

    positions: np.ndarray
    ends: np.ndarray
    rows: np.ndarray

    @property
    def n_further(self) -> int:
        """How many rows are here that are not in the structure."""
        return len(self.rows) - len(self.positions)

    def living(self, dead: np.ndarray | None) -> "Copies":
        """Without the rows that are gone; a position may be left without any."""
        if dead is None:
            return self
        alive = ~dead[self.rows]
        ends = np.concatenate([[0], np.cumsum(alive)])[self.ends]
        return replace(self, ends=ends, rows=self.rows[alive])

    def expanded(
        self,
        found: np.ndarray,
        distances: np.ndarray,
        rows: np.ndarray,
        dead: np.ndarray | None,
        n: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first n rows that positions stand for, nearest first.

        Args:
            found: positions (n_queries, m), nearest first, -1 for none.
            distances: alike.
            rows: the structure's position -> row.
            dead: which rows are gone; those of `self` are `living` already.

        Returns:
            Rows, int64, and distances, (n_queries, n); -1 and inf where too few came.
        """
        at = np.searchsorted(self.positions, found)
        at = np.minimum(at, len(self.positions) - 1)
        several = self.positions[at] == found
        single = rows[found]
        starts = np.concatenate([[0], self.ends[:-1]])[at]
        counts = found >= 0
        if dead is not None:
            counts &= ~dead[single]
        counts = np.where(several, self.ends[at] - starts, counts)
        before: np.ndarray = np.cumsum(counts, axis=1) - counts
        counts = np.clip(n - before, 0, counts).ravel()
        # One entry for each row of the answer: the place in `found` that it is from.
        source = np.repeat(np.arange(found.size), counts)
        nth = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
        query, place = source // found.shape[1], before.ravel()[source] + nth
        # Few rows may be left, and `several` false: any number within will do.
        copy = np.minimum(starts.ravel()[source] + nth, len(self.rows) - 1)
        answer = np.full((len(found), n), -1)
        values = np.full((len(found), n), np.inf, np.float32)
        answer[query, place] = single.ravel()[source]
        if len(self.rows):
            of_several = several.ravel()[source]
            chosen = np.where(of_several, self.rows[copy], answer[query, place])
            answer[query, place] = chosen
        values[query, place] = distances.ravel()[source]
        return answer, values


def collapsed(vectors: Vectors, rows: np.ndarray) -> tuple[np.ndarray, Copies | None]:
    """One row for each set of equal ones, and which stand for several.

    Args:
        rows: ascending.

    Returns:
        The rows to build of, ascending, and the copies; all rows and None while there
        are so few copies that they do no harm.
    """
    hashes = _hashes(vectors, rows)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    is_copy = np.concatenate([[False], ordered[1:] == ordered[:-1]])
    suspects = np.flatnonzero(is_copy)
    step = max(1, _HASH_NUMBERS // vectors.dim)
    for i in range(0, len(suspects), step):
        part = suspects[i : i + step]
        first, second = (vectors.take(rows[order[part - back]]) for back in (0, 1))
        is_copy[part] = (first == second).all(axis=1)
    groups = np.cumsum(~is_copy) - 1
    sizes = np.bincount(groups)
    n_copies = len(rows) - len(sizes)
    few = n_copies <= _HARMLESS_SHARE * len(rows)
    if few and sizes.max(initial=0) <= _HARMLESS_GROUP:
        return rows, None
    firsts = order[~is_copy]
    kept = np.sort(firsts)
    # The sort was stable, so the rows of a group ascend.
    positions = np.searchsorted(kept, firsts)[groups]
    member = sizes[groups] > 1
    by_position = np.argsort(positions[member], kind="stable")
    positions, counts = np.unique(positions[member], return_counts=True)
    copies = Copies(positions, np.cumsum(counts), rows[order[member][by_position]])
    return rows[kept], copies


def _hashes(vectors: Vectors, rows: np.ndarray) -> np.ndarray:
    """A number of 64 bits for each row, alike for equal rows."""
    generator = np.random.default_rng(0)
    factors = generator.integers(2**63, size=vectors.dim, dtype=np.uint64) * 2 + 1
    hashes = np.empty(len(rows), np.uint64)
    step = max(1, _HASH_NUMBERS // vectors.dim)
    for i in range(0, len(rows), step):
        part = vectors.take(rows[i : i + step])
        part += np.float32(0.0)  # makes -0.0, whose bits differ, 0.0
        hashes[i : i + step] = part.view(np.uint32).astype(np.uint64) @ factors
    return hashes
