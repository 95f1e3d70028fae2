"""What the notebooks' lines share: data sets offline, and our warnings as errors.

Each module runs the lines of one known notebook in its order and its spelling, in a
module fixture, and asserts on what they gave.
"""

import logging
from unittest import mock

import pytest


@pytest.fixture(scope="module", autouse=True)
def no_warnings_of_ours():
    """A notebook of the predecessor is answered without a word of warning."""

    class Refusing(logging.Handler):
        def emit(self, record):
            raise AssertionError(f"{record.name} warned: {record.getMessage()}")

    handler = Refusing(logging.WARNING)
    logger = logging.getLogger("tensorflow_similarity")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """Makes `tfds.load(name)` read what `write(directory)` wrote."""
    import tensorflow_datasets as tfds

    load = tfds.load
    patches = []

    def make(write, **numbers):
        directory = tmp_path_factory.mktemp("tfds")
        write(directory, **numbers)
        patch = mock.patch.object(
            tfds,
            "load",
            lambda *args, **kwargs: load(*args, **{"data_dir": directory, **kwargs}),
        )
        patches.append(patch)
        patch.start()

    yield make
    for patch in patches:
        patch.stop()


@pytest.fixture(autouse=True)
def close_figures():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
