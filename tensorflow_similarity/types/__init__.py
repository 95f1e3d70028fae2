"""Records that travel between rooms: dataclasses of arrays, and names for tensors."""

from typing import Any

from tensorflow_similarity.types.calibration import CalibrationResults, ProbabilityCurve
from tensorflow_similarity.types.lookup import (
    NO_ID,
    NO_LABEL,
    Details,
    Item,
    Lookup,
    Records,
    ranked,
)
from tensorflow_similarity.types.lookups import Lookups

# A tensor of the active Keras backend. Keras has no types; shapes stand in docstrings.
Tensor = Any
BoolTensor = FloatTensor = IntTensor = Tensor

__all__ = [
    "BoolTensor",
    "CalibrationResults",
    "Details",
    "FloatTensor",
    "IntTensor",
    "Item",
    "Lookup",
    "Lookups",
    "NO_ID",
    "NO_LABEL",
    "ProbabilityCurve",
    "Records",
    "Tensor",
    "ranked",
]
