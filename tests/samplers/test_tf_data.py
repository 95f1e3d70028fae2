"""`as_tf_dataset`: the batches of the sampler itself, pass after pass."""

import keras
import numpy as np
import pytest

from tensorflow_similarity.samplers import (
    MultiShotMemorySampler,
    SingleShotMemorySampler,
)

X = np.arange(120 * 4, dtype=np.uint8).reshape(120, 2, 2)
Y = np.arange(120) % 6


def make(x=X, y=Y, **kwargs):
    kwargs = {"classes_per_batch": 3, "steps_per_epoch": 20, "seed": 5, **kwargs}
    return MultiShotMemorySampler(x, y, **kwargs)


def same(batches, others):
    for batch, other in zip(batches, others, strict=True):
        keras.tree.map_structure(np.testing.assert_array_equal, batch, other)


def expected(sampler, number):
    n_steps = len(sampler)
    return [sampler.generate_batch(number * n_steps + i) for i in range(n_steps)]


def noisy(x, y, num_augmentations_per_example, is_warmup):
    return (x + is_warmup, x), y


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"x": list(X)},
        {"x": [{"a": x, "b": 1.0} for x in X]},
        {"load_example_fn": lambda x: x / 2},
        {"augmenter": noisy, "warmup": 1},
        {"y": np.array(list("abcdef"))[Y]},
        {"fixed": True},
        {"workers": 2},
        {"steps_per_epoch": 1},
        {"x": np.zeros((120, 600, 600), np.uint8), "steps_per_epoch": 3},
    ],
)
def test_each_iteration_is_the_next_pass(kwargs):
    sampler = make(**kwargs)
    dataset = sampler.as_tf_dataset()
    assert int(dataset.cardinality()) == len(sampler)
    for number in range(3):
        assert sampler.epoch == number
        same(dataset.as_numpy_iterator(), expected(make(**kwargs), number))
    assert dataset.element_spec[1].dtype == "int32"


def test_shapes_are_known_to_the_graph():
    x, y = make().as_tf_dataset().element_spec
    assert x.shape == (6, 2, 2) and y.shape == (6,) and x.dtype == "uint8"


def test_an_iteration_left_early_ends_no_pass():
    sampler = make()
    dataset = sampler.as_tf_dataset()
    same(dataset.take(1).as_numpy_iterator(), expected(make(), 0)[:1])
    assert sampler.epoch == 0


def test_a_dataset_starts_at_the_sampler_s_pass():
    sampler = make()
    sampler.resume(40)
    same(sampler.as_tf_dataset().as_numpy_iterator(), expected(make(), 2))


def test_repeat_makes_a_stream_without_end():
    stream = make().as_tf_dataset().repeat().take(50)
    same(
        stream.as_numpy_iterator(),
        [make().generate_batch(i) for i in range(50)],
    )


def test_single_shots_are_augmented():
    def twice(x, y, n, warm):
        return np.concatenate([x, x]), np.concatenate([y, y])

    def sampler():
        return SingleShotMemorySampler(X, twice, 8, steps_per_epoch=4, seed=1)

    same(sampler().as_tf_dataset().as_numpy_iterator(), expected(sampler(), 0))


@pytest.mark.parametrize("steps", [None, 20])
def test_fit_takes_one_pass_per_epoch(steps):
    sampler = make(warmup=2)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append((sampler.epoch, sampler.is_warmup))

    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    model.fit(
        sampler.as_tf_dataset(),
        epochs=3,
        steps_per_epoch=steps,
        shuffle=False,
        callbacks=[Watch()],
        verbose=0,
    )
    assert seen == [(0, True), (1, True), (2, False)]
    assert int(model.optimizer.iterations) == 60


def test_the_source_is_neither_copied_nor_read_before_its_time():
    asked = []

    class Source:
        def __len__(self):
            return 120

        def __getitem__(self, row):
            asked.append(row)
            return X[row]

    dataset = make(x=Source(), steps_per_epoch=1).as_tf_dataset()
    assert len(asked) == 6  # one batch, to learn its form
    list(dataset)
    assert len(asked) == 12


def test_a_change_of_steps_asks_for_another_dataset():
    import tensorflow as tf

    sampler = make()
    dataset = sampler.as_tf_dataset()
    sampler.steps_per_epoch = 7
    with pytest.raises(tf.errors.UnknownError, match="made for steps_per_epoch=20"):
        list(dataset)
