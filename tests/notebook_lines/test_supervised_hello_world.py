"""`supervised_hello_world.ipynb`, in its unreleased form (HEAD) and in 0.17's (PIP)."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.notebook_lines.digit_pictures import (
    CLASSES,
    KNOWN,
    get_model,
    load_data,
)

pytest.importorskip("tensorflow")


def make_sampler(form, tfsim, x_train, y_train):
    if form == "HEAD":
        from tensorflow.data import Dataset

        train_ds = Dataset.from_tensor_slices((x_train, y_train))
        return tfsim.samplers.TFDataSampler(
            ds=train_ds,
            classes_per_batch=6,
            examples_per_class_per_batch=10,
            class_list=CLASSES[:6],
        )
    return tfsim.samplers.MultiShotMemorySampler(
        x_train,
        y_train,
        classes_per_batch=6,
        examples_per_class_per_batch=10,
        class_list=CLASSES[:6],
        steps_per_epoch=30,
    )


@pytest.fixture(scope="module", params=["HEAD", "PIP"])
def notebook(request, tmp_path_factory):
    """The cells, one after the other."""
    form = request.param
    import tensorflow as tf
    from tensorflow.keras import layers
    from tensorflow.keras.optimizers import Adam

    import tensorflow_similarity as tfsim

    tfsim.utils.tf_cap_memory()
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(7)
    (x_train, y_train), (x_test, y_test) = load_data()
    sampler = make_sampler(form, tfsim, x_train, y_train)

    model = get_model(tfsim, layers)
    model.summary(print_fn=lambda line: None)
    loss = tfsim.losses.MultiSimilarityLoss(distance="cosine")
    model.compile(optimizer=Adam(0.002), loss=loss)
    steps = {"steps_per_epoch": 30} if form == "HEAD" else {}
    history = model.fit(
        sampler,
        epochs=2,
        validation_data=(x_test, y_test),
        verbose=0,
        **steps,
    )

    x_index, y_index = tfsim.samplers.select_examples(x_train, y_train, CLASSES, 20)
    model.reset_index()
    model.index(x_index, y_index, data=x_index)

    select = tfsim.samplers.select_examples
    x_display, y_display = select(x_test, y_test, CLASSES, 1)
    nns = model.lookup(x_display, k=5)

    x_calibrate, y_calibrate = select(x_train, y_train, CLASSES, 60)
    calibration = model.calibrate(
        x_calibrate,
        y_calibrate,
        extra_metrics=["precision", "recall", "binary_accuracy"],
        verbose=1,
    )
    matches = model.match(x_display[:10], cutpoint="optimal")
    all_matches = model.match(x_test, cutpoint="optimal", no_match_label=10)

    save_path = tmp_path_factory.mktemp("models") / f"hello_world_{form}"
    model.save(str(save_path), save_index=True)
    reloaded_model = tf.keras.models.load_model(
        str(save_path),
        custom_objects={"SimilarityModel": tfsim.models.SimilarityModel},
    )
    reloaded_model.load_index(str(save_path))
    return SimpleNamespace(**locals())


def test_sampler_holds_ten_of_each_of_the_six_classes(notebook):
    if notebook.form == "HEAD":
        x, y = next(iter(notebook.sampler.as_numpy_iterator()))
    else:
        x, y = notebook.sampler[0]
    assert x.shape == (60, 28, 28) and x.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(y, minlength=10)[KNOWN], [10] * 6)


def test_training_takes_pictures_without_a_channel_and_learns(notebook):
    history = notebook.history.history
    assert len(history["loss"]) == len(history["val_loss"]) == 2
    assert history["loss"][1] < history["loss"][0]
    assert np.isfinite(history["val_loss"]).all()
    assert notebook.loss.name
    embeddings = notebook.model.predict(notebook.x_test[:7], verbose=0)
    assert embeddings.shape == (7, 64)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


def test_select_examples_gives_as_many_of_each_class_without_repeats(notebook):
    assert notebook.x_index.shape == (200, 28, 28)
    np.testing.assert_array_equal(np.bincount(notebook.y_index), [20] * 10)
    assert len(np.unique(notebook.x_index, axis=0)) == 200


def test_neighbours_are_five_by_distance_and_mostly_right(notebook):
    assert notebook.model.index_size() == 200
    assert len(notebook.nns) == 10
    for row in notebook.nns:
        assert [item.rank for item in row] == [1, 2, 3, 4, 5]
        distances = [item.distance for item in row]
        assert distances == sorted(distances) and 0 <= distances[0] <= 2
        assert row[0].data.shape == (28, 28) and row[0].data.dtype == np.uint8
    known = np.isin(notebook.y_test, KNOWN)
    found = notebook.model.lookup(notebook.x_test[known], k=1, verbose=0)
    labels = np.array([row[0].label for row in found])
    assert (labels == notebook.y_test[known]).mean() > 0.85


def test_neighbours_are_drawn_under_the_known_name(notebook):
    import matplotlib.pyplot as plt

    import tensorflow_similarity.visualization as tfsim_visualization

    for idx in np.argsort(notebook.y_display)[:2]:
        tfsim_visualization.viz_neigbors_imgs(
            notebook.x_display[idx],
            notebook.y_display[idx],
            notebook.nns[idx],
            fig_size=(16, 2),
            cmap="Greys",
        )
        figure = plt.gcf()
        assert figure.get_size_inches().tolist() == [16, 2]
        assert len(figure.axes) == 6
        first = notebook.nns[idx][0]
        title = f"{first.label} - {first.distance:.5f}"
        assert figure.axes[1].get_title().endswith(title)


def test_thresholds_are_arrays_of_one_length_within_their_bounds(notebook):
    thresholds = notebook.calibration.thresholds
    names = ["distance", "precision", "recall", "f1", "binary_accuracy"]
    columns = [np.asarray(thresholds[name]) for name in names]
    assert len({column.shape for column in columns}) == 1
    distance, *metrics = columns
    assert (np.diff(distance) > 0).all() and 0 <= distance[0] and distance[-1] <= 2
    assert all(((metric >= 0) & (metric <= 1)).all() for metric in metrics)
    assert (np.diff(thresholds["recall"]) >= 0).all()
    optimal = notebook.calibration.cutpoints["optimal"]
    assert optimal["f1"] == pytest.approx(np.max(thresholds["f1"]))
    assert optimal["distance"] in distance
    assert {"precision", "recall", "binary_accuracy"} <= set(optimal)
    # As the notebook draws them.
    import matplotlib.pyplot as plt

    x = thresholds["distance"]
    _, (ax1, ax2) = plt.subplots(1, 2)
    ax1.plot(x, thresholds["precision"], label="precision")
    ax1.plot(x, thresholds["recall"], label="recall")
    ax1.plot(x, thresholds["f1"], label="f1 score")
    ax2.plot(thresholds["recall"], thresholds["precision"])


def test_matches_are_labels_or_what_was_given_for_none(notebook):
    assert len(notebook.matches) == 10
    assert all(type(match) is int for match in notebook.matches)
    assert set(notebook.matches) <= {-1, *CLASSES}
    assert set(notebook.all_matches) <= {10, *CLASSES}
    nearest = notebook.model.lookup(notebook.x_test, k=1, verbose=0)
    limit = notebook.calibration.cutpoints["optimal"]["distance"]
    expected = [r[0].label if r[0].distance <= limit else 10 for r in nearest]
    assert notebook.all_matches == expected


def test_confusion_matrix_has_a_row_for_each_of_eleven_names(notebook):
    import tensorflow_similarity as tfsim

    labels = [str(i) for i in range(10)] + ["Unknown"]
    y_true = [label if label in KNOWN else 10 for label in notebook.y_test]
    _, cm = tfsim.visualization.confusion_matrix(
        notebook.all_matches, y_true, labels=labels, title="Confusion matrix"
    )
    assert cm.shape == (11, 11)
    occurring = np.isin(np.arange(11), y_true)
    np.testing.assert_allclose(cm.sum(axis=1), occurring)
    assert np.diag(cm)[KNOWN].mean() > 0.7


def test_summaries_say_what_there_is(notebook, capsys):
    notebook.model.index_summary()
    said = capsys.readouterr().out
    assert "200" in said and "cosine" in said
    notebook.reloaded_model.index_summary()
    assert "200" in capsys.readouterr().out


def test_model_saved_as_a_folder_finds_the_same(notebook):
    assert notebook.save_path.is_dir()
    again = notebook.reloaded_model
    assert again.index_size() == 200
    here = notebook.model.lookup(notebook.x_display, k=5, verbose=0)
    there = again.lookup(notebook.x_display, k=5, verbose=0)
    np.testing.assert_allclose(here.distances, there.distances, atol=1e-6)
    np.testing.assert_array_equal(here.labels, there.labels)
    np.testing.assert_array_equal(there[0][0].data, here[0][0].data)
    assert again.match(notebook.x_display[:10]) == notebook.matches


@pytest.mark.slow  # TensorFlow starts once more; `examples/hello_world.py` does so, too
@pytest.mark.parametrize("notebook", ["HEAD"], indirect=True)
def test_model_saved_as_a_folder_is_read_in_a_new_process(notebook):
    script = (
        "import sys, tensorflow as tf, tensorflow_similarity as tfsim\n"
        "objects = {'SimilarityModel': tfsim.models.SimilarityModel}\n"
        "m = tf.keras.models.load_model(sys.argv[1], custom_objects=objects)\n"
        "m.load_index(sys.argv[1])\n"
        "m.index_summary()\n"
        "print('size', m.index_size(), type(m).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script, notebook.save_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "size 200 SimilarityModel" in done.stdout


@pytest.mark.parametrize(
    "distance, name", [("cosine", "cosine"), ("L2", "euclidean"), ("L1", "manhattan")]
)
def test_loss_takes_distances_in_upper_case(distance, name):
    import tensorflow_similarity as tfsim
    import tensorflow_similarity.losses as tfsim_losses

    loss = tfsim_losses.MultiSimilarityLoss(distance=distance)
    assert tfsim.losses.MultiSimilarityLoss is tfsim_losses.MultiSimilarityLoss
    assert loss.distance.name == name
    assert isinstance(tfsim.__version__, str)
