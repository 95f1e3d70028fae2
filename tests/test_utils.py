import logging

import keras
import numpy as np
import pytest

from tensorflow_similarity import utils
from tensorflow_similarity.types import Lookup

pytestmark = pytest.mark.backend_smoke

ROWS = [[Lookup(1, 0.12, 5), Lookup(2, 0.26, None)], [Lookup(1, 0.5, 7)]]


def test_short_rows_are_filled_up_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        labels = utils.unpack_lookup_labels(ROWS, keras.ops.ones(1, "int32").dtype)
        distances = utils.unpack_lookup_distances(ROWS, "float64", 1)
    assert labels.dtype == np.int32
    assert labels.tolist() == [[5, 0x7FFFFFFF], [7, 0x7FFFFFFF]]
    assert distances.tolist() == [[0.1, 0.3], [0.5, np.inf]]
    assert caplog.text.count("1 of 2 queries have fewer than 2 neighbours") == 2


def test_full_rows_say_nothing(caplog):
    assert utils.unpack_lookup_labels(ROWS[:1]).shape == (1, 2)
    assert not caplog.text
    unrounded = utils.unpack_lookup_distances(ROWS[:1])
    np.testing.assert_array_equal(unrounded, np.float32([[0.12, 0.26]]))


def test_text_labels():
    rows = [[Lookup(1, 0.1, "a"), Lookup(2, 0.2, "b")], [Lookup(1, 0.1, "c")]]
    found = utils.unpack_lookup_labels(rows, object)
    assert found.tolist() == [["a", "b"], ["c", None]]
    with pytest.raises(TypeError, match="The labels are text"):
        utils.unpack_lookup_labels(rows, "int32")


def test_labels_beyond_the_dtype_are_refused():
    with pytest.raises(ValueError, match="`dtype` must hold labels up to 300"):
        utils.unpack_lookup_labels([[Lookup(1, 0.1, 300)]], "uint8")


def test_results_go_into_logs_and_to_the_writer(monkeypatch):
    written = []
    monkeypatch.setattr(utils, "write_scalars", lambda *a: written.append(a))
    logs = {"loss": 1.0}
    results = {"f1": np.array([0.25]), "recall": 0.5}
    said = utils.unpack_results(results, 3, logs, "writer", "_known")
    expected = {"f1_known": 0.25, "recall_known": 0.5}
    assert logs == {"loss": 1.0, **expected}
    assert written == [("writer", expected, 3)]
    assert said == ["f1_known: 0.2500", "recall_known: 0.5000"]
    with pytest.raises(ValueError, match="'f1' with shape"):
        utils.unpack_results({"f1": [0.1, 0.2]}, 0, {}, None)


def test_tensors_are_told_from_arrays():
    assert utils.is_tensor_or_variable(keras.ops.ones(2))
    assert utils.is_tensor_or_variable(keras.Variable([1.0]))
    assert not utils.is_tensor_or_variable(np.ones(2))


class Config:
    """Stands for TensorFlow, with two GPUs of which one is in use."""

    def __init__(self):
        self.config = self.experimental = self
        self.grows = []

    def list_physical_devices(self, kind):
        return [type("Device", (), {"name": f"{kind}:{i}"}) for i in range(2)]

    def set_memory_growth(self, device, enable):
        if device.name == "GPU:1":
            raise RuntimeError("too late")
        self.grows.append((device.name, enable))


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_memory_grows_where_tensorflow_computes(backend, monkeypatch, caplog):
    config = Config()
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(utils, "optional_import", lambda *a, **k: config)
    utils.tf_cap_memory()
    if backend == "tensorflow":
        assert config.grows == [("GPU:0", True)]
        assert "memory of GPU:1 is not capped" in caplog.text
    else:
        assert not config.grows and not caplog.text
