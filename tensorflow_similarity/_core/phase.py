"""Whether what runs now is training or evaluating.

Keras tells a model, and not its losses, of which some keep a memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TRAINING: ContextVar[bool] = ContextVar("training", default=True)


def is_training() -> bool:
    """Whether a loss is called to train; True outside of `phase`."""
    return _TRAINING.get()


@contextmanager
def phase(training: bool) -> Iterator[None]:
    """Says within it whether losses are called to train."""
    token = _TRAINING.set(training)
    try:
        yield
    finally:
        _TRAINING.reset(token)
