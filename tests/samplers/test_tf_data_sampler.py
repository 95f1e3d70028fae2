import itertools

import numpy as np
import pytest

from tensorflow_similarity.samplers import TFDataSampler

tf = pytest.importorskip("tensorflow")

X = np.arange(40, dtype=np.float32)
Y = (np.arange(40) % 5).astype(np.uint8)


def dataset(x=X, y=Y, *rest):
    return tf.data.Dataset.from_tensor_slices((x, y, *rest))


def batches(n, *args, **kwargs):
    kwargs = {"seed": 3, **kwargs}
    found = TFDataSampler(*args, **kwargs)
    assert int(found.cardinality()) == tf.data.INFINITE_CARDINALITY
    return list(itertools.islice(found.as_numpy_iterator(), n))


def test_batches_hold_p_classes_of_k_examples_side_by_side():
    for x, y in batches(7, dataset(), 3, 4):
        assert x.shape == (12,) and y.dtype == np.int32
        blocks = y.reshape(3, 4)
        assert (blocks == blocks[:, :1]).all() and len(set(blocks[:, 0])) == 3
        np.testing.assert_array_equal(x % 5, y)


def test_no_example_repeats_before_all_of_its_class_were_used():
    xs = np.concatenate([x for x, _ in batches(4, dataset(), 5, 2)])
    assert sorted(xs) == sorted(X)


def test_classes_and_examples_are_limited():
    found = batches(20, dataset(), 2, 2, [4, 1], 3)
    assert {int(label) for _, y in found for label in y} == {1, 4}
    assert len({float(one) for x, _ in found for one in x}) == 6


def test_same_seed_draws_the_same():
    one, other, third = (batches(3, dataset(), seed=s) for s in (1, 1, 2))
    for (x, _), (same, _) in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, same)
    assert any((a[0] != b[0]).any() for a, b in zip(one, third, strict=True))


def test_what_follows_x_and_y_stays_with_them():
    found = batches(3, dataset({"a": X, "b": -X}, Y, X * 2), 2, 2)
    for x, _, rest in found:
        np.testing.assert_array_equal(x["a"], -x["b"])
        np.testing.assert_array_equal(rest, 2 * x["a"])


@pytest.mark.parametrize(
    "y, label_output", [((X, Y), 1), ({"size": X, "class": Y}, "class")]
)
def test_label_is_picked_from_a_y_of_several_parts(y, label_output):
    for _, targets in batches(3, dataset(X, y), 3, 2, label_output=label_output):
        labels = targets[label_output]
        assert len(set(labels.tolist())) == 3 and labels.dtype == np.uint8
        other = targets[0 if label_output == 1 else "size"]
        np.testing.assert_array_equal(other % 5, labels)


def test_string_labels_become_their_places():
    names = np.array(["d", "b", "c"])[np.arange(40) % 3]
    for x, y in batches(3, dataset(X, names), 3, 1):
        np.testing.assert_array_equal(np.array([2, 0, 1])[x.astype(int) % 3], y)


def test_string_classes_are_chosen_and_named_as_they_were_given():
    names = np.array(["d", "bé", "c"])[np.arange(40) % 3]
    for wanted in (
        ["c", "bé"],
        [b"c", "bé".encode()],
        tf.constant(["c", "bé"]),
    ):
        found = TFDataSampler(dataset(X, names), 2, 2, wanted, seed=3)
        assert found.class_list == ["c", "bé"]
        for x, y in itertools.islice(found.as_numpy_iterator(), 5):
            picked = names[x.astype(int)].tolist()
            assert [found.class_list[place] for place in y] == picked
    with pytest.raises(
        ValueError, match=r"Without an example: \['e'\].*'bé', 'c', 'd'"
    ):
        TFDataSampler(dataset(X, names), class_list=["e"])


def test_class_list_tells_which_label_a_place_stands_for():
    ids = 2**40 - np.arange(40) % 3
    for ds, options in [
        (dataset(X, ids), {}),
        (dataset(X, {"id": ids}), {"label_output": "id"}),
    ]:
        found = TFDataSampler(ds, 3, 2, augmenter=lambda x, y: (x, y), **options)
        assert found.class_list == [2**40 - 2, 2**40 - 1, 2**40]
    for x, y in batches(5, dataset(X, ids), 3, 2):
        np.testing.assert_array_equal(y, 2 - x.astype(int) % 3)
    assert TFDataSampler(dataset(), class_list=[4, 1]).class_list == [4, 1]


def test_bytes_that_are_no_text_are_labels_too():
    names = np.array([b"\xff", b"\xfe"], object)[np.arange(40) % 2]
    ds = tf.data.Dataset.from_tensor_slices((X, tf.constant(names)))
    for x, y in batches(3, ds, class_list=[b"\xff", b"\xfe"]):
        np.testing.assert_array_equal(x.astype(int) % 2, y)


def test_labels_may_stand_in_a_column():
    for x, y in batches(3, dataset(X[:, None], Y[:, None])):
        assert x.shape == (4, 1) and y.shape == (4,)
        np.testing.assert_array_equal(x[:, 0] % 5, y)


