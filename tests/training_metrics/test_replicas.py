"""Two replicas measure what one does: the rows of both are one batch."""

import json
import os
import subprocess
import sys

import pytest

from tests.gradients import BACKEND

# The number of logical devices can only be set before TensorFlow starts.
SCRIPT = """
import json
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
half = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [half, half])
from tensorflow_similarity import losses, training_metrics as metrics
from tensorflow_similarity.callbacks import TrainingHealth
from tensorflow_similarity.models import SimilarityModel

generator = np.random.default_rng(3)
x = generator.normal(size=(14, 4)).astype("float32")
y = 2**24 + np.array([0, 1, 0, 1, 2, 2, 0, 1, 1, 2, 0, 2, 1, 0])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def fitted(strategy):
    keras.utils.set_random_seed(4)
    with strategy.scope():
        inputs = keras.Input((4,))
        model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
        loss = losses.TripletLoss(margin=1.0)
        model.compile(
            keras.optimizers.SGD(0.5),
            loss=loss,
            metrics=[
                metrics.avg_pos("cosine"), metrics.max_neg("l2"),
                metrics.sum_pos("l1"), metrics.dist_gap("cosine"),
                metrics.ActiveFraction(loss), metrics.EmbeddingStd(),
                metrics.EffectiveRank(), metrics.Uniformity(), metrics.Alignment(),
            ],
        )
    # Batches of 8 and 6; the last one is 4 + 2 rows, or 3 + 3, as TensorFlow likes.
    health = TrainingHealth(x, y, batch_size=8)
    history = model.fit(
        x, y, batch_size=8, shuffle=False, verbose=0, callbacks=[health]
    )
    return history.history

one, two = fitted(tf.distribute.get_strategy()), fitted(strategy)
gaps = {k: float(np.abs(np.subtract(one[k], two[k])).max()) for k in one}
print("FOUND" + json.dumps([gaps, one]))
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow splits batches so")
@pytest.mark.slow
def test_two_replicas_agree_with_one():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    gaps, values = json.loads(result.stdout.split("FOUND")[1])
    assert len(gaps) == 10
    assert {name: gap for name, gap in gaps.items() if not gap < 1e-4} == {}
    assert all(abs(value[0]) > 1e-3 for value in values.values())
