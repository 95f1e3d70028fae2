"""Batches of confused classes: who meets whom, how often, and the same each time."""

import copy
import threading

import numpy as np
import pytest

from tensorflow_similarity.evaluators import class_confusion
from tensorflow_similarity.samplers import ConfusedClassesSampler
from tensorflow_similarity.samplers._confused_plan import ConfusedPlan

pytestmark = pytest.mark.backend_smoke

X, Y = np.arange(240), np.arange(240) % 12
PAIRS = np.eye(12)[np.arange(12) ^ 1]  # 0 with 1, 2 with 3, ...


def make(**kwargs):
    arguments = {
        "classes_per_batch": 4,
        "examples_per_class_per_batch": 3,
        "steps_per_epoch": 30,
        "n_rivals": 1,
        "random_share": 0.0,
        "seed": 3,
    }
    return ConfusedClassesSampler(X, Y, **{**arguments, **kwargs})


def classes_of(sampler, number=0):
    """Classes of the batches of a pass, a list of sets."""
    n = sampler.steps_per_epoch
    batches = [sampler.generate_batch(number * n + i) for i in range(n)]
    for x, y in batches:
        assert (Y[x] == y).all() and len(set(x.tolist())) == sampler.batch_size
    sets = [set(y.tolist()) for _, y in batches]
    assert all(len(one) == sampler.classes_per_batch for one in sets)
    return sets


def pairs_met(sets):
    return np.mean([sum(c ^ 1 in one for c in one) / len(one) for one in sets])


def test_rivals_meet_in_a_batch_and_all_classes_come():
    sampler = make()
    assert pairs_met(classes_of(sampler)) < 0.6
    sampler.set_confusion(PAIRS, first_pass=0)
    sets = classes_of(sampler)
    assert pairs_met(sets) == 1.0
    counts = np.bincount([c for one in sets for c in one])
    assert (counts >= 8).all() and (counts <= 12).all()


def test_a_share_of_the_classes_is_random():
    sampler = make(random_share=0.5, steps_per_epoch=200)
    sampler.set_confusion(PAIRS, first_pass=0)
    met = pairs_met(classes_of(sampler))
    assert 0.5 < met < 0.8
    everything = make(random_share=1.0, steps_per_epoch=200)
    everything.set_confusion(PAIRS, first_pass=0)
    assert pairs_met(classes_of(everything)) < 0.45


def test_the_more_confused_come_more_often():
    matrix = np.zeros((12, 12))
    matrix[:, 5], matrix[:, 6] = 3.0, 1.0
    sampler = make(classes_per_batch=2, steps_per_epoch=600)
    sampler.set_confusion(matrix, first_pass=0)
    sets = [one for one in classes_of(sampler) if not {5, 6} <= one]
    ratio = sum(5 in one for one in sets) / sum(6 in one for one in sets)
    assert 2.0 < ratio < 4.0


def test_counts_from_the_next_pass_and_earlier_passes_stay():
    sampler = make()
    before = [sampler.generate_batch(i)[0].tolist() for i in range(90)]
    sampler.set_confusion(PAIRS)
    after = [sampler.generate_batch(i)[0].tolist() for i in range(90)]
    assert after[:30] == before[:30] and after[30:60] != before[30:60]
    assert pairs_met(classes_of(sampler, 1)) == 1.0
    shifted = np.roll(PAIRS, 4, axis=1)
    sampler.set_confusion(shifted, first_pass=2)
    again = [sampler.generate_batch(i)[0].tolist() for i in range(90)]
    assert again[:60] == after[:60] and again[60:] != after[60:]


