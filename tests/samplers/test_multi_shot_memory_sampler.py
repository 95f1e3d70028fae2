import logging
import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from tensorflow_similarity.samplers import MultiShotMemorySampler

pytestmark = pytest.mark.backend_smoke

X = np.arange(240, dtype=np.float32).reshape(120, 2)
Y = np.arange(120) % 6


def make(x=X, y=Y, **kwargs):
    kwargs = {"classes_per_batch": 3, "steps_per_epoch": 12, "seed": 5, **kwargs}
    return MultiShotMemorySampler(x, y, **kwargs)


def rows_of(batch):
    return (batch[0][:, 0] / 2).astype(int)


class Counting:
    """A source that says what was asked of it."""

    def __init__(self, n):
        self.n, self.asked = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, row):
        self.asked.append(row)
        return np.full(2, row)


def test_batches_are_numpy_arrays_of_p_classes_with_k_examples_each():
    sampler = make(examples_per_class_per_batch=4)
    x, y = sampler[0]
    assert type(x) is np.ndarray and type(y) is np.ndarray
    assert x.shape == (12, 2) and x.dtype == np.float32
    assert (
        y.dtype == np.int32 and sorted(np.bincount(y, minlength=6)) == [0] * 3 + [4] * 3
    )
    np.testing.assert_array_equal(Y[rows_of((x, y))], y)


def test_the_attributes_say_what_the_sampler_holds():
    sampler = make(class_list=[4, 1, 2], total_examples_per_class=7)
    assert (len(sampler), sampler.steps_per_epoch, sampler.num_batches) == (12, 12, 12)
    assert (sampler.classes_per_batch, sampler.examples_per_class_per_batch) == (3, 2)
    assert (sampler.batch_size, sampler.num_examples) == (6, 21)
    assert sampler.example_shape == (2,) and sampler.class_list == [4, 1, 2]
    assert (sampler.epoch, sampler.is_warmup, sampler.workers) == (0, False, 1)
    assert sampler._x is X and sampler._y.shape == (120,)
    assert list(sampler.index_per_class) == [4, 1, 2]
    for label, rows in sampler.index_per_class.items():
        assert len(set(rows)) == 7 and (Y[rows] == label).all()


def test_batch_i_depends_on_seed_pass_and_i_only():
    one, other = make(), make()
    forward = [rows_of(one[i]) for i in range(12)]
    backward = [rows_of(other[i]) for i in reversed(range(12))][::-1]
    np.testing.assert_array_equal(forward, backward)
    one.on_epoch_end()
    assert not np.array_equal(rows_of(one[0]), forward[0])
    later = rows_of(one[3])
    np.testing.assert_array_equal(rows_of(other.generate_batch(15)), later)
    one.resume(0)
    np.testing.assert_array_equal([rows_of(b) for b in one], forward)
    assert not np.array_equal([rows_of(b) for b in make(seed=6)], forward)


def test_without_a_seed_keras_seed_decides():
    keras.utils.set_random_seed(3)
    one, other = make(seed=None), make(seed=None)
    keras.utils.set_random_seed(3)
    again = make(seed=None)
    np.testing.assert_array_equal(one[0][0], again[0][0])
    np.testing.assert_array_equal(one.get_slice()[0], again.get_slice()[0])
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))


def test_threads_and_pickles_draw_the_same():
    sampler = make(steps_per_epoch=40)
    expected = [rows_of(b) for b in sampler]
    fresh = make(steps_per_epoch=40)
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda i: rows_of(fresh[i]), range(40)))
    np.testing.assert_array_equal(drawn, expected)
    copy = pickle.loads(pickle.dumps(sampler))
    np.testing.assert_array_equal([rows_of(b) for b in copy], expected)


def test_a_fixed_sampler_gives_the_same_batches_on_every_pass():
    sampler = make(fixed=True)
    first = [rows_of(b) for b in sampler]
    sampler.on_epoch_end()
    np.testing.assert_array_equal([rows_of(b) for b in sampler], first)
    assert sampler.epoch == 1


@pytest.mark.parametrize("size, expected", [(-1, 120), (200, 120), (7, 7), (0, 0)])
def test_get_slice_gives_what_is_asked_and_all_by_default(size, expected):
    x, y = make().get_slice(0, size)
    assert x.shape == (expected, 2) and y.shape == (expected,)
    np.testing.assert_array_equal(y, Y[(x[:, 0] / 2).astype(int)])


