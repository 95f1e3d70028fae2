"""`sampler_io_cookbook.ipynb`: examples from arrays, augmenters and TFDS."""

from types import SimpleNamespace

import numpy as np
import pytest

import tensorflow_similarity as tfsim
from tests import tiny_tfds

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def multi_shot():
    """The first part: MultiShotMemorySampler."""
    num_ms_examples, num_ms_features, num_ms_classes = 1000, 10, 10
    rng = np.random.default_rng(1)
    X = rng.uniform(size=(num_ms_examples, num_ms_features)).astype("float32")
    y = np.repeat(np.arange(num_ms_classes), 100).astype("uint8")
    ms_sampler = tfsim.samplers.MultiShotMemorySampler(
        X, y, classes_per_batch=3, examples_per_class_per_batch=5, class_list=[1, 4, 7]
    )
    batch = ms_sampler.generate_batch(100)
    X_slice, y_slice = ms_sampler.get_slice(begin=200, size=10)
    return SimpleNamespace(**locals())


def test_multi_shot_sampler_counts_what_it_holds(multi_shot):
    sampler = multi_shot.ms_sampler
    assert len(sampler) == 1000
    assert sampler.num_examples == 300
    assert tuple(sampler.example_shape) == (10,)


def test_batch_by_number_is_taken_by_functions_of_tensorflow(multi_shot):
    X, y = multi_shot.batch
    assert tf.shape(X).numpy().tolist() == [15, 10]
    assert tf.shape(y).numpy().tolist() == [15]
    class_counts = tf.unique_with_counts(y)
    assert sorted(tf.unique(y).y.numpy()) == [1, 4, 7]
    assert class_counts.count.numpy().tolist() == [5, 5, 5]
    rows = {
        row.tobytes(): label
        for row, label in zip(multi_shot.X, multi_shot.y, strict=True)
    }
    assert [rows[row.tobytes()] for row in np.asarray(X)] == list(y)


def test_slice_is_ten_examples_from_the_two_hundredth(multi_shot):
    X, y = multi_shot.X_slice, multi_shot.y_slice
    assert tf.shape(X).numpy().tolist() == [10, 10]
    assert set(tf.unique(y)[0].numpy()) <= {1, 4, 7}
    whole, labels = multi_shot.ms_sampler.get_slice()
    np.testing.assert_array_equal(whole[200:210], X)
    np.testing.assert_array_equal(labels[200:210], y)


@pytest.fixture(scope="module")
def single_shot():
    """The second part: SingleShotMemorySampler with an augmenter of one's own."""
    aug_x = tf.random.uniform((100, 8))
    calls = []

    def augmenter(
        x: tfsim.types.FloatTensor,
        y: tfsim.types.IntTensor,
        examples_per_class: int,
        is_warmup: bool,
        stddev=0.025,
    ):
        """Adds a noisy copy of every example."""
        calls.append((examples_per_class, is_warmup))
        aug_x = x + tf.random.normal(tf.shape(x), stddev=stddev)
        x = tf.concat((x, aug_x), axis=0)
        y = tf.concat((y, y), axis=0)
        idxs = tf.range(start=0, limit=tf.shape(x)[0], dtype="int32")
        idxs = tf.random.shuffle(idxs)
        return tf.gather(x, idxs), tf.gather(y, idxs)

    ss_sampler = tfsim.samplers.SingleShotMemorySampler(
        aug_x,
        augmenter=augmenter,
        examples_per_batch=18,
        num_augmentations_per_example=1,
    )
    batch = ss_sampler[0]
    X_slice, y_slice = ss_sampler.get_slice(begin=0, size=10)
    return SimpleNamespace(**locals())


def test_each_example_stands_in_the_batch_beside_its_noisy_copy(single_shot):
    X, y = single_shot.batch
    assert tf.shape(X).numpy().tolist() == [36, 8]
    found = tf.unique_with_counts(y)
    assert len(found.y) == 18 and set(found.count.numpy()) == {2}
    # The label of an example is its number.
    originals = np.asarray(single_shot.aug_x)[np.asarray(y)]
    away = np.abs(np.asarray(X) - originals).max(axis=1)
    assert (away == 0).sum() == 18 and away.max() < 0.2
    assert set(single_shot.calls) == {(1, False)}


def test_slice_of_single_shot_sampler_is_augmented_too(single_shot):
    X, y = single_shot.X_slice, single_shot.y_slice
    assert tf.shape(X).numpy().tolist() == [20, 8]
    assert len(tf.unique(y).y) == 10
    assert single_shot.ss_sampler.num_examples == 100
    assert tuple(single_shot.ss_sampler.example_shape) == (8,)
    assert len(single_shot.ss_sampler) == 1000


@pytest.fixture(scope="module")
def pets(offline):
    """The third part: TFDatasetMultiShotMemorySampler."""
    offline(tiny_tfds.write_oxford_iiit_pet, n_train=192, n_test=64)
    IMG_SIZE = 24

    def resize(img, label):
        with tf.device("/cpu:0"):
            img = tf.cast(img, dtype="int32")
            img = tf.image.resize_with_pad(img, IMG_SIZE, IMG_SIZE)
            return img, label

    train_ds = tfsim.samplers.TFDatasetMultiShotMemorySampler(
        "oxford_iiit_pet",
        splits="train",
        examples_per_class_per_batch=2,
        classes_per_batch=4,
        preprocess_fn=resize,
        class_list=list(range(6)),
        total_examples_per_class=20,
    )
    test_ds = tfsim.samplers.TFDatasetMultiShotMemorySampler(
        "oxford_iiit_pet",
        splits="test",
        examples_per_class_per_batch=1,
        classes_per_batch=8,
        preprocess_fn=resize,
        total_examples_per_class=8,
    )
    return train_ds, test_ds


def test_twenty_pets_of_each_of_the_classes_are_kept(pets):
    train_ds, test_ds = pets
    assert train_ds.num_examples == 120
    assert test_ds.num_examples == 64
    assert tuple(train_ds.example_shape) == (24, 24, 3)
    _, y = train_ds.get_slice()
    assert np.bincount(y).tolist() == [20] * 6


def test_batches_of_pets_are_pictures_of_one_size(pets):
    train_ds, test_ds = pets
    X, y = train_ds.generate_batch(100)
    assert tf.shape(X).numpy().tolist() == [8, 24, 24, 3]
    assert sorted(tf.unique_with_counts(y).count.numpy()) == [2, 2, 2, 2]
    assert set(np.asarray(y)) <= set(range(6))
    X, y = test_ds[0]
    assert X.shape == (8, 24, 24, 3) and sorted(y) == list(range(8))
    assert 100 < X.max() <= 255 and X.min() >= 0


def test_pets_of_a_class_look_alike(pets):
    x, y = pets[0].get_slice(0, 100)
    # Bars of padding stand where the picture was not square.
    middle = x[:, 9:15, 9:15].reshape(len(x), -1)
    means = np.array([middle[y == label].mean(axis=0) for label in range(6)])
    nearest = ((middle[:, None] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == y).mean() > 0.8
