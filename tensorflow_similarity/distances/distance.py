"""The contract of every distance."""

import json
from collections.abc import Iterable
from typing import Any, Self

from keras import ops

from tensorflow_similarity._core.numerics import to_float
from tensorflow_similarity.types import Tensor


class Distance:
    """How far each query is from each key: smaller is closer, always.

    A subclass sets `name` and `aliases` on the class and writes `call`, in `keras.ops`.
    The base has checked the embeddings and made them float32, or float64 if one of
    them is, whatever the dtype policy.

    Two distances are equal when they are of the same class and have the same config.

    Args:
        name: str, what the distance is called in messages and files. Defaults to None:
            the name of the class.
        aliases: other names for it. Defaults to (): those of the class.

    Call arguments:
        query: embeddings, shape (n_queries, dim).
        key: embeddings, shape (n_keys, dim).

    Returns:
        Distances, shape (n_queries, n_keys), at least float32, on each call.

    Raises:
        ValueError: on a call, if an argument is not of rank 2 or the widths differ.

    Example:

    >>> import keras
    >>> @keras.saving.register_keras_serializable(package="docs")
    ... class ChebyshevDistance(Distance):
    ...     name = "chebyshev"
    ...
    ...     def call(self, query, key):
    ...         gaps = keras.ops.abs(query[:, None, :] - key[None, :, :])
    ...         return keras.ops.max(gaps, axis=2)
    >>> float(ChebyshevDistance()([[0.0, 1.0]], [[3.0, 2.0]])[0, 0])
    3.0
    """

    name: str = "distance"
    aliases: tuple[str, ...] = ()

    def __init__(self, name: str | None = None, aliases: Iterable[str] = ()):
        if name is not None:
            self.name = name
        aliases = tuple(aliases)
        if aliases:
            self.aliases = aliases

    def __call__(self, query: Any, key: Any) -> Tensor:
        query, key = to_float(query), to_float(key)
        for role, embeddings in (("query", query), ("key", key)):
            if len(embeddings.shape) != 2:
                raise ValueError(
                    f"`{role}` must be embeddings of shape (n, dim). Received: "
                    f"{role} of shape {tuple(embeddings.shape)}. A single embedding "
                    f"goes in as `{role}[None, :]`."
                )
        # Widths have to be known: rounding noise and variances depend on them.
        if query.shape[1] is None or query.shape[1] != key.shape[1]:
            raise ValueError(
                "`query` and `key` must have the same, known number of columns. "
                f"Received: query of shape {tuple(query.shape)}, key of shape "
                f"{tuple(key.shape)}."
            )
        if query.dtype != key.dtype:
            query, key = ops.cast(query, "float64"), ops.cast(key, "float64")
        return self.call(query, key)

    def call(self, query: Tensor, key: Tensor) -> Tensor:
        """Distances (n_queries, n_keys) of checked embeddings of one float dtype."""
        raise NotImplementedError(
            f"{type(self).__name__} must write `call(query, key)`."
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {"name": self.name, "aliases": list(self.aliases)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The distance that `get_config` described."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distance):
            return NotImplemented
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), json.dumps(self.get_config(), sort_keys=True)))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"
