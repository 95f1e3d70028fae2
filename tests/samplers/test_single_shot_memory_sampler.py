import numpy as np
import pytest

from tensorflow_similarity.samplers import SingleShotMemorySampler

pytestmark = pytest.mark.backend_smoke

X = np.arange(30, dtype=np.float32)[:, None]


def twice(x, y, num_augmentations_per_example, is_warmup):
    return np.concatenate([x, -x]), np.concatenate([y, y])


def make(x=X, augmenter=twice, **kwargs):
    kwargs = {"examples_per_batch": 7, "steps_per_epoch": 9, "seed": 2, **kwargs}
    return SingleShotMemorySampler(x, augmenter, **kwargs)


def test_each_example_is_its_own_class():
    sampler = make()
    x, y = sampler[0]
    assert x.shape == (14, 1) and y.dtype == np.int32
    np.testing.assert_array_equal(np.abs(x[:, 0]), y)
    assert len(set(y.tolist())) == 7
    assert (sampler.num_examples, sampler.example_shape) == (30, (1,))
    assert (sampler.batch_size, len(sampler)) == (7, 9)


def test_no_example_repeats_before_all_were_used_across_passes():
    sampler = make()
    drawn = []
    for _ in range(5):
        drawn += [y[:7] for _, y in sampler]
        sampler.on_epoch_end()
    assert all(len(set(batch)) == 7 for batch in drawn)
    drawn = np.concatenate(drawn)
    for shuffle in drawn[: len(drawn) // 30 * 30].reshape(-1, 30):
        assert len(set(shuffle)) == 30


def test_get_slice_is_augmented_and_whole_by_default():
    x, y = make().get_slice()
    assert x.shape == (60, 1) and sorted(y[:30]) == list(range(30))
    assert make().get_slice(28, 10)[0].shape == (4, 1)


def test_the_augmenter_learns_the_number_of_augmentations():
    seen = []

    def augmenter(x, y, count, warm):
        seen.append((count, warm))
        return x, y

    make(augmenter=augmenter)[0]
    make(augmenter=augmenter, num_augmentations_per_example=1, warmup=1)[0]
    assert seen == [(2, False), (1, True)]


def test_more_examples_than_there_are_is_refused_with_numbers():
    with pytest.raises(ValueError, match="examples_per_batch=31 for 30 examples"):
        make(examples_per_batch=31)
    with pytest.raises(ValueError, match="`examples_per_batch` must be an integer"):
        make(examples_per_batch=0)
