"""Nearest neighbours: exact, and approximate for large indexes."""

from typing import Any

import keras

from tensorflow_similarity._core import doors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search.auto_search import AutoSearch
from tensorflow_similarity.search.faiss_search import FaissSearch
from tensorflow_similarity.search.linear_search import LinearSearch
from tensorflow_similarity.search.nmslib_search import NMSLibSearch
from tensorflow_similarity.search.scann_search import ScaNNSearch
from tensorflow_similarity.search.search import Search
from tensorflow_similarity.search.segments import SearchState

__all__ = [
    "AutoSearch",
    "FaissSearch",
    "LinearSearch",
    "NMSLibSearch",
    "ScaNNSearch",
    "Search",
    "SearchState",
    "class_of",
    "deserialize",
    "get",
    "make_search",
    "serialize",
]

_SEARCHES: dict[str, type[Search]] = {
    "auto": AutoSearch,
    "faiss": FaissSearch,
    "linear": LinearSearch,
    "nmslib": NMSLibSearch,
    "scann": ScaNNSearch,
}


def get(
    identifier: str | dict[str, Any] | Search,
    distance: str | Distance = "cosine",
    dim: int = 0,
    **kwargs: Any,
) -> Search:
    """A search by name, from its configuration, or as it is.

    Args:
        identifier: "auto", "faiss", "linear", "nmslib" or "scann" in any case, what
            `serialize` gave, or a `Search`.
        distance: for a name: the distance of the new search.
        dim: for a name: width of the embeddings.
        **kwargs: for a name: further arguments of the class.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        TypeError: for anything else.
    """
    if isinstance(identifier, Search):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return class_of(identifier)(distance=distance, dim=dim, **kwargs)


def class_of(name: str) -> type[Search]:
    """The class of searches with this name.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        TypeError: for something that is not a name.
    """
    return doors.known(name, "search", _SEARCHES)


def serialize(search: Search) -> dict[str, Any]:
    """A configuration in plain types; the rows are not in it."""
    config: dict[str, Any] = keras.saving.serialize_keras_object(search)
    return config


def deserialize(config: dict[str, Any]) -> Search:
    """A search, without rows, from what `serialize` gave."""
    search = keras.saving.deserialize_keras_object(config)
    if not isinstance(search, Search):
        raise TypeError(f"Expected the configuration of a search. Received: {config}.")
    return search


make_search = deserialize
