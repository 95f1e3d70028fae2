"""One setting of training from the first step to answers of a model that was saved.

`python -m tests.models.settings_case` runs those of two replicas, whose devices must be
made before TensorFlow starts.
"""

import contextlib
import json
import sys
import tempfile
import traceback
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.models import SimilarityModel

OUTPUTS = ("one", "two", "dict")
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
WAYS = {"eager": {"run_eagerly": True}, "graph": {}, "xla": {"jit_compile": True}}


def data():
    """30 pictures (n, 4, 4, 1) of 5 classes, classes apart."""
    rng = np.random.default_rng(3)
    y = np.arange(30) % 5
    x = rng.normal(size=(5, 4, 4, 1))[y] + 0.1 * rng.normal(size=(30, 4, 4, 1))
    return x.astype("float32"), y


def make_model(outputs, way):
    keras.utils.set_random_seed(4)
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.Dropout(0.1)(layers.BatchNormalization()(x))
    embedding = MetricEmbedding(4, name="embedding")(layers.Flatten()(x))
    kinds = layers.Dense(5, activation="softmax", dtype="float32", name="kind")(
        layers.Flatten()(x)
    )
    crossentropy = "sparse_categorical_crossentropy"
    structures = {
        "one": (embedding, MultiSimilarityLoss(), None),
        "two": ([kinds, embedding], [crossentropy, MultiSimilarityLoss()], 1),
        "dict": (
            {"embedding": embedding, "kind": kinds},
            {"embedding": MultiSimilarityLoss(), "kind": crossentropy},
            "embedding",
        ),
    }
    structure, loss, output = structures[outputs]
    model = SimilarityModel(inputs, structure)
    model.compile(
        keras.optimizers.SGD(0.05), loss=loss, embedding_output=output, **WAYS[way]
    )
    return model


def targets(outputs, y):
    return {"one": y, "two": [y, y], "dict": {"embedding": y, "kind": y}}[outputs]


def run(outputs, policy, way, folder, strategy=None):
    """Trains, indexes, saves, loads, answers; raises where one of them is wrong."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    x, y = data()
    try:
        with strategy.scope() if strategy else contextlib.nullcontext():
            if strategy and way == "xla":
                with pytest.raises(ValueError, match="cannot run on several replicas"):
                    make_model(outputs, way)
                return
            model = make_model(outputs, way)
        untrained = model.predict_on_batch(x[:1])
        history = model.fit(
            x, targets(outputs, y), batch_size=20, epochs=2, verbose=0
        ).history["loss"]
        assert np.isfinite(history).all(), history
        trained = model.predict_on_batch(x[:1])
        gaps = [
            np.abs(np.asarray(a) - np.asarray(b)).max()
            for a, b in zip(*map(keras.tree.flatten, (untrained, trained)), strict=True)
        ]
        assert min(gaps) > 0, "an output was not trained"

        ids = model.index(x, y, data=x, verbose=0)
        assert len(ids) == model.index_size() == len(x)
        lookups = model.lookup(x[:7], k=2, verbose=0)
        assert lookups.labels.shape == (7, 2)
        tolerance = 1e-3 if policy == "float32" else 2e-2
        assert np.abs(lookups.distances[:, 0]).max() < tolerance, lookups.distances
        assert model.single_lookup(x[3])[0].label == y[3]

        path = Path(folder) / f"{outputs}_{policy}_{way}_{strategy is not None}.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
        again = loaded.lookup(x[:7], k=2, verbose=0)
        np.testing.assert_allclose(
            again.distances, lookups.distances, atol=tolerance, err_msg="loaded"
        )
        history = loaded.fit(x, targets(outputs, y), batch_size=20, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    finally:
        keras.config.set_dtype_policy(before)


def main():
    """Runs the cases named on the command line on two replicas, and prints errors."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    # One for all: the collective operations of two strategies in a process collide.
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in sys.argv[1:]:
            try:
                run(*case.split(","), folder, strategy)
                found[case] = None
            except Exception:
                found[case] = traceback.format_exc()[-3000:]
    sys.stdout.write("FOUND" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
