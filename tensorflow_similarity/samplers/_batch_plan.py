"""Which rows make up which batch: a pure function of (seed, pass, batch)."""

import numpy as np

_BLOCK_SLOTS = 2**16
"""Classes shuffled at a time: enough to hide NumPy's overhead, little to recompute."""

_N_ROUNDS = 24
"""Rounds of the swap-or-not shuffle. The chance that the order of two given examples
was never decided is 0.75**24 = 0.1 %."""

_CHUNK = 2**14
"""Places shuffled at a time: what a turn touches stays in the processor's cache."""

_GOLDEN = 0x9E3779B9
_MASK = 0xFFFFFFFF


class BatchPlan:
    """Plans batches of P classes with K examples each.

    Classes come from shuffled decks that hold every class once. A deck of C classes
    is dealt into C // P batches, so that no batch holds a class twice; what is left
    of the deck is dropped, and decks go on from pass to pass.

    The draws of one class run through one shuffle of its examples after the other:
    none repeats before all were used, across passes too. Where a draw spans two
    shuffles, the later one is rearranged so that the K examples are distinct. A class
    of fewer than K examples gives each of them equally often to a draw, or once more.

    A shuffle is computed where it is asked for and nowhere else (swap-or-not: Hoang,
    Morris and Rogaway, "An Enciphering Scheme Based on a Card Shuffle", CRYPTO 2012),
    so neither a start over a million rows nor a jump to any pass costs time.

    Args:
        rows: integer array, shape (n,). Row numbers, those of a class side by side.
        sizes: integer array, shape (C,). How many rows each class has, at least 1.
        classes_per_batch: int from 1 to C, P above.
        examples_per_class: int >= 1, K above.
        seed: int. Its lowest 64 bits count.
    """

    def __init__(
        self,
        rows: np.ndarray,
        sizes: np.ndarray,
        classes_per_batch: int,
        examples_per_class: int,
        seed: int,
    ):
        self._rows = rows.astype(np.int64, copy=False)
        self._sizes = sizes.astype(np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._classes_per_batch = classes_per_batch
        self._n_examples = examples_per_class
        self._seed = seed % 2**64
        self._salt = np.random.SeedSequence(self._seed).generate_state(1)[0]
        self._batches_per_deck = len(sizes) // classes_per_batch
        self._decks_per_block = max(1, _BLOCK_SLOTS // len(sizes))
        self._block = (-1, np.empty((0, classes_per_batch), np.int64))
        self._counted = (0, np.zeros(len(sizes), np.int64))

    def batches(self, begin: int, end: int) -> np.ndarray:
        """Rows of the batches `begin` to `end` - 1, counted from the first pass.

        Returns:
            int64, shape (end - begin, P * K): the K rows of a class side by side.
        """
        classes = self._classes(begin, end).reshape(-1)
        occurrences = self._count(begin)[classes] + rank_among_equals(classes)
        members = self._members(classes, occurrences)
        rows: np.ndarray = self._rows[self._starts[classes][:, None] + members]
        return rows.reshape(end - begin, self._classes_per_batch * self._n_examples)

    def _classes(self, begin: int, end: int) -> np.ndarray:
        """Classes of the batches, shape (end - begin, P)."""
        pieces = [np.empty((0, self._classes_per_batch), np.int64)]
        per_block = self._decks_per_block * self._batches_per_deck
        while begin < end:
            number, offset = divmod(begin, per_block)
            pieces.append(self._deal(number)[offset : offset + end - begin])
            begin += len(pieces[-1])
        return np.concatenate(pieces)

    def _deal(self, number: int) -> np.ndarray:
        """Batches of one block of decks. The last block is kept."""
        if self._block[0] != number:
            generator = np.random.default_rng([self._seed, number])
            n_classes = len(self._sizes)
            decks = np.tile(np.arange(n_classes), (self._decks_per_block, 1))
            if n_classes > 1:
                generator.permuted(decks, axis=1, out=decks)
            used = self._batches_per_deck * self._classes_per_batch
            dealt = decks[:, :used].reshape(-1, self._classes_per_batch)
            self._block = (number, dealt)
        return self._block[1]

    def _count(self, step: int) -> np.ndarray:
        """How often each class was dealt before batch `step`, shape (C,).

        Goes on from the last answer, or from the beginning if that lies later.
        """
        counted, counts = self._counted
        if counted > step:
            counted, counts = 0, np.zeros_like(counts)
        per_block = self._decks_per_block * self._batches_per_deck
        while counted < step:
            end = min(step, (counted // per_block + 1) * per_block)
            dealt = self._classes(counted, end).reshape(-1)
            counts = counts + np.bincount(dealt, minlength=len(counts))
            counted = end
        self._counted = (counted, counts)
        return counts

    def _members(self, classes: np.ndarray, occurrences: np.ndarray) -> np.ndarray:
        """Draw number `occurrences` of each class: K places within the class.

        Returns:
            int64, shape (n_draws, K).
        """
        k = self._n_examples
        sizes = self._sizes[classes]
        position = occurrences[:, None] * k + np.arange(k)
        cycle, offset = np.divmod(position, sizes[:, None])
        # A class below K starts a shuffle with every draw and goes round in it.
        small = sizes < k
        cycle[small] = occurrences[small, None]
        offset[small] = np.arange(k) % sizes[small, None]
        # Keys cost half of a shuffle, and most draws lie within one.
        members = self._shuffled(classes[:, None], cycle[:, :1], offset)
        across = np.flatnonzero(cycle[:, 0] != cycle[:, -1])
        members[across] = self._shuffled(
            classes[across, None], cycle[across], offset[across]
        )
        # A shuffle that starts within a draw has its first K places rearranged.
        for touched in (cycle[:, 0], cycle[:, -1]):
            early = (cycle == touched[:, None]) & (offset < k)
            starts_within = (touched * sizes % k > 0) & (sizes >= k)
            draws = np.flatnonzero(early.any(axis=1) & starts_within)
            if len(draws):
                heads = self._heads(classes[draws], touched[draws])
                within = np.minimum(offset[draws], k - 1)
                members[draws] = np.where(
                    early[draws],
                    np.take_along_axis(heads, within, axis=1),
                    members[draws],
                )
        return members

    def _heads(self, classes: np.ndarray, cycle: np.ndarray) -> np.ndarray:
        """First K places of shuffles that start within a draw, shape (n, K).

        What the draw took from the end of the shuffle before moves to the back of
        them. In a class of fewer than 2 K examples that end may itself be rearranged:
        such a class is followed from its last shuffle that starts with a draw.
        """
        k = self._n_examples
        period = k // np.gcd(self._sizes[classes], k)
        depth = np.where(self._sizes[classes] >= 2 * k, 1, cycle % period)
        chains, chain = np.unique(
            np.stack([classes, cycle - depth], axis=1), axis=0, return_inverse=True
        )
        chain = chain.reshape(-1)
        length = np.zeros(len(chains), np.int64)
        np.maximum.at(length, chain, depth)
        first, sizes = chains[:, 1], self._sizes[chains[:, 0]][:, None]
        end = sizes - k + np.arange(k)
        tail = self._shuffled(chains[:, :1], first[:, None], end)
        heads = np.empty((len(classes), k), np.int64)
        slot = np.empty(len(chains), np.int64)
        for step in range(1, int(length.max()) + 1):
            going = np.flatnonzero(length >= step)
            owner, size = chains[going, :1], sizes[going]
            now = first[going][:, None] + step
            window = self._shuffled(owner, now, np.arange(k))
            taken = np.arange(k) >= k - now * size % k
            apart = np.arange(len(going))[:, None] * size.max()
            clash = np.isin(window + apart, (tail[going] + apart)[taken], kind="sort")
            order = np.argsort(clash, axis=1, kind="stable")
            window = np.take_along_axis(window, order, axis=1)
            slot[going] = np.arange(len(going))
            wanted = np.flatnonzero(depth == step)
            heads[wanted] = window[slot[chain[wanted]]]
            last = end[going]
            tail[going] = np.where(
                last < k,
                np.take_along_axis(window, np.minimum(last, k - 1), axis=1),
                self._shuffled(owner, now, last),
            )
        return heads

    def _shuffled(
        self, classes: np.ndarray, cycle: np.ndarray, offset: np.ndarray
    ) -> np.ndarray:
        """Place `offset` of shuffle number `cycle` of each class.

        Takes (n, 1), (n, 1) or (n, K), and (n, K) or (K,); gives (n, K).
        """
        keys = _mixed(_mixed(_low_word(classes) ^ self._salt) + _low_word(cycle))
        arrays = self._sizes[classes], keys, np.atleast_2d(offset)
        n_rows = len(keys)
        places = np.empty((n_rows, self._n_examples), np.int64)
        step = max(1, _CHUNK // self._n_examples)
        for begin in range(0, n_rows, step):
            size, key, place = (
                _low_word(array if len(array) < n_rows else array[begin : begin + step])
                for array in arrays
            )
            places[begin : begin + step] = _swap_or_not(size, key, place)
        return places


def _swap_or_not(size: np.ndarray, key: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Where `place` of 0 .. size - 1 goes in the shuffle `key`. All uint32, broadcast.

    Each turn pairs the places p and (pivot - p) mod size, and swaps a pair or not.
    """
    wide = size.astype(np.uint64)
    for turn in range(_N_ROUNDS):
        key_of_turn = _mixed(key + np.uint32(turn * _GOLDEN & _MASK))
        pivot = _low_word(key_of_turn * wide >> np.uint64(32))
        partner = pivot - place
        partner += size * (place > pivot)  # wraps around, as pivot - place did
        coin = np.maximum(place, partner)
        coin ^= key_of_turn
        coin *= np.uint32(_GOLDEN)
        coin ^= coin >> np.uint32(15)
        coin *= np.uint32(0x85EBCA6B)
        partner ^= place
        partner *= coin >> np.uint32(31)
        place = place ^ partner
    return place


def _low_word(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint32)


def _mixed(words: np.ndarray) -> np.ndarray:
    """Hashes 32-bit words: the finalizer of MurmurHash3."""
    words = words ^ (words >> np.uint32(16))
    words *= np.uint32(0x85EBCA6B)
    words ^= words >> np.uint32(13)
    words *= np.uint32(0xC2B2AE35)
    words ^= words >> np.uint32(16)
    return words


def rank_among_equals(values: np.ndarray) -> np.ndarray:
    """How many equal values stand before each value."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(values)])
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return ranks
