"""What `compile` is told about the index, remembered until an index is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras

from tensorflow_similarity import distances, search, stores
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.search import Search
from tensorflow_similarity.stores import Store


@dataclass(frozen=True)
class IndexSettings:
    """The index that a model makes when it first needs one.

    Args:
        distance: the one distance of loss, index and evaluation.
        search, kv_store, evaluator, embedding_output, stat_buffer_size: as `Indexer`
            takes them.
    """

    distance: Distance
    search: str | Search = "nmslib"
    # A configuration is opened only with the index: a store may be a file, a server.
    kv_store: str | dict[str, Any] | Store = "memory"
    evaluator: str = "memory"
    embedding_output: int | str | None = None
    stat_buffer_size: int = 1000

    def make_index(self, embedding_size: int) -> Indexer:
        """An empty index for embeddings of this width."""
        return Indexer(
            embedding_size,
            distance=self.distance,
            search=self.search,
            kv_store=stores.get(self.kv_store),
            evaluator=self.evaluator,
            embedding_output=self.embedding_output,
            stat_buffer_size=self.stat_buffer_size,
        )

    def checked(self) -> Self:
        """These settings, if the names in them are known.

        Raises:
            ValueError, TypeError: for an unknown search, store or evaluator.
        """
        if not isinstance(self.search, Search):
            search.class_of(self.search)
        elif self.search.distance != self.distance:
            raise ValueError(
                f"The index measures by {self.distance.name!r} and its search by "
                f"{self.search.distance.name!r}. Give both the same distance."
            )
        if isinstance(self.kv_store, str):
            stores.class_of(self.kv_store)
        if self.evaluator != "memory":
            raise ValueError(
                f"`evaluator` must be 'memory'. Received: evaluator={self.evaluator!r}."
            )
        return self

    def get_config(self) -> dict[str, Any]:
        """The settings in plain types."""
        given = self.search
        kept = self.kv_store
        return {
            "distance": distances.serialize(self.distance),
            "search": given if isinstance(given, str) else search.serialize(given),
            "kv_store": stores.serialize(kept) if isinstance(kept, Store) else kept,
            "evaluator": self.evaluator,
            "embedding_output": self.embedding_output,
            "stat_buffer_size": self.stat_buffer_size,
        }

    def held_items(self) -> int:
        """The width of the items that a given store holds already; 0 without any."""
        if not isinstance(self.kv_store, Store):
            return 0
        vectors = self.kv_store.snapshot().vectors
        return vectors.dim if vectors.n_alive else 0

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The settings from what `get_config` gave."""
        given, kept = config["search"], config["kv_store"]
        return cls(
            distance=distances.get(config["distance"]),
            search=given if isinstance(given, str) else search.deserialize(given),
            kv_store=kept,
            evaluator=config["evaluator"],
            embedding_output=config["embedding_output"],
            stat_buffer_size=config["stat_buffer_size"],
        )


def declared_distance(
    distance: str | Distance, loss: Any, output: int, output_names: Sequence[str]
) -> Distance:
    """The one distance that `compile` declares.

    Args:
        distance: a distance, or "auto" for that of the loss.
        loss: what `compile` got as `loss`.
        output: number of the embedding output.

    Raises:
        ValueError: for "auto" with a loss that has no distance, or for another
            distance than the loss has.
    """
    loss = _loss_of(loss, output, output_names)
    of_loss = getattr(loss, "distance", None)
    if isinstance(distance, str) and distance.strip().lower() == "auto":
        if loss is None:
            return distances.get("cosine")
        if of_loss is None:
            name = getattr(loss, "name", getattr(loss, "__name__", loss))
            raise ValueError(
                f"The loss {name!r} has no distance, so `distance='auto'` cannot tell "
                "how to compare embeddings. Say it: "
                "`compile(..., distance='cosine')`, or another of "
                f"{sorted(known.name for known in distances.DISTANCES)}."
            )
        return distances.get(of_loss)
    declared = distances.get(distance)
    if of_loss is not None and distances.get(of_loss) != declared:
        raise ValueError(
            f"The loss trains for the distance {distances.get(of_loss).name!r} and "
            f"`distance={declared.name!r}` would search by another. Give both the "
            "same, or leave `distance` at 'auto'."
        )
    return declared


def first_compared(loss: Any, output_names: Sequence[str]) -> int:
    """Number of the first output whose loss has a distance; 0 if none has.

    Args:
        loss: what `compile` got as `loss`.
    """
    for number in range(len(output_names)):
        one = _loss_of(loss, number, output_names)
        if getattr(one, "distance", None) is not None:
            return number
    return 0


def _loss_of(loss: Any, output: int, output_names: Sequence[str]) -> Any:
    """The loss of one output, as `compile` takes losses."""
    if isinstance(loss, dict):
        name = output_names[output] if output < len(output_names) else None
        return loss.get(name)
    if isinstance(loss, list | tuple):
        return loss[output] if output < len(loss) else None
    if isinstance(loss, str):
        try:
            return keras.losses.get(loss)
        except ValueError:
            return loss
    return loss
