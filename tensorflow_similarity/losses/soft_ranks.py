"""How many keys come before a positive, softly: what every rank surrogate is made of.

One positive of every anchor is compared with all keys at a time, and what was compared
is worked out again for the gradient instead of being kept. So memory is
O(n_queries * n_keys), forward and backward, whatever the number of positives, where the
formulas as written take n_keys times that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

from tensorflow_similarity._core.numerics import largest_of
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor, IntTensor, Tensor

_LARGEST_EXPONENT = 50.0
"""Beyond it a sigmoid differs from 0 or 1 by less than 1e-21."""


@dataclass(frozen=True)
class Step:
    """A stand-in for the step function, 1 above 0, and its slope.

    Args:
        value: `value(gaps, positives)`: what a key counts that is nearer than the
            positive by `gaps`, (n_queries, n_keys); `positives` says which keys are
            positives.
        slope: its derivative by `gaps`.
    """

    value: Callable[[FloatTensor, BoolTensor], FloatTensor]
    slope: Callable[[FloatTensor, BoolTensor], FloatTensor]


@dataclass(frozen=True)
class SoftRanks:
    """The kept positives of each anchor; each array (n_queries, max_positives).

    Args:
        kept: bool, whether there is a positive in this place.
        positives_before: how many other positives are nearer.
        negatives_before: how many negatives are nearer.
    """

    kept: BoolTensor
    positives_before: FloatTensor
    negatives_before: FloatTensor

    def mean(self, values: FloatTensor) -> FloatTensor:
        """The mean of `values` over the kept positives of each anchor, (n_queries,)."""
        n_kept = ops.sum(ops.cast(self.kept, values.dtype), axis=1)
        total = ops.sum(ops.where(self.kept, values, 0.0), axis=1)
        return total / ops.where(n_kept > 0, n_kept, 1.0)


def sigmoid_step(temperature: float) -> Step:
    """1 / (1 + exp(-gap / temperature)), for keys of either kind."""

    def value(gaps: FloatTensor, positives: BoolTensor) -> FloatTensor:
        return clipped_sigmoid(gaps / temperature)

    def slope(gaps: FloatTensor, positives: BoolTensor) -> FloatTensor:
        share = clipped_sigmoid(gaps / temperature)
        return share * (1.0 - share) / temperature

    return Step(value, slope)


def clipped_sigmoid(exponents: FloatTensor) -> FloatTensor:
    """The sigmoid of exponents within +-50: beyond, nothing is left to lose."""
    return ops.sigmoid(ops.clip(exponents, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


def soft_ranks(
    pairs: Pairs, step: Step, max_positives: int, nearest: bool = False
) -> SoftRanks:
    """Counts the keys before each kept positive of each anchor.

    The positive itself is not counted, nor is the query: it is no key of its own.

    Args:
        pairs: the keys counted are its positives and its negatives.
        step: how much a key counts by how much nearer it is.
        max_positives: of more positives than this, only as many have a rank; all of
            them are still counted before others. The cost is that of the anchor with
            the most positives, up to this.
        nearest: whether the nearest positives are kept, or the farthest. Defaults to
            False: the farthest.
    """
    kind = ops.where(pairs.positives, 1.0, ops.where(pairs.negatives, -1.0, 0.0))
    d = pairs.distances
    places = _places(ops.stop_gradient(d), pairs.positives, max_positives, nearest)
    counts = _counts_before(step)(d, ops.cast(kind, d.dtype), ops.cast(places, d.dtype))
    return SoftRanks(places >= 0, counts[:, :, 0], counts[:, :, 1])


def check_max_positives(max_positives: Any) -> int:
    """Raises ValueError unless it is a whole number of at least 1."""
    if isinstance(max_positives, bool) or not (
        isinstance(max_positives, int) and max_positives >= 1
    ):
        raise ValueError(
            "`max_positives` must be an integer of at least 1. Received: "
            f"max_positives={max_positives!r}."
        )
    return max_positives


def check_temperature(**temperatures: Any) -> None:
    """Raises ValueError unless each is above 0."""
    for name, temperature in temperatures.items():
        if not temperature > 0:
            raise ValueError(
                f"`{name}` must be above 0. Received: {name}={temperature!r}."
            )


def _places(
    distances: FloatTensor, positives: BoolTensor, max_positives: int, nearest: bool
) -> IntTensor:
    """Columns of the kept positives, (n_queries, n_places); -1 where there is none."""
    n_keys = distances.shape[1]
    lowest = -largest_of(distances.dtype)
    scores = ops.where(positives, -distances if nearest else distances, lowest)
    if n_keys is None:
        # `top_k` wants that many columns, and a graph may not know that it has them.
        few = ops.zeros_like(scores[:, :1])
        padding = ops.repeat(few, max_positives, axis=1) + lowest
        scores = ops.concatenate([scores, padding], axis=1)
        n_keys = max_positives
    found, places = ops.top_k(scores, min(max_positives, n_keys))
    return ops.where(found > lowest, ops.cast(places, "int32"), -1)


def _counts_before(step: Step) -> Any:
    """`counts(distances, kind, places)` -> (n_queries, n_places, 2), differentiable.

    Kind is 1 for a positive, -1 for a negative, 0 for neither. Both it and the places
    are floats, as on JAX only those can be arguments of a custom gradient.
    """

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def counts(distances: Tensor, kind: Tensor, places: Tensor) -> Any:
        # Without the stop, TensorFlow's eager tape would still record every pass.
        distances = ops.stop_gradient(distances)
        kind, places = ops.stop_gradient(kind), ops.stop_gradient(places)
        positives, negatives = kind > 0, kind < 0
        columns = ops.arange(ops.shape(distances)[1], dtype="int32")[None, :]
        numbers = ops.cast(places, "int32")
        limits = ops.take_along_axis(distances, ops.where(numbers < 0, 0, numbers), 1)
        slots = ops.arange(places.shape[1], dtype="int32")
        # Kept positives come first, so the last places are often empty for all.
        n_slots = ops.sum(ops.cast(ops.any(numbers >= 0, axis=0), "int32"))

        def gaps_of(slot: Any) -> tuple[Tensor, Tensor]:
            own = ops.equal(columns, ops.take(numbers, slot, axis=1)[:, None])
            return ops.take(limits, slot, axis=1)[:, None] - distances, own

        def count(slot: Any, so_far: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            gaps, own = gaps_of(slot)
            shares = ops.where(own, 0.0, step.value(gaps, positives))
            here = ops.equal(slots, slot)[None, :]
            return tuple(
                ops.where(
                    here,
                    ops.sum(ops.where(mask, shares, 0.0), axis=1, keepdims=True),
                    before,
                )
                for mask, before in zip((positives, negatives), so_far, strict=True)
            )

        def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, ...]:
            # Keras 3.15: torch passes the arguments and `upstream=`, the others one.
            if upstream is None:
                (upstream,) = args
            of_positives, of_negatives = upstream[:, :, 0], upstream[:, :, 1]

            def add(slot: Any, so_far: Tensor) -> Tensor:
                gaps, own = gaps_of(slot)
                factors = ops.where(
                    positives,
                    ops.take(of_positives, slot, axis=1)[:, None],
                    ops.where(
                        negatives, ops.take(of_negatives, slot, axis=1)[:, None], 0.0
                    ),
                )
                slopes = ops.where(own, 0.0, factors * step.slope(gaps, positives))
                by_limit = ops.sum(slopes, axis=1, keepdims=True)
                return so_far + ops.where(own, by_limit, -slopes)

            by_distances = ops.fori_loop(0, n_slots, add, ops.zeros_like(distances))
            return by_distances, ops.zeros_like(kind), ops.zeros_like(places)

        nothing = ops.zeros_like(limits)
        return (
            ops.stack(ops.fori_loop(0, n_slots, count, (nothing, nothing)), axis=2),
            gradient,
        )

    return counts