def test_a_batch_depends_on_seed_pass_number_and_confusion_only():
    sampler, other = make(), make()
    other.set_confusion(np.roll(PAIRS, 2, axis=1), first_pass=0)
    [other.generate_batch(i) for i in (3, 40, 17)]
    for one in (sampler, other):
        one.set_confusion(PAIRS, first_pass=1)
    for i in (75, 31, 59, 30):
        for a, b in zip(
            sampler.generate_batch(i), other.generate_batch(i), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    different = make(seed=4)
    different.set_confusion(PAIRS, first_pass=1)
    assert (different.generate_batch(31)[0] != sampler.generate_batch(31)[0]).any()
    kept = copy.copy(sampler)
    np.testing.assert_array_equal(kept[0][0], sampler[0][0])


def test_no_example_repeats_in_a_pass_before_all_were_used():
    sampler = make(steps_per_epoch=12)
    sampler.set_confusion(PAIRS, first_pass=0)
    rows = np.concatenate([sampler[i][0] for i in range(12)])
    counts = np.bincount(rows, minlength=240)
    for label in range(12):
        drawn = counts[Y == label]
        assert drawn.max() - drawn.min() <= 1


def test_takes_what_class_confusion_answers_in_other_labels_too():
    names = np.array([f"c{i:02}" for i in range(12)])
    generator = np.random.default_rng(1)
    centres = generator.normal(size=(6, 8)).repeat(2, axis=0)
    rows = centres[Y] + 0.1 * generator.normal(size=(240, 8))
    confusion = class_confusion(rows, names[Y], k=10)
    sampler = make()
    named = ConfusedClassesSampler(
        X,
        names[Y],
        class_list=names[::-1],
        classes_per_batch=4,
        n_rivals=1,
        random_share=0.0,
        steps_per_epoch=30,
        seed=3,
    )
    named.set_confusion(confusion, first_pass=0)
    sets = [set(Y[named[i][0]].tolist()) for i in range(30)]
    assert pairs_met(sets) == 1.0
    # Rows in another order, and a class that the sampler does not have.
    order = [*range(11, -1, -1)]
    matrix = np.zeros((13, 13))
    matrix[:12, :12] = PAIRS[order][:, order]
    matrix[:, 12] = 5.0
    sampler.set_confusion(matrix, classes=[*order, 99], first_pass=0)
    assert pairs_met(classes_of(sampler)) == 1.0


def test_classes_without_rivals_and_few_classes():
    sampler = make(classes_per_batch=12, n_rivals=5)
    sampler.set_confusion(np.zeros((12, 12)), first_pass=0)
    assert len(classes_of(sampler)) == 30
    sampler.set_confusion(np.ones((12, 12)), first_pass=0)
    assert len(classes_of(sampler)) == 30


def test_may_be_set_while_other_threads_read():
    sampler = make(steps_per_epoch=10)
    wanted = make(steps_per_epoch=10)
    for p in range(1, 30):
        wanted.set_confusion(np.roll(PAIRS, 2 * (p % 3), axis=1), first_pass=p)

    def read():
        for i in range(100):
            sampler.generate_batch(i)

    threads = [threading.Thread(target=read) for _ in range(3)]
    [thread.start() for thread in threads]
    for p in range(1, 30):
        sampler.set_confusion(np.roll(PAIRS, 2 * (p % 3), axis=1), first_pass=p)
    [thread.join() for thread in threads]
    for i in range(0, 300, 7):
        a, b = sampler.generate_batch(i)[0], wanted.generate_batch(i)[0]
        np.testing.assert_array_equal(a, b)


def test_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="`random_share` must be from 0 to 1"):
        make(random_share=1.5)
    with pytest.raises(ValueError, match="`n_rivals` must be an integer"):
        make(n_rivals=0)
    sampler = make()
    with pytest.raises(ValueError, match=r"of shape \(12, 12\)"):
        sampler.set_confusion(np.eye(3))
    with pytest.raises(ValueError, match="finite numbers of at least 0"):
        sampler.set_confusion(-PAIRS)
    with pytest.raises(
        ValueError, match="`first_pass` must be an integer of at least 0"
    ):
        sampler.set_confusion(PAIRS, first_pass=-1)
    for share in ("0.5", True, np.nan):
        with pytest.raises(ValueError, match="`random_share` must be from 0 to 1"):
            make(random_share=share)
    for first_pass in (1.5, True):
        with pytest.raises(ValueError, match="`first_pass` must be an integer"):
            sampler.set_confusion(PAIRS, first_pass=first_pass)
    with pytest.raises(ValueError, match="`set_confusion` knows none of the sampler's"):
        sampler.set_confusion(np.eye(3), classes=["0", "1", "2"])
    with pytest.raises(ValueError, match="`classes` must be distinct"):
        sampler.set_confusion(np.eye(3), classes=[0, 1, 1])


def test_random_classes_leave_the_turn_of_the_leaders_alone():
    class Watched(ConfusedPlan):
        def _drawn_rivals(self, generator, leader, n, taken):
            led.append(leader)
            return super()._drawn_rivals(generator, leader, n, taken)

    led = []
    rivals = ((np.arange(12) + 1) % 12)[:, None]
    sizes, shares = np.full(12, 5), np.ones((12, 1))
    plan = Watched(np.arange(60), sizes, 4, 1, 0, rivals, shares, 1, 1)
    plan._grouped(np.random.default_rng(0), 60)
    counts = np.cumsum(np.eye(12)[led], axis=0)
    # One that is in the batch as a rival waits for the next.
    assert np.ptp(counts, axis=1).max() <= 2
