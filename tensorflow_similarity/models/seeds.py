"""The states of a model's random layers, which Keras 3.15 does not save."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
from keras import ops

from tensorflow_similarity._core import doors

KEY = "seed_states"


def save_seeds(model: Any, store: MutableMapping[str, Any]) -> None:
    """Writes where the random layers of `model` stand into its own variables."""
    states = seed_states(model)
    if states:
        # Not by `ops.cast`: JAX has no 64-bit integers unless told so.
        values = [doors.as_array(ops.convert_to_numpy(state)) for state in states]
        store[KEY] = np.stack(values).astype("int64")


def load_seeds(model: Any, store: Mapping[str, Any]) -> dict[str, Any]:
    """Reads them back, if there are as many, and answers what else is in `store`."""
    if KEY in store.keys():
        states, values = seed_states(model), np.asarray(store[KEY])
        if len(states) == len(values):
            for state, value in zip(states, values, strict=True):
                state.assign(value.astype(state.dtype))
    return {key: store[key] for key in store.keys() if key != KEY}


def seed_states(model: Any) -> list[Any]:
    """The variables of seed generators, which `weights` leaves out."""
    weights = {id(weight) for weight in model.weights}
    return [v for v in model.variables if id(v) not in weights]
