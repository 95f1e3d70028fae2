"""`cars196.ipynb` and the old benchmark, without `ResNet50Sim`, which is not here yet.

`XBM` around each loss, `WarmupCosineDecay` and `NMSLibSearch(method="brute_force")`
have their tests where they live; here they meet as the old programs put them together.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import tensorflow_similarity as tfsim

tf = pytest.importorskip("tensorflow")

N_CLASSES = 4


@pytest.fixture(scope="module")
def program():
    from tensorflow.keras import layers

    from tensorflow_similarity.callbacks import EvalCallback
    from tensorflow_similarity.losses import XBM, MultiSimilarityLoss
    from tensorflow_similarity.retrieval_metrics import (
        MapAtK,
        PrecisionAtK,
        RecallAtK,
    )
    from tensorflow_similarity.schedules import WarmupCosineDecay

    tf.keras.utils.set_random_seed(4)
    rng = np.random.default_rng(9)
    y = np.arange(160) % N_CLASSES
    x = rng.normal(size=(N_CLASSES, 10))[y] + 0.8 * rng.normal(size=(160, 10))
    x_test, y_test = x[:60], y[:60]
    x_train, y_train = x[60:], y[60:]
    class_counts = dict(zip(*np.unique(y_test, return_counts=True), strict=True))

    inputs = layers.Input((10,))
    outputs = tfsim.layers.MetricEmbedding(8)(layers.Dense(16)(inputs))
    model = tfsim.models.SimilarityModel(inputs, outputs)
    loss = XBM(
        loss=MultiSimilarityLoss(
            distance="cosine", alpha=2.0, beta=40.0, epsilon=0.1, lmda=0.5
        ),
        memory_size=64,
        warmup_steps=3,
    )
    schedule = WarmupCosineDecay(max_learning_rate=0.01, total_steps=30, warmup_steps=5)
    model.compile(optimizer=tf.keras.optimizers.Adam(schedule), loss=loss)
    metrics = [
        RecallAtK(k=1, average="micro", drop_closest_lookup=True),
        RecallAtK(k=4, average="macro", drop_closest_lookup=True),
        PrecisionAtK(k=4, average="micro", drop_closest_lookup=True),
        MapAtK(
            k=max(class_counts.values()) - 1,
            r=class_counts,
            clip_at_r=True,
            drop_closest_lookup=True,
            name="map@R",
        ),
    ]
    evaluation = EvalCallback(
        x_test,
        y_test,
        x_test,
        y_test,
        metrics=["binary_accuracy"],
        k=1,
        distance_thresholds=[0.5],
        retrieval_metrics=metrics,
    )
    cars = EvalCallback(
        x_test, y_test, x_train, y_train, metrics=["f1", "binary_accuracy"], k=1
    )
    sampler = tfsim.samplers.MultiShotMemorySampler(
        x_train,
        y_train,
        classes_per_batch=N_CLASSES,
        examples_per_class_per_batch=4,
        steps_per_epoch=15,
    )
    cars_history = model.fit(sampler, epochs=2, callbacks=[cars], verbose=0)
    history = model.fit(sampler, epochs=2, callbacks=[evaluation], verbose=0)
    return SimpleNamespace(**locals())


def test_callbacks_write_their_metrics_into_the_history(program):
    named = [metric.name for metric in program.metrics]
    assert named == ["recall@1", "recall@4", "precision@4", "map@R"]
    for run, names in (
        (program.cars_history.history, ["f1", "binary_accuracy"]),
        (program.history.history, ["binary_accuracy", *named]),
    ):
        for name in names:
            assert len(run[name]) == 2
            assert 0.3 < run[name][-1] <= 1
    recall = [program.history.history[name][-1] for name in named[:2]]
    assert recall[0] <= recall[1]
    # They did not touch the model's own index.
    assert program.model.index_size() == 0


def test_brute_force_of_nmslib_finds_what_is_nearest(program):
    pytest.importorskip("nmslib")
    model = program.model
    search = tfsim.search.NMSLibSearch(distance="cosine", dim=8, method="brute_force")
    model.create_index(distance="cosine", search=search, kv_store="memory")
    model.index(program.x_train, program.y_train, verbose=0)
    found = model.lookup(program.x_test, k=3, verbose=0)
    rows = model.predict(program.x_train, verbose=0).astype("float64")
    queries = model.predict(program.x_test, verbose=0)
    exact = np.sort(1 - queries @ rows.T, axis=1)[:, :3]
    np.testing.assert_allclose(found.distances, exact, atol=1e-5)
    assert model._index.search_type == "nmslib"
