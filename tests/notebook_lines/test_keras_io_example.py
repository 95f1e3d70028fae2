"""The example of keras.io, "Metric learning for image similarity search", on CIFAR-10.

Written against 0.17. Of the data it has everything but the number.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import tensorflow_similarity as tfsim
from tests import tiny_tfds

tf = pytest.importorskip("tensorflow")

CLASSES = {i: name.capitalize() for i, name in enumerate(tiny_tfds.CIFAR10_NAMES)}
N_TRAINED = 8


@pytest.fixture(scope="module")
def example(offline):
    """The cells, one after the other."""
    from tensorflow import keras
    from tensorflow.keras import layers

    offline(tiny_tfds.write_cifar10, n_train=500, n_test=300)
    tf.keras.utils.set_random_seed(5)
    train_ds = tfsim.samplers.TFDatasetMultiShotMemorySampler(
        "cifar10",
        classes_per_batch=N_TRAINED,
        splits="train",
        steps_per_epoch=40,
        examples_per_class_per_batch=8,
        class_list=list(range(N_TRAINED)),
    )
    val_ds = tfsim.samplers.TFDatasetMultiShotMemorySampler(
        "cifar10",
        classes_per_batch=N_TRAINED,
        splits="test",
        total_examples_per_class=20,
    )

    inputs = layers.Input((32, 32, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = layers.Conv2D(16, 3, activation="relu", strides=2)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(16, 3, activation="relu", strides=2)(x)
    x = layers.GlobalMaxPool2D()(x)
    outputs = tfsim.layers.MetricEmbedding(32)(x)
    model = tfsim.models.SimilarityModel(inputs, outputs)
    loss = tfsim.losses.MultiSimilarityLoss()
    model.compile(
        optimizer=keras.optimizers.Adam(0.005), loss=loss, steps_per_execution=10
    )
    history = model.fit(
        train_ds, epochs=3, validation_data=val_ds, validation_steps=50, verbose=0
    )

    x_index, y_index = val_ds.get_slice(begin=0, size=100)
    model.reset_index()
    model.index(x_index, y_index, data=x_index, verbose=0)
    x_train, y_train = train_ds.get_slice(begin=0, size=200)
    calibration = model.calibrate(
        x_train,
        y_train,
        calibration_metric="f1",
        matcher="match_nearest",
        extra_metrics=["precision", "recall", "binary_accuracy"],
        verbose=1,
    )
    x_display, y_display = val_ds.get_slice(begin=100, size=12)
    nns = model.lookup(x_display, k=5)
    # All there are, of the classes that were trained and of those that were not.
    x_confusion, y_confusion = val_ds.get_slice(0, -1)
    matches = model.match(x_confusion, cutpoint="optimal", no_match_label=10)
    return SimpleNamespace(**locals())


def test_training_runs_ten_steps_an_execution_and_learns(example):
    history = example.history.history
    assert example.model.steps_per_execution == 10
    assert int(example.model.optimizer.iterations) == 120
    assert len(history["loss"]) == len(history["val_loss"]) == 3
    assert history["loss"][-1] < history["loss"][0]
    assert np.isfinite(history["val_loss"]).all()


def test_slice_up_to_minus_one_is_everything(example):
    assert len(example.x_confusion) == len(example.y_confusion) == 200
    np.testing.assert_array_equal(np.bincount(example.y_confusion), [20] * 10)
    np.testing.assert_array_equal(example.x_confusion[:100], example.x_index)


def test_calibration_has_the_known_keys_within_bounds(example):
    thresholds = example.calibration.thresholds
    for name in ("f1", "precision", "recall", "binary_accuracy"):
        values = np.asarray(thresholds[name])
        assert values.shape == np.shape(thresholds["distance"])
        assert 0 <= values.min() and values.max() <= 1
    optimal = example.calibration.cutpoints["optimal"]
    assert optimal["f1"] == pytest.approx(np.max(thresholds["f1"]))
    assert 0 < optimal["distance"] < 1 and optimal["f1"] > 0.8


def test_neighbours_of_trained_classes_are_right(example):
    known = example.y_confusion < N_TRAINED
    later = example.x_confusion[100:][known[100:]]
    labels = example.model.lookup(later, k=1, verbose=0).labels[:, 0].astype(int)
    assert (labels == example.y_confusion[100:][known[100:]]).mean() > 0.8


def test_neighbours_are_drawn_with_names_of_a_dict_by_integers(example):
    import matplotlib.pyplot as plt

    # One of each class, as the notebook displays them; classes are 0-d tensors.
    for idx in np.argsort(example.y_display)[:3]:
        tfsim.visualization.viz_neigbors_imgs(
            example.x_display[idx],
            tf.constant(example.y_display)[idx],
            example.nns[idx],
            class_mapping=CLASSES,
            fig_size=(16, 2),
        )
        titles = [axis.get_title() for axis in plt.gcf().axes]
        assert titles[0] == f"query: {CLASSES[int(example.y_display[idx])]}"
        for title, item in zip(titles[1:], example.nns[idx], strict=True):
            assert title.endswith(f"{CLASSES[item.label]} - {item.distance:.5f}")


def test_matches_are_compared_in_counts_of_eleven_classes(example):
    labels = [*CLASSES.values(), "Unknown"]
    _, cm = tfsim.visualization.confusion_matrix(
        example.matches,
        example.y_confusion,
        labels=labels,
        title="Confusion matrix for cut point:optimal",
        normalize=False,
    )
    assert cm.shape == (11, 11) and cm.dtype.kind == "i"
    np.testing.assert_array_equal(cm.sum(axis=1), [20] * 10 + [0])
    assert np.diag(cm)[:N_TRAINED].sum() > 0.8 * 20 * N_TRAINED


def test_examples_that_were_not_matched_are_taken_by_number(example):
    idx_no_match = np.where(np.array(example.matches) == 10)
    no_match_queries = example.x_confusion[idx_no_match]
    assert len(no_match_queries) == example.matches.count(10)
    assert no_match_queries.shape[1:] == (32, 32, 3)
    if len(no_match_queries):
        row = idx_no_match[0][0]
        np.testing.assert_array_equal(no_match_queries[0], example.x_confusion[row])


@pytest.fixture
def quick_layout(monkeypatch):
    """UMAP compiles for ten seconds in a new process; the browser tests wait for it."""
    from tensorflow_similarity.visualization import layout

    def plane(rows, *args):
        return np.asarray(rows[:, :2], np.float32)

    monkeypatch.setattr(layout, "_umap", plane)


def test_projector_takes_the_call_of_the_example(
    example, quick_layout, monkeypatch, tmp_path
):
    from tensorflow_similarity.visualization import projection as projections

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shown = []
    monkeypatch.setattr(projections, "_open", lambda uri: shown.append(uri) or True)
    num_examples_to_clusters = 120
    thumb_size, plot_size = 96, 800
    vx, vy = example.val_ds.get_slice(0, num_examples_to_clusters)
    projection = tfsim.visualization.projector(
        example.model.predict(vx),
        labels=vy,
        images=vx,
        class_mapping=CLASSES,
        image_size=thumb_size,
        plot_size=plot_size,
    )
    assert len(shown) == 1
    assert projection.coordinates.shape == (120, 2)
    assert all(name in projection.html for name in CLASSES.values())
    embeddings = example.model.predict(vx, verbose=0).astype("float64")
    near = 1 - embeddings @ embeddings.T
    np.fill_diagonal(near, np.inf)
    np.testing.assert_allclose(
        projection.neighbor_distances[:, 0], near.min(axis=1), atol=1e-5
    )