def test_load_fn_comes_before_the_augmenter_and_warmup_counts_examples():
    def load(x, y):
        return x + 100.0, y

    def augment(x, y):
        return -x, y

    plain = batches(4, dataset(), 2, 3)
    changed = batches(4, dataset(), 2, 3, augmenter=augment, load_fn=load, warmup=8)
    sign = np.where(np.arange(24) < 8, 1, -1)
    for i, ((x, y), (new, same)) in enumerate(zip(plain, changed, strict=True)):
        np.testing.assert_array_equal(y, same)
        np.testing.assert_array_equal(new, (x + 100) * sign[6 * i : 6 * i + 6])
    for (x, _), (new, _) in zip(
        plain, batches(4, dataset(), 2, 3, augmenter=augment), strict=True
    ):
        np.testing.assert_array_equal(new, -x)


def test_load_fn_may_read_what_differs_in_shape():
    def load(path, y):
        return tf.fill([8], tf.strings.to_number(path)), y

    paths = np.array([str(i) for i in range(40)])
    for x, y in batches(2, dataset(paths), load_fn=load):
        assert x.shape == (4, 8)
        np.testing.assert_array_equal(x[:, 0] % 5, y)


@pytest.mark.parametrize(
    "ds, options, words",
    [
        (dataset().repeat(), {}, r"Dataset must be finite\. `ds\.take"),
        (dataset().filter(lambda x, y: True), {}, "cardinality must be known.*assert_"),
        (dataset().take(0), {}, "at least one example"),
        (tf.data.Dataset.range(3), {}, r"elements \(x, y\)"),
        (dataset(X, (X, Y)), {}, r"one of \[0, 1\].*label_output=None"),
        (dataset(X, {"a": Y}), {"label_output": "b"}, r"\['a'\].*label_output='b'"),
        (dataset(), {"label_output": 0}, "None: y is the label.*label_output=0"),
        (dataset(X, (X, Y)), {"label_output": True}, r"\[0, 1\].*label_output=True"),
        (dataset(X, (X, Y)), {"label_output": 1.0}, r"\[0, 1\].*label_output=1.0"),
        (dataset(X, (X, (X, Y))), {"label_output": 1}, "must be one tensor"),
        (dataset(), {"classes_per_batch": 6}, "classes_per_batch=6 for 5 classes"),
        (dataset(), {"class_list": [9, 8]}, "Without an example"),
    ],
)
def test_bad_datasets_are_named(ds, options, words):
    with pytest.raises(ValueError, match=words):
        TFDataSampler(ds, **options)


@pytest.mark.parametrize(
    "ds",
    [
        dataset().batch(1),
        dataset().batch(8),
        dataset().batch(8, drop_remainder=True),
        dataset(np.ones((40, 4))).batch(1).map(lambda x, y: (x, y)),
        dataset(np.ones((40, 4)), tf.one_hot(Y, 5)).batch(7),
    ],
)
def test_batched_datasets_are_refused_with_the_cure(ds):
    with pytest.raises(ValueError, match=r"one example.*looks batched.*`ds\.unbatch\("):
        TFDataSampler(ds)


def test_unbatched_is_what_it_was_before():
    ds = dataset().batch(8, drop_remainder=True).unbatch()
    for (x, y), (same, label) in zip(
        batches(3, dataset()), batches(3, ds), strict=True
    ):
        np.testing.assert_array_equal(x, same)
        np.testing.assert_array_equal(y, label)


def test_one_hot_labels_are_refused_with_the_cure():
    for x in (np.ones((40, 4)), X):
        ds = dataset(x, tf.one_hot(Y, 5))
        with pytest.raises(ValueError, match=r"shape \(5,\)\. For one-hot.*argmax"):
            TFDataSampler(ds)
        TFDataSampler(ds.map(lambda x, y: (x, tf.argmax(y))))


@pytest.mark.parametrize(
    "x, kind",
    [
        (
            tf.RaggedTensor.from_row_lengths(np.ones(60), [1, 2] * 20),
            "RaggedTensorSpec",
        ),
        (tf.sparse.from_dense(np.ones((40, 4))), "SparseTensorSpec"),
    ],
)
def test_ragged_and_sparse_examples_are_refused_with_the_cure(x, kind):
    with pytest.raises(ValueError, match=f"a {kind}.*`to_tensor.*`tf.sparse.to_dense`"):
        TFDataSampler(dataset(x))


@pytest.mark.parametrize("warmup", ["a", 2.5, True])
def test_warmup_is_a_number_of_examples(warmup):
    with pytest.raises(TypeError, match=f"`warmup` must be an integer.*={warmup!r}"):
        TFDataSampler(dataset(), warmup=warmup)


def test_warmup_begins_anew_with_each_iteration():
    found = TFDataSampler(
        dataset(X + 1), seed=1, warmup=4, augmenter=lambda x, y: (-x, y)
    )
    for _ in range(2):
        first, second = itertools.islice(found.as_numpy_iterator(), 2)
        assert (first[0] > 0).all() and (second[0] < 0).all()


def test_examples_of_several_shapes_are_refused_with_the_cure():
    ragged = dataset().map(lambda x, y: (tf.range(1 + tf.cast(y, tf.int32)), y))
    with pytest.raises(ValueError, match="differ in shape.*`load_fn`"):
        TFDataSampler(ragged)


def test_arrays_are_refused_with_the_cure():
    with pytest.raises(TypeError, match="from_tensor_slices.*MultiShotMemorySampler"):
        TFDataSampler(X)
