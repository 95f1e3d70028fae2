"""How far two embeddings are apart. One formula a file; smaller is closer, always."""

from typing import Any

import keras

from tensorflow_similarity.distances.cosine import CosineDistance
from tensorflow_similarity.distances.distance import Distance
from tensorflow_similarity.distances.euclidean import EuclideanDistance
from tensorflow_similarity.distances.inner_product import InnerProductSimilarity
from tensorflow_similarity.distances.manhattan import ManhattanDistance
from tensorflow_similarity.distances.snr import SNRDistance
from tensorflow_similarity.distances.squared_euclidean import SquaredEuclideanDistance

DISTANCES: list[Distance] = [
    CosineDistance(),
    EuclideanDistance(),
    InnerProductSimilarity(),
    ManhattanDistance(),
    SNRDistance(),
    SquaredEuclideanDistance(),
]
"""One of each distance that `get` knows by name."""

__all__ = [
    "CosineDistance",
    "DISTANCES",
    "Distance",
    "EuclideanDistance",
    "InnerProductSimilarity",
    "ManhattanDistance",
    "SNRDistance",
    "SquaredEuclideanDistance",
    "deserialize",
    "distance_canonicalizer",
    "get",
    "serialize",
]

_BY_NAME = {
    name: type(distance)
    for distance in DISTANCES
    for name in (distance.name, *distance.aliases)
}
_BY_CLASS = {type(distance).__name__: type(distance) for distance in DISTANCES}


def serialize(distance: Distance) -> dict[str, Any]:
    """A JSON-able dict from which `deserialize` makes an equal distance."""
    config: dict[str, Any] = keras.saving.serialize_keras_object(distance)
    return config


def deserialize(
    config: dict[str, Any], custom_objects: dict[str, Any] | None = None
) -> Distance:
    """The distance that `serialize` described.

    Args:
        config: dict, from `serialize`. A bare `{"class_name": ..., "config": ...}`
            will do for the distances of this package.
        custom_objects: dict from names to classes of your own that are not registered
            with Keras. Defaults to None.

    Raises:
        ValueError: if `config` describes something else, or an unknown class.
    """
    try:
        distance = keras.saving.deserialize_keras_object(
            config, custom_objects={**_BY_CLASS, **(custom_objects or {})}
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            "`config` must describe a Distance that Keras knows: one of "
            f"{sorted(_BY_CLASS)}, or a class of your own decorated with "
            "`@keras.saving.register_keras_serializable()`. Received: "
            f"config={config!r}."
        ) from error
    if not isinstance(distance, Distance):
        raise ValueError(
            "`config` must describe a Distance. Received: a description of "
            f"{type(distance).__name__}."
        )
    return distance


def get(distance: Distance | str | dict[str, Any]) -> Distance:
    """The distance that a name, a description or the distance itself stands for.

    Args:
        distance: a `Distance`, returned as it is; a name or alias, in any case, spaces
            around it ignored; or a dict from `serialize`.

    Raises:
        ValueError: if it is none of these, or no distance has the name.

    Example:

    >>> get("L2")
    EuclideanDistance(name='euclidean')
    """
    if isinstance(distance, Distance):
        return distance
    if isinstance(distance, dict):
        return deserialize(distance)
    if isinstance(distance, str) and distance.strip().lower() in _BY_NAME:
        return _BY_NAME[distance.strip().lower()]()
    raise ValueError(
        "`distance` must be a Distance, its serialized dict, or one of the names "
        f"{sorted(_BY_NAME)}. Received: distance={distance!r}."
    )


distance_canonicalizer = get
"""What TensorFlow Similarity before 0.18 called `get`."""
