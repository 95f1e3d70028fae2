"""What callbacks ask of the model that is trained."""

from typing import Any

import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import doors
from tensorflow_similarity._core.embedding import embed
from tensorflow_similarity.distances import Distance


def check_every(name: str, value: Any) -> None:
    """Raises ValueError for anything but an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(
            f"`{name}` must be an integer of at least 1. Received: {name}={value!r}."
        )


def distance_of(model: Any) -> Distance | None:
    """The distance that the model compares embeddings by; None if it says none."""
    state = getattr(model, "_similarity", None)
    for source in (getattr(state, "indexer", None), getattr(state, "settings", None)):
        if source is not None:
            return distances.get(source.distance)
    of_loss = getattr(getattr(model, "loss", None), "distance", None)
    return None if of_loss is None else distances.get(of_loss)


def embedded(
    model: Any, x: Any, queries: bool, batch_size: int
) -> tuple[np.ndarray, Any]:
    """Embeddings of x by the output that is indexed, and labels if x carries them.

    Args:
        queries: whether x are queries, or items that are indexed: a model of two towers
            embeds them by different ones.
    """
    if hasattr(model, "jax_state_sync"):
        # Within an epoch Keras on JAX holds the weights outside of the model.
        model.jax_state_sync()
    choose = getattr(model, "_embedder", None)
    embedder = model if choose is None else choose(queries)
    return embed(embedder, x, getattr(model, "_output", None), batch_size)


def as_classes(known_classes: Any) -> list[Any] | None:
    """Known classes as a list; None stays.

    Raises:
        TypeError: for one label, a string or a number.
    """
    if known_classes is None:
        return None
    try:
        if isinstance(known_classes, str | bytes):
            raise TypeError
        return list(known_classes)
    except TypeError:
        raise TypeError(
            "`known_classes` must be several labels, or one in a list. Received: "
            f"{known_classes!r}."
        ) from None


def split(labels: np.ndarray, known_classes: Any) -> np.ndarray:
    """Which labels are of known classes, as bool (n,)."""
    given = known_classes
    if not hasattr(given, "__len__") or isinstance(given, set | frozenset):
        given = list(given)
    known = doors.as_labels(given, len(given), "known_classes")
    if (known.dtype == object) != (labels.dtype == object) and len(known):
        raise TypeError(
            "`known_classes` must be of the kind of the labels: integers or strings. "
            f"Received: {known[:3].tolist()} for labels like {labels[:3].tolist()}."
        )
    wanted = set(known.tolist())
    return np.array([label in wanted for label in labels.tolist()], bool)
