"""Where embeddings, labels and user data are kept."""

from typing import Any

import keras

from tensorflow_similarity._core import doors
from tensorflow_similarity.stores.memory_store import MemoryStore
from tensorflow_similarity.stores.redis_store import RedisStore
from tensorflow_similarity.stores.snapshot import StoreSnapshot, empty_snapshot
from tensorflow_similarity.stores.sqlite_store import CachedStore, SQLiteStore
from tensorflow_similarity.stores.store import Store, plain_labels
from tensorflow_similarity.stores.where import rows_where

__all__ = [
    "CachedStore",
    "MemoryStore",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "StoreSnapshot",
    "class_of",
    "deserialize",
    "empty_snapshot",
    "get",
    "plain_labels",
    "rows_where",
    "serialize",
]

_STORES: dict[str, type[Store]] = {
    "cached": CachedStore,
    "memory": MemoryStore,
    "redis": RedisStore,
    "sqlite": SQLiteStore,
}


def get(identifier: str | dict[str, Any] | Store, **kwargs: Any) -> Store:
    """A store by name, from its configuration, or as it is.

    Args:
        identifier: "memory", "sqlite", "cached" or "redis" in any case, what
            `serialize` gave, or a `Store`.
        **kwargs: for a name: further arguments of the class.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        TypeError: for anything else.
    """
    if isinstance(identifier, Store):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    kind = class_of(identifier)
    if kind is SQLiteStore and "path" not in kwargs:
        raise ValueError(
            "'sqlite' does not say where the items are to be. Give the store itself: "
            "`kv_store=SQLiteStore(path)`."
        )
    return kind(**kwargs)


def class_of(name: str) -> type[Store]:
    """The class of stores with this name.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        TypeError: for something that is not a name.
    """
    return doors.known(name, "store", _STORES)


def serialize(store: Store) -> dict[str, Any]:
    """A configuration in plain types; the items are not in it."""
    config: dict[str, Any] = keras.saving.serialize_keras_object(store)
    return config


def deserialize(config: dict[str, Any]) -> Store:
    """A store, without items, from what `serialize` gave."""
    store = keras.saving.deserialize_keras_object(config)
    if not isinstance(store, Store):
        raise TypeError(f"Expected the configuration of a store. Received: {config}.")
    return store
