"""What several devices cannot do is said before it fails; without several of them."""

import types

import numpy as np
import pytest

from tensorflow_similarity.models import devices
from tests.gradients import BACKEND

pytestmark = pytest.mark.backend_smoke


@pytest.mark.parametrize("n_replicas", [1, 2])
def test_xla_over_several_replicas_is_refused(n_replicas):
    strategy = types.SimpleNamespace(num_replicas_in_sync=n_replicas)
    model = types.SimpleNamespace(distribute_strategy=strategy)
    if n_replicas == 1:
        return devices.check_compilable(model)
    with pytest.raises(
        ValueError, match=r"cannot run on several replicas.*jit_compile"
    ):
        devices.check_compilable(model)


def test_compile_asks(monkeypatch, model):
    asked = []
    monkeypatch.setattr(devices, "n_replicas", lambda model: asked.append(model) or 2)
    with pytest.raises(ValueError, match="a model of 2 replicas"):
        model.compile("sgd", loss=model.loss, jit_compile=True)
    assert asked == [model]
    model.compile("sgd", loss=model.loss, jit_compile=False)


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX splits arrays so")
@pytest.mark.parametrize(
    ("n", "batch_size", "uneven"),
    [(8, 4, None), (8, None, None), (8, 3, 3), (9, 4, 1), (7, None, 7)],
)
def test_batches_that_do_not_split_are_refused(monkeypatch, n, batch_size, uneven):
    import keras

    class TwoDevices(keras.distribution.DataParallel):
        def __init__(self):
            mesh = types.SimpleNamespace(shape=(2,))
            self._device_mesh = mesh

    monkeypatch.setattr(keras.distribution, "distribution", TwoDevices)
    if uneven is None:
        return devices.check_even(np.ones((n, 2)), batch_size)
    with pytest.raises(ValueError, match=f"evenly over 2 devices.* so one of {uneven}"):
        devices.check_even(np.ones((n, 2)), batch_size)
