import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.samplers._batch_plan import BatchPlan

pytestmark = pytest.mark.backend_smoke


def plan_of(sizes, n_classes, n_examples, seed=7):
    return BatchPlan(
        np.arange(sum(sizes)), np.array(sizes), n_classes, n_examples, seed
    )


@st.composite
def shapes(draw):
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=12))
    return sizes, draw(st.integers(1, len(sizes))), draw(st.integers(1, 9))


@settings(deadline=None, max_examples=60)
@given(shapes(), st.integers(0, 2**70))
def test_a_batch_holds_k_distinct_examples_of_p_distinct_classes(shape, seed):
    sizes, n_classes, k = shape
    labels = np.repeat(np.arange(len(sizes)), sizes)
    for batch in plan_of(sizes, n_classes, k, seed).batches(0, 40):
        drawn = labels[batch].reshape(n_classes, k)
        assert (drawn == drawn[:, :1]).all()
        assert len(set(drawn[:, 0])) == n_classes
        for members in batch.reshape(n_classes, k):
            size = sizes[labels[members[0]]]
            assert len(set(members)) == min(k, size)
            times = np.bincount(members - members.min())
            assert times.max() == -(-k // size)


@settings(deadline=None, max_examples=60)
@given(shapes(), st.integers(0, 9))
def test_within_a_class_none_repeats_before_all_were_used_across_passes(shape, seed):
    sizes, n_classes, k = shape
    labels = np.repeat(np.arange(len(sizes)), sizes)
    plan = plan_of(sizes, n_classes, k, seed)
    drawn = np.concatenate([plan.batches(i * 15, i * 15 + 15) for i in range(5)])
    drawn = drawn.reshape(-1)
    for label, size in enumerate(sizes):
        members = drawn[labels[drawn] == label]
        for start in range(0, len(members) - size + 1, size) if size >= k else ():
            assert len(set(members[start : start + size])) == size


@settings(deadline=None, max_examples=30)
@given(shapes(), st.integers(0, 60), st.integers(0, 30))
def test_any_window_is_the_same_whatever_was_asked_before(shape, begin, length):
    whole = plan_of(*shape).batches(0, 90)
    window = plan_of(*shape).batches(begin, begin + length)
    np.testing.assert_array_equal(window, whole[begin : begin + length])
    used = plan_of(*shape)
    used.batches(70, 80)
    np.testing.assert_array_equal(used.batches(begin, begin + length), window)


def test_classes_are_drawn_equally_often_but_for_what_decks_leave():
    sizes = [1, 500, 3, 40, 7, 7, 9]
    labels = np.repeat(np.arange(7), sizes)
    drawn = labels[plan_of(sizes, 2, 3).batches(0, 3500)]
    times = np.bincount(drawn.reshape(-1)) / 3
    assert times.sum() == 7000
    assert np.abs(times - 1000).max() < 40  # one class of seven sits out at a time


def test_with_whole_decks_classes_are_drawn_exactly_equally_often():
    drawn = plan_of([5] * 6, 3, 2).batches(0, 200) // 5
    np.testing.assert_array_equal(np.bincount(drawn.reshape(-1)), [200] * 6)


def test_every_order_of_a_small_class_is_equally_likely():
    orders = plan_of([4], 1, 4).batches(0, 12000)
    _, times = np.unique(orders, axis=0, return_counts=True)
    assert len(times) == 24
    assert ((times - 500) ** 2 / 500).sum() < 60  # chi square, 23 degrees of freedom


def test_pairs_of_a_large_class_are_spread_evenly():
    first = plan_of([1000], 1, 1000).batches(0, 300)
    halves = (first[:, :500] < 500).sum(axis=1)
    assert abs(halves.mean() - 250) < 3 and 5 < halves.std() < 11  # 7.9 expected
    assert abs(np.corrcoef(first[:, 0], first[:, 1])[0, 1]) < 0.2


def test_seeds_differ():
    one, other = (plan_of([50] * 5, 3, 2, seed).batches(0, 9) for seed in (1, 2))
    assert (one != other).mean() > 0.8


def test_a_class_barely_larger_than_the_draw_is_followed_over_many_shuffles():
    drawn = plan_of([101], 1, 100).batches(0, 250)
    assert all(len(set(batch)) == 100 for batch in drawn)
    for shuffle in drawn.reshape(-1)[: 101 * 247].reshape(-1, 101):
        assert len(set(shuffle)) == 101


@pytest.mark.parametrize("n_classes, size", [(1000, 1000), (100_000, 10)])
def test_a_million_rows_need_no_start(n_classes, size):
    plan = plan_of([size] * n_classes, 16, 4)
    assert plan.batches(0, 50).shape == (50, 64)
    assert plan.batches(10**4, 10**4 + 5).shape == (5, 64)
