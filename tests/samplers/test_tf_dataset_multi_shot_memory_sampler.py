import subprocess
import sys

import numpy as np
import pytest

from tensorflow_similarity.samplers import TFDatasetMultiShotMemorySampler
from tests import tiny_mnist


@pytest.fixture(scope="module")
def tfds_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tfds")
    tiny_mnist.write(directory, n_train=300, n_test=100)
    return directory


@pytest.fixture
def make(tfds_directory, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_directory))
    original = tfds.load
    monkeypatch.setattr(
        tfds,
        "load",
        lambda *args, **kwargs: original(*args, data_dir=tfds_directory, **kwargs),
    )

    def make(*args, **kwargs):
        kwargs = {"seed": 1, "steps_per_epoch": 5, "verbose": 0, **kwargs}
        return TFDatasetMultiShotMemorySampler("mnist", *args, **kwargs)

    return make


def test_train_and_test_are_loaded_into_one_array(make):
    sampler = make(classes_per_batch=10)
    assert sampler.num_examples == 400 and sampler.example_shape == (28, 28, 1)
    assert sampler.class_list == list(range(10))
    x, y = sampler[0]
    assert x.shape == (20, 28, 28, 1) and x.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(y), [2] * 10)


@pytest.mark.parametrize(
    "splits, expected", [("test", 100), (["train[:10%]", "test"], 130)]
)
def test_splits_are_a_string_or_a_list(make, splits, expected):
    assert make(splits=splits).num_examples == expected


def test_the_examples_are_those_of_the_splits(make):
    from sklearn.datasets import load_digits

    labels = load_digits().target[300:400]
    _, y = make(splits="test").get_slice()
    np.testing.assert_array_equal(np.bincount(y), np.bincount(labels))


def test_only_classes_asked_for_are_kept(make):
    sampler = make(class_list=[7, 2], total_examples_per_class=9)
    assert sampler.class_list == [7, 2] and sampler.num_examples == 18
    assert set(sampler._y.tolist()) == {2, 7} and len(sampler._x) < 100


def test_preprocess_fn_runs_on_each_example(make):
    def halve(x, y):
        import tensorflow as tf

        return tf.image.resize(x, (14, 14)) / 255, y

    x, _ = make(preprocess_fn=halve)[0]
    assert x.shape == (4, 14, 14, 1) and x.dtype == np.float32 and x.max() <= 1


@pytest.mark.parametrize("key", ["x_key", "y_key"])
def test_unknown_keys_are_refused_with_the_known_ones(make, key):
    message = rf"`{key}` must be a key.*\['image', 'label'\].*{key}='nope'"
    with pytest.raises(ValueError, match=message):
        make(**{key: "nope"})


def test_examples_of_several_shapes_are_refused_with_the_cure(make):
    def ragged(x, y):
        return x[: y + 1], y

    with pytest.raises(ValueError, match="differ in shape.*`preprocess_fn`"):
        make(preprocess_fn=ragged)


def test_too_few_classes_are_refused(make):
    with pytest.raises(ValueError, match="classes_per_batch=11 for 10 classes"):
        make(classes_per_batch=11)


def test_progress_is_shown_unless_silenced(make, capsys):
    make(splits="test")
    assert capsys.readouterr().err == ""
    make(splits="test", verbose=1)
    assert "Loading examples" in capsys.readouterr().err


def test_importing_samplers_loads_neither_tensorflow_nor_its_datasets():
    script = (
        "import os, sys; os.environ['KERAS_BACKEND'] = 'jax'\n"
        "import tensorflow_similarity.samplers\n"
        "print([m for m in ('tensorflow', 'tensorflow_datasets') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
