"""What the papers say, in plain loops: one module a family of losses.

A module lists its losses in `PAPERS`; every check of `test_conformance.py` then runs on
them. A new loss is a new entry.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

DISTANCES = ("cosine", "euclidean", "snr")


@dataclass(frozen=True)
class Paper:
    """One loss and the independent reading of its paper.

    Args:
        loss: the class.
        reading: `reading(labels, embeddings, **case)` in complex-safe float64 loops;
            answers one value an anchor, None where it has none, or one number for the
            batch. For a loss with weights `reading(labels, embeddings, weights,
            **case)`, with arrays by name.
        cases: arguments of the constructor to check, by the reading's names.
        required: arguments that the loss cannot do without, in every check.
        renamed: the reading's name of an argument to ours, where they differ.
        distances: by which distances it must stay finite; empty for a loss that does
            not take one.
        learns_from: the hard batches (of `test_conformance.py`) without both a
            positive and a negative from which it learns something all the same.
        targets: another kind of targets than labels that its config must keep.
        names_matter: whether class ids mean something, as those of proxies do.
        ties: whether equal distances leave the value defined.
    """

    loss: type
    reading: Callable[..., Any]
    cases: list[dict[str, Any]]
    required: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    distances: tuple[str, ...] = DISTANCES
    learns_from: tuple[str, ...] = ()
    targets: str = "multi_hot"
    names_matter: bool = False
    ties: bool = True

    def make(self, dim: int = 4, **kwargs: Any) -> Any:
        """The loss with what it requires, and with its weights for `dim` made."""
        loss = self.loss(**{**self.required, **kwargs})
        for part, width in loss.trained_parts(dim):
            part.build(width)
        return loss

    def arguments(self, case: dict[str, Any]) -> dict[str, Any]:
        """A case by the names of the constructor."""
        return {self.renamed.get(name, name): value for name, value in case.items()}

    def __repr__(self) -> str:
        return self.loss.__name__


PAPERS: list[Paper] = []
for _module in pkgutil.iter_modules(__path__):
    PAPERS += getattr(
        importlib.import_module(f"{__name__}.{_module.name}"), "PAPERS", []
    )
