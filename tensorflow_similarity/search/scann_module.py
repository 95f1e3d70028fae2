"""The import of ScaNN, and its silence."""

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from tensorflow_similarity._core.optional import optional_import


def scann_module() -> Any:
    """ScaNN's builder and loader."""
    if sys.platform != "linux":
        raise ImportError(
            "ScaNNSearch needs Linux, for which alone ScaNN is made. Use "
            "search='nmslib' or 'faiss'."
        )
    scann = optional_import(
        "scann", purpose="ScaNNSearch", package="tensorflow_similarity[scann]"
    )
    return scann.scann_ops_pybind


_quiet_lock = threading.Lock()
# What ScaNN says of its progress and of empty leaves; its errors begin with E and F.
_NOTE = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl::InitializeLog")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps ScaNN's notes off the standard error, which it has no setting for.

    All else that is written there meanwhile comes out at the end.
    """
    with _quiet_lock, tempfile.TemporaryFile() as notes:
        saved = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            notes.seek(0)
            for line in notes:
                if not _NOTE.match(line):
                    os.write(saved, line)
            os.close(saved)
