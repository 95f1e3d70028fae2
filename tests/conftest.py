"""What every test shares: seeds, a backend without a screen, a small data set."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from tests import redis_server  # noqa: E402


@pytest.fixture(autouse=True)
def seeds():
    """Each test starts from the same seeds, alone or in any order."""
    keras.utils.set_random_seed(20)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's 1,797 digits: pictures (n, 8, 8, 1) from 0 to 1, and labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images / 16.0).astype(np.float32)[..., None], data.target


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory):
    """The socket of a Redis server of the tests' own; skips where none can start."""
    with redis_server.started(tmp_path_factory.mktemp("redis")) as server:
        yield server.socket
