"""Imports of packages that only some users need."""

import importlib
from types import ModuleType


def optional_import(module: str, *, purpose: str, package: str = "") -> ModuleType:
    """Imports a package where it is used, or says how to install it.

    Args:
        module: dotted name of the module to import.
        purpose: what the user wanted, as the subject of the sentence: "Drawing
            neighbours".
        package: the name to install it by, where it differs from the first part of
            `module`. Also an extra: "tensorflow_similarity[faiss]".

    Raises:
        ImportError: if the package is missing; the message names the command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = package or module.partition(".")[0]
        raise ImportError(
            f"{purpose} needs {package}. Install it with `pip install {package}`."
        ) from error