def test_slices_are_parts_of_one_shuffled_order():
    sampler = make()
    x, y = sampler.get_slice()
    assert len(set(x[:, 0])) == 120 and not np.array_equal(x, X)
    part, labels = sampler.get_slice(begin=100)
    np.testing.assert_array_equal(part, x[100:])
    np.testing.assert_array_equal(labels, y[100:])
    np.testing.assert_array_equal(sampler.get_slice(40, 5)[0], x[40:45])


def test_the_source_is_never_copied():
    sampler = make()
    assert sampler._x is X
    tensor = keras.ops.convert_to_tensor(X)
    one, other = (make(x=tensor)._x for _ in range(2))
    assert np.shares_memory(one, other)
    source = Counting(120)
    sampler = make(x=source)
    assert source.asked == []
    sampler[0]
    sampler.get_slice(3, 4)
    assert len(source.asked) == 6 + 4


def test_a_memory_map_stays_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", X)
    source = np.load(tmp_path / "x.npy", mmap_mode="r")
    sampler = make(x=source)
    assert sampler._x is source
    x, _ = sampler[0]
    assert type(x) is np.ndarray
    np.testing.assert_array_equal(x, make()[0][0])


@pytest.mark.parametrize(
    "wrap", [list, lambda x: [row.tolist() for row in x], keras.ops.convert_to_tensor]
)
def test_lists_and_tensors_give_what_an_array_gives(wrap):
    np.testing.assert_allclose(make(x=wrap(X))[2][0], make()[2][0])


def test_load_example_fn_makes_each_example():
    paths = [f"picture_{row}" for row in range(120)]
    sampler = make(x=paths, load_example_fn=lambda p: np.full(3, int(p[8:])))
    x, y = sampler[0]
    assert sampler.example_shape == (3,)
    np.testing.assert_array_equal(Y[x[:, 0]], y)
    np.testing.assert_array_equal(sampler.get_slice(0, 3)[0].shape, (3, 3))


def test_examples_of_several_inputs_stay_apart():
    source = [{"a": np.zeros(2), "b": np.ones((3, 1))} for _ in range(120)]
    x, _ = make(x=source)[0]
    assert x["a"].shape == (6, 2) and x["b"].shape == (6, 3, 1)
    assert make(x=source).example_shape == {"a": (2,), "b": (3, 1)}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, bool])
def test_labels_within_int32_reach_the_batch_as_they_are(dtype):
    labels = (Y % 2).astype(dtype)[:, None]
    sampler = make(y=labels, classes_per_batch=2)
    _, y = sampler[0]
    assert y.dtype == np.int32 and set(y.tolist()) == {0, 1}
    assert sampler.class_list == [0, 1]


@pytest.mark.parametrize(
    "names",
    [
        np.array(["ant", "bee", "cat", "dog", "eel", "fox"]),
        np.array([2**40 + i for i in range(6)]),
        np.array([2**63 + i for i in range(6)], np.uint64),
    ],
)
def test_strings_and_wide_ids_become_places_in_class_list(names):
    sampler = make(y=names[Y], class_list=names[[3, 0, 5]])
    assert sampler.class_list == names[[3, 0, 5]].tolist()
    x, y = sampler[0]
    assert y.dtype == np.int32 and set(y.tolist()) <= {0, 1, 2}
    np.testing.assert_array_equal(
        np.array(sampler.class_list)[y], names[Y[rows_of((x, y))]]
    )
    x, y = sampler.get_slice()
    np.testing.assert_array_equal(y, names[Y[rows_of((x, y))]])


def test_a_list_of_strings_is_a_list_of_labels():
    sampler = make(y=[f"class {label}" for label in Y])
    assert sampler.class_list == [f"class {label}" for label in range(6)]
    assert sampler.get_slice(0, 1)[1][0].startswith("class ")


def test_the_augmenter_is_called_by_position_and_learns_of_the_warm_up():
    calls = []

    def augmenter(x, y, count, warm):
        calls.append((x.shape, count, warm))
        return keras.ops.concatenate([x, x]), np.concatenate([y, y])

    sampler = make(augmenter=augmenter, warmup=2)
    x, y = sampler[0]
    assert type(x) is np.ndarray and x.shape == (12, 2) and y.shape == (12,)
    for _ in range(2):
        sampler.on_epoch_end()
        sampler[0]
    assert calls == [((6, 2), 1, True), ((6, 2), 1, True), ((6, 2), 1, False)]


