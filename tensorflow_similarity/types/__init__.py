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

Tensor = Any
"""A tensor of the active Keras backend. Keras has no types: docstrings have shapes."""

BoolTensor = Tensor
"""A tensor of true and false, in annotations."""

FloatTensor = Tensor
"""A tensor of floats, in annotations."""

IntTensor = Tensor
"""A tensor of integers, in annotations."""

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
