"""The contract of miners: from the pairs of a batch, those worth learning from."""

from abc import ABC, abstractmethod
from typing import Any, Protocol, Self

import keras
from keras import ops

from tensorflow_similarity.types import BoolTensor, FloatTensor


class Candidates(Protocol):
    """What a miner sees; the pairs have shape (n_queries, n_keys)."""

    @property
    def query_embeddings(self) -> FloatTensor:
        """Shape (n_queries, dim)."""
        ...

    @property
    def key_embeddings(self) -> FloatTensor:
        """Shape (n_keys, dim)."""
        ...

    @property
    def distances(self) -> FloatTensor:
        """From each query to each key, in the unit of the loss's distance."""
        ...

    @property
    def positives(self) -> BoolTensor:
        """Where query and key belong together."""
        ...

    @property
    def negatives(self) -> BoolTensor:
        """Where they do not."""
        ...


class Miner(ABC):
    """Chooses among the pairs of a batch.

    A subclass writes `mine(pairs) -> (positives, negatives)`: the two masks of the
    pairs with fewer true, of the same shape, so that every pair loss takes every miner
    and everything compiles. No gradient flows through a choice. An anchor that keeps
    no pair leaves the mean of the loss.

    Miners are given to a loss as `miner=`, by name, as an object, or as the dict that
    `get_config` of the loss made.
    """

    @abstractmethod
    def mine(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        """Positives and negatives to keep, bool, both (n_queries, n_keys)."""

    def __call__(self, pairs: Candidates) -> tuple[BoolTensor, BoolTensor]:
        """What `mine` keeps of the pairs there are."""
        positives, negatives = self.mine(pairs)
        return (
            ops.logical_and(positives, pairs.positives),
            ops.logical_and(negatives, pairs.negatives),
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The miner that `get_config` described."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (other.get_config() == self.get_config())

    def __hash__(self) -> int:
        return hash((type(self), repr(self.get_config())))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def serialize(miner: Miner | None) -> dict[str, Any] | None:
    """A miner as JSON, by Keras' own format; None stays None."""
    if miner is None:
        return None
    return dict(keras.saving.serialize_keras_object(miner))
