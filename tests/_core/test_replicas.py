"""Batches split over replicas: the loss of the whole batch, in value and gradient."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from keras import ops

from tensorflow_similarity._core import replicas
from tests.gradients import BACKEND

pytestmark = pytest.mark.backend_smoke

# The number of logical devices can only be set before TensorFlow starts.
SCRIPT = """
import json
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
half = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [half, half])
from tensorflow_similarity.losses import InfoNCELoss, MultiSimilarityLoss, TripletLoss

generator = np.random.default_rng(3)
x = generator.normal(size=(7, 4)).astype("float32")
labels = 2**24 + np.array([0, 1, 0, 1, 2, 2, 0])
relation = (labels[:, None] == labels).astype("float32")
weights = np.array([1.0, 2.0, 0.5, 1.0, 0.0, 3.0, 1.0], "float32")
found = {}

class MoreKeys(InfoNCELoss):
    def __call__(self, queries, keys, weights):
        return super().__call__(queries, tf.concat([keys, keys**2], 0), weights)

# One for all: the collective operations of two strategies in a process collide.
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def whole(loss, y, w):
    t = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(t)
        value = loss(y, t, w)
    return value.numpy(), tape.gradient(value, t).numpy()

def split(loss, y, w, n_first):
    rows = [slice(0, n_first), slice(n_first, None)]
    def pick(array):
        return strategy.experimental_distribute_values_from_function(
            lambda c: tf.constant(array[rows[c.replica_id_in_sync_group]])
        )
    def step(t, y, w):
        with tf.GradientTape() as tape:
            tape.watch(t)
            value = loss(y, t, w)
        return value, tape.gradient(value, t)
    with strategy.scope():
        outputs = strategy.run(
            tf.function(step), args=(pick(x), pick(y), None if w is None else pick(w))
        )
    values, gradients = (strategy.experimental_local_results(o) for o in outputs)
    gradient = np.concatenate([g.numpy() for g in gradients])
    if loss.reduction is None:
        return np.concatenate([v.numpy() for v in values]), gradient
    return sum(v.numpy() for v in values), gradient

for case, (loss, y, w, n_first) in enumerate([
    (TripletLoss(margin=1.0), labels, None, 4),
    (MultiSimilarityLoss(), labels, weights, 6),
    (TripletLoss(reduction="mean_with_sample_weight"), labels, weights, 4),
    (TripletLoss(reduction="sum", targets="relation"), relation, weights, 6),
    (TripletLoss(reduction=None), labels, weights, 4),
    (MoreKeys(), x[::-1] + 1, weights, 4),
    (MoreKeys(reduction=None, false_negative_margin=0.1), x[::-1] + 1, None, 6),
]):
    (value, gradient), (its_value, its_gradient) = whole(loss, y, w), split(
        loss, y, w, n_first
    )
    assert np.abs(gradient).max() > 1e-3
    assert np.shape(value) == np.shape(its_value)
    found[f"value {case}"] = float(np.abs(value - its_value).max())
    found[f"gradient {case}"] = float(np.abs(gradient - its_gradient).max())

def fitted(strategy):
    keras.utils.set_random_seed(4)
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(keras.optimizers.SGD(0.5), loss=TripletLoss(margin=1.0))
    # Batches of 4 and 3: replicas get 2 + 2 and 2 + 1 rows. Keras 3.15 averages the
    # first batch over replicas to build the model, so that one has to be even.
    history = model.fit(x, labels, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()[0], history.history["loss"]

one, two = fitted(tf.distribute.get_strategy()), fitted(strategy)
found["weights after fit"] = float(np.abs(one[0] - two[0]).max())
found["loss of fit"] = float(np.abs(np.subtract(one[1], two[1])).max())
print("FOUND" + json.dumps(found))
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow splits batches so")
def test_two_replicas_with_unequal_batches_agree_with_one():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.split("FOUND")[1])
    assert len(found) == 2 * 7 + 2
    assert {key: gap for key, gap in found.items() if not gap < 1e-5} == {}


def test_a_single_process_is_its_own_whole():
    rows = ops.convert_to_tensor(np.ones((3, 2), "float32"))
    assert replicas.n_replicas() == 1
    assert replicas.gather(rows)[0] is rows
    assert replicas.own_rows(rows, 3) is rows


@pytest.mark.skipif(BACKEND == "tensorflow", reason="it is the backend")
def test_losses_leave_tensorflow_out():
    code = (
        "import sys, numpy as np; from tensorflow_similarity.losses import TripletLoss;"
        "TripletLoss()(np.array([0, 0, 1]), np.eye(3, dtype='float32'));"
        "assert 'tensorflow' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
