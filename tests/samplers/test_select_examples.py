import logging

import keras
import numpy as np
import pytest

from tensorflow_similarity.samplers import select_examples

pytestmark = pytest.mark.backend_smoke

X = np.arange(60)[:, None]
Y = np.repeat([0, 1, 2], [10, 20, 30])


def test_exactly_as_many_per_class_without_replacement():
    x, y = select_examples(X, Y, [2, 0], 10, seed=1)
    assert type(x) is np.ndarray and x.shape == (20, 1)
    assert len(set(x[:, 0])) == 20 and set(x[x[:, 0] < 10][:, 0]) == set(range(10))
    np.testing.assert_array_equal(Y[x[:, 0]], y)
    np.testing.assert_array_equal(np.bincount(y), [10, 0, 10])
    assert (np.diff(y) != 0).sum() > 3  # shuffled, not class after class


def test_all_of_all_classes_by_default():
    x, y = select_examples(X, Y)
    np.testing.assert_array_equal(np.sort(x[:, 0]), np.arange(60))
    np.testing.assert_array_equal(Y[x[:, 0]], y)


def test_a_class_that_ends_repeats_evenly_and_is_reported_once(caplog):
    with caplog.at_level(logging.WARNING):
        x, y = select_examples(X, Y, None, 25, seed=1)
    np.testing.assert_array_equal(np.bincount(y), [25, 25, 25])
    times = np.bincount(x[:, 0], minlength=60)
    assert set(times[:10]) == {2, 3} and set(times[10:30]) == {1, 2}
    assert set(times[30:]) == {0, 1}
    assert [record.getMessage() for record in caplog.records] == [
        "Classes with fewer than num_examples_per_class=25 examples are selected with "
        "repeats: 0: 10, 1: 20."
    ]


def test_the_seed_decides_and_keras_seed_where_there_is_none():
    first = select_examples(X, Y, None, 3, seed=4)[0]
    np.testing.assert_array_equal(first, select_examples(X, Y, None, 3, seed=4)[0])
    keras.utils.set_random_seed(1)
    free = select_examples(X, Y, None, 3)[0]
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(free, select_examples(X, Y, None, 3)[0])


def test_only_the_rows_selected_are_fetched():
    asked = []

    class Source:
        def __len__(self):
            return 60

        def __getitem__(self, row):
            asked.append(row)
            return np.zeros(2)

    select_examples(Source(), Y, [1], 4)
    assert len(asked) == 4


def test_strings_are_labels_too():
    names = np.array(["a", "b", "c"])[Y]
    _, y = select_examples(list(X), names, ["b"], 2)
    assert y.tolist() == ["b", "b"]


def test_wrong_values_are_refused():
    with pytest.raises(ValueError, match=r"Without an example: \[7\]"):
        select_examples(X, Y, [1, 7], 2)
    with pytest.raises(ValueError, match="num_examples_per_class=0"):
        select_examples(X, Y, None, 0)
    with pytest.raises(ValueError, match="60 examples in `x` and 3 labels"):
        select_examples(X, Y[:3])
