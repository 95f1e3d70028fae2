"""Objects made again from what is saved of them, and whether they can be."""

import inspect
from typing import Any

import keras

_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def why_not_remade(thing: Any) -> str:
    """Why Keras cannot make this object again from its config, "" if it can.

    Args:
        thing: has `get_config` and `from_config`.
    """
    name = type(thing).__name__
    parameters = inspect.signature(type(thing)).parameters.values()
    takes = [one.name for one in parameters if one.kind not in _OPEN]
    lacking = sorted(set(takes) - thing.get_config().keys())
    if lacking:
        return (
            f"`get_config` of {name} lacks {lacking[0]!r}, which its constructor "
            "takes: add it."
        )
    try:
        config = keras.saving.serialize_keras_object(thing)
        again = keras.saving.deserialize_keras_object(config)
    except (ImportError, KeyError, TypeError, ValueError):
        return (
            f"Keras does not know the class {name}: decorate it with "
            "`@keras.saving.register_keras_serializable()`."
        )
    if keras.saving.serialize_keras_object(again) != config:
        return f"`{name}.from_config` does not make what `get_config` described."
    return ""


def from_config(config: dict[str, Any], kind: type[Any], noun: str) -> Any:
    """The object of this kind that Keras' serialization described.

    Args:
        config: from `keras.saving.serialize_keras_object`.
        kind: the class that it must be of.
        noun: what messages call such an object.

    Raises:
        ValueError: if it describes something else, or a class that Keras does not know.
    """
    try:
        made = keras.saving.deserialize_keras_object(config)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"`config` must describe a {noun} that Keras knows; decorate a class of "
            "your own with `@keras.saving.register_keras_serializable()`. Received: "
            f"config={config!r}."
        ) from error
    if not isinstance(made, kind):
        raise ValueError(
            f"`config` must describe a {kind.__name__}. Received: a description of "
            f"{type(made).__name__}."
        )
    return made
