"""The minimal example of the old README; ours runs whole in `tests/test_readme.py`.

`layers.experimental.preprocessing.Rescaling` is a user's line that Keras 3 no longer
has; here it is `layers.Rescaling`.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from tests import tiny_mnist

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def example(offline):
    offline(tiny_mnist.write, n_train=600, n_test=100)
    from tensorflow.keras import layers

    from tensorflow_similarity.layers import MetricEmbedding
    from tensorflow_similarity.losses import MultiSimilarityLoss
    from tensorflow_similarity.models import SimilarityModel
    from tensorflow_similarity.samplers import TFDatasetMultiShotMemorySampler

    tf.keras.utils.set_random_seed(3)
    sampler = TFDatasetMultiShotMemorySampler(
        dataset_name="mnist", classes_per_batch=10
    )
    sampler.steps_per_epoch = 12
    inputs = layers.Input(shape=(28, 28, 1))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(64, activation="relu")(x)
    outputs = MetricEmbedding(64)(x)
    model = SimilarityModel(inputs, outputs)
    model.compile("adam", loss=MultiSimilarityLoss())
    history = model.fit(sampler, epochs=5, verbose=0)
    sx, sy = sampler.get_slice(0, 100)
    model.index(x=sx, y=sy, data=sx)
    qx, qy = sampler.get_slice(371, 1)
    nns = model.single_lookup(qx[0])
    return SimpleNamespace(**locals())


def test_five_epochs_are_five_passes_of_the_sampler(example):
    assert len(example.history.history["loss"]) == 5
    assert example.history.history["loss"][-1] < example.history.history["loss"][0]
    assert example.sampler.epoch == 5


def test_single_lookup_finds_five_unless_told_otherwise(example):
    nns = example.nns
    assert [item.rank for item in nns] == [1, 2, 3, 4, 5]
    assert all(item.data.shape == (28, 28, 1) for item in nns)
    embeddings = example.model.predict(example.sx, verbose=0)
    query = example.model.predict(example.qx, verbose=0)
    exact = 1 - query[0].astype("float64") @ embeddings.T
    np.testing.assert_allclose([i.distance for i in nns], np.sort(exact)[:5], atol=1e-5)
    assert nns[0].label == example.sy[exact.argmin()]


def test_most_queries_have_a_right_neighbour(example):
    x, y = example.sampler.get_slice(100, 300)
    labels = example.model.lookup(x, k=1, verbose=0).labels[:, 0]
    assert np.mean(labels.astype(int) == y) > 0.6  # chance is 0.1


def test_class_of_the_query_may_be_a_tensor_without_axes(example):
    import matplotlib.pyplot as plt

    from tensorflow_similarity.visualization import viz_neigbors_imgs

    expected = []
    for label in (example.qy[0], tf.constant(example.qy)[0]):
        viz_neigbors_imgs(example.qx[0], label, example.nns)
        expected.append([axis.get_title() for axis in plt.gcf().axes])
    assert expected[0] == expected[1]
    assert expected[0][0] == f"query: {int(example.qy[0])}"
    wrong = [title.startswith("\N{MULTIPLICATION SIGN}") for title in expected[0][1:]]
    assert wrong == [item.label != example.qy[0] for item in example.nns]
