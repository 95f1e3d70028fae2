"""Files for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorflow_similarity._core.optional import optional_import


def scalar_writer(folder: Path) -> Any:
    """A writer of numbers.

    Raises:
        ImportError: without TensorFlow or TensorBoard.
    """
    return _summary().create_file_writer(str(folder))


def write_scalars(writer: Any, values: Mapping[str, float], step: int) -> None:
    """Numbers by name, at once on disk."""
    summary = _summary()
    with writer.as_default():
        for name, value in values.items():
            summary.scalar(name, value, step=step)
    writer.flush()


def _summary() -> Any:
    purpose = "Writing files for TensorBoard (`tb_logdir`)"
    optional_import("tensorboard", purpose=purpose)
    return optional_import("tensorflow", purpose=purpose).summary