@pytest.mark.parametrize("warmup", [-1, 0])
def test_no_warm_up_by_default(warmup):
    assert make(warmup=warmup).is_warmup is False


def test_a_small_class_is_drawn_with_repeats_and_reported_once(caplog):
    labels = np.where(Y == 0, np.arange(120) % 20 * 0 + 1, Y)
    labels[:1] = 0
    with caplog.at_level(logging.WARNING):
        sampler = make(y=labels, classes_per_batch=6, examples_per_class_per_batch=4)
        batches = [sampler[i] for i in range(12)]
    assert [record.getMessage() for record in caplog.records] == [
        "Classes with fewer than examples_per_class_per_batch=4 examples are drawn "
        "with repeats: 0: 1."
    ]
    for x, y in batches:
        assert (rows_of((x, y))[y == 0] == 0).all() and (y == 0).sum() == 4


def test_total_examples_are_chosen_without_replacement_and_the_same_throughout(caplog):
    sampler = make(total_examples_per_class=5)
    used = {row for _ in range(4) for batch in sampler for row in rows_of(batch)}
    assert len(used) == 30 and not caplog.records
    assert used == set((sampler.get_slice()[0][:, 0] / 2).astype(int))
    assert make(total_examples_per_class=25).num_examples == 120
    assert [record.getMessage() for record in caplog.records] == [
        "Classes with fewer than total_examples_per_class=25 examples are used whole: "
        "0: 20, 1: 20, 2: 20, 3: 20, 4: 20, and 1 more."
    ]


def test_a_million_labels_are_enough_to_start_with():
    labels = np.random.default_rng(0).integers(0, 1000, 10**6)
    sampler = MultiShotMemorySampler(range(10**6), labels, classes_per_batch=32, seed=1)
    x, y = sampler[0]
    np.testing.assert_array_equal(labels[x], y)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"y": Y[:5]}, "120 examples in `x` and 5 labels in `y`"),
        ({"y": np.eye(6)[Y]}, r"shape \(120, 6\).*argmax"),
        ({"y": np.where(Y == 3, np.nan, Y)}, r"20 others, the first is y\[3\]=nan"),
        ({"y": Y + 0.5}, r"120 others, the first is y\[0\]=0.5"),
        ({"classes_per_batch": 7}, "classes_per_batch=7 for 6 classes"),
        ({"class_list": [1, 2]}, "classes_per_batch=3 for 2 classes"),
        ({"class_list": [1, 2, 9]}, r"Without an example: \[9\] \(1 of 3"),
        ({"class_list": [1, 2, 1]}, r"must not repeat a class. Received: \[1, 2, 1\]"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be an integer of at least 1"),
        ({"classes_per_batch": 2.0}, "classes_per_batch=2.0"),
        ({"examples_per_class_per_batch": True}, "examples_per_class_per_batch=True"),
        ({"total_examples_per_class": 0}, "total_examples_per_class=0"),
        ({"x": [], "y": []}, "classes_per_batch=3 for 0 classes"),
    ],
)
def test_wrong_values_are_refused_with_numbers(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"x": 5}, "`x` must be an array, a list"),
        ({"x": {"a": X}}, "Received: dict"),
        ({"y": [None] * 120}, r"y\[0\]=None of type NoneType"),
        ({"y": Y.astype(complex)}, "an array of complex128"),
        ({"seed": "1"}, "seed='1'"),
        ({"augmenter": 3}, "`augmenter` must be callable"),
    ],
)
def test_wrong_types_are_refused(kwargs, message):
    with pytest.raises(TypeError, match=message):
        make(**kwargs)


def test_wrong_calls_are_refused():
    sampler = make()
    with pytest.raises(IndexError, match="12 batches. Received: index=12"):
        sampler[12]
    with pytest.raises(ValueError, match="batch_id=-1"):
        sampler.generate_batch(-1)
    for begin, size in ((-1, 5), (0, -2)):
        with pytest.raises(ValueError, match=f"begin={begin}, size={size}"):
            sampler.get_slice(begin, size)
    with pytest.raises(TypeError, match=r"must return \(x, y\). Received: tuple of 1"):
        make(augmenter=lambda x, y, n, w: (x,))[0]
    with pytest.raises(ValueError, match="one shape"):
        make(x=[np.zeros(row + 1) for row in range(120)])[0]
