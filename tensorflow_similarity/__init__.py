"""Similarity learning for Keras 3: train, index, find, judge, look.

`import tensorflow_similarity` loads the rooms whose classes Keras must know to read a
saved model. The others load when they are first reached, as attributes or by import.
"""

import importlib
import os
from types import ModuleType

if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
    raise ImportError(
        "tensorflow_similarity needs Keras 3, but TF_USE_LEGACY_KERAS="
        f"{os.environ['TF_USE_LEGACY_KERAS']!r} asks TensorFlow for Keras 2. "
        "Unset TF_USE_LEGACY_KERAS before Python starts."
    )

from tensorflow_similarity import (
    distances,
    layers,
    losses,
    miners,
    models,
    schedules,
    training_metrics,
)
from tensorflow_similarity._version import __version__

_LAZY = (
    "callbacks",
    "classification_metrics",
    "evaluators",
    "indexer",
    "matchers",
    "retrieval_metrics",
    "samplers",
    "search",
    "stores",
    "types",
    "utils",
    "visualization",
)

__all__ = [  # noqa: PLE0604
    "__version__",
    "distances",
    "layers",
    "losses",
    "miners",
    "models",
    "schedules",
    "training_metrics",
    *_LAZY,
]


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
