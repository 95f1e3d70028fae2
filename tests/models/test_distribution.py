"""Models on two devices answer and train as on one, on TensorFlow and JAX."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.gradients import BACKEND

pytestmark = pytest.mark.ci

# The number of devices can only be set before the backend starts.
START = """
    import json
    import keras, numpy as np
    from tensorflow_similarity.layers import MetricEmbedding
    from tensorflow_similarity.losses import XBM, ProxyAnchorLoss, TripletLoss
    from tensorflow_similarity.models import SimilarityModel

    rng = np.random.default_rng(3)
    x = rng.normal(size=(16, 4)).astype("float32")
    y = np.array([0, 1, 2, 0, 1, 2, 0, 0] * 2)
    found = {}

    class Rows(keras.metrics.Sum):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(keras.ops.ones_like(y_pred[:, 0]))

    def model_of(loss):
        keras.utils.set_random_seed(4)
        inputs = keras.Input((4,))
        model = SimilarityModel(inputs, MetricEmbedding(3)(inputs))
        model.compile(
            keras.optimizers.SGD(0.1), loss=loss, metrics=[Rows(name="rows")],
            search="linear",
        )
        return model

    def indexed(model, n):
        # Each row is indexed once, and finds itself.
        model.reset_index()
        ids = model.index(x[:n], y[:n], verbose=0)
        lookups = model.lookup(x[:n], k=1, verbose=0)
        return {
            "indexed": len(ids), "size": model.index_size(),
            "looked up": np.asarray(lookups.ids)[:, 0].tolist(),
            "distance": float(np.abs(lookups.distances).max()),
        }

    def evaluated(model, n):
        return model.evaluate(x[:n], y[:n], batch_size=4, verbose=0, return_dict=True)

    def tried(call, *args):
        try:
            return call(*args)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def gap(a, b):
        return float(np.abs(np.subtract(a, b)).max())
"""

STRATEGY = """
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    one = model_of(TripletLoss(margin=1.0))
    with strategy.scope():
        two = model_of(TripletLoss(margin=1.0))
    # Keras 3.15 evaluates no fewer rows than there are replicas.
    for call, n in ((indexed, 7), (indexed, 1), (evaluated, 8), (evaluated, 7)):
        with strategy.scope():
            of_two = tried(call, two, n)
        found[f"{call.__name__} {n}"] = [tried(call, one, n), of_two]

    def memory_of(scope):
        with scope:
            loss = XBM(TripletLoss(margin=1.0), 9, warmup_steps=1)
            model = model_of(loss)
        model.fit(x, y, batch_size=6, shuffle=False, verbose=0)
        model.evaluate(x, y, verbose=0)
        return model.get_weights()[0], loss._y_pred_memory, loss._y_true_memory.tolist()

    (a, rows, labels), (b, its_rows, its_labels) = (
        memory_of(s.scope()) for s in (tf.distribute.get_strategy(), strategy)
    )
    found["memory"] = [gap(a, b), gap(rows, its_rows), labels == its_labels]
    found["memory"].append(len(labels))
"""

PARALLEL = """
    import jax
    assert len(jax.devices()) == 2
    for name, make in {
        "pairs": lambda: TripletLoss(margin=1.0),
        "proxies": lambda: ProxyAnchorLoss(3),
        "memory": lambda: XBM(TripletLoss(margin=1.0), 10),
    }.items():
        fitted, seen = [], []
        for devices in (1, 2):
            keras.distribution.set_distribution(
                keras.distribution.DataParallel(devices=jax.devices()[:devices])
            )
            loss = make()
            model = model_of(loss)
            model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
            fitted.append(model.get_weights())
            # Blocks are filled up to 8 rows; what is evaluated has to be even.
            seen.append({**indexed(model, 7), **evaluated(model, 8)})
        scales = [np.abs(weight).max() for weight in fitted[0]]
        found[name] = [max(np.array(list(map(gap, *fitted))) / scales), seen]
        if name == "memory":
            found["targets"] = loss._y_true_memory.tolist()
    found["refused"] = []
    for uneven in (model.fit, model.evaluate):
        try:
            uneven(x[:7], y[:7], batch_size=4, verbose=0)
        except ValueError as error:
            found["refused"].append(str(error))
    found["after"] = len(model.predict_on_batch(x[:2]))
"""


def run(program, **environment):
    code = START + program + '\n    print("FOUND" + json.dumps(found, default=str))'
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.split("FOUND")[1])


def found_once(answer, n):
    """Whether every row is in the index once, and was found."""
    assert (answer["indexed"], answer["size"]) == (n, n)
    assert answer["looked up"] == list(range(n))
    assert answer["distance"] < 1e-6


@pytest.fixture(scope="module")
def on_replicas():
    return run(STRATEGY)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's strategies")
def test_replicas_evaluate_every_row_once(on_replicas):
    for n in (8, 7):
        one, two = on_replicas[f"evaluated {n}"]
        assert one["rows"] == two["rows"] == n
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's strategies")
def test_replicas_share_one_memory(on_replicas):
    weights, rows, same_targets, n_rows = on_replicas["memory"]
    assert weights < 1e-6 and rows < 1e-6
    assert same_targets and n_rows == 9


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's strategies")
@pytest.mark.parametrize("n", [7, 1])
def test_replicas_index_and_find_every_row_once(on_replicas, n):
    for answer in on_replicas[f"indexed {n}"]:
        found_once(answer, n)


@pytest.mark.skipif(BACKEND != "jax", reason="JAX's data parallelism")
def test_two_devices_train_and_answer_as_one():
    flags = "--xla_force_host_platform_device_count=2"
    found = run(PARALLEL, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    assert found.pop("targets") == [0, 0, 2, 1, 0, 2, 1, 0, 0, 0]
    # Refused before anything runs: the model still answers.
    assert found.pop("after") == 2
    refused = found.pop("refused")
    assert len(refused) == 2
    assert all("7 examples in batches of 4, so one of 3" in text for text in refused)
    assert sorted(found) == ["memory", "pairs", "proxies"]
    for gap, (one, two) in found.values():
        assert gap < 1e-6
        for answer in (one, two):
            found_once(answer, 7)
            assert answer["rows"] == 8
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-6)
