"""Counted pairs: the stated bounds hold against exact distances in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.evaluators import (
    VerificationResults,
    evaluate_pairs,
    evaluate_verification,
    pair_histograms,
    verification,
)
from tests.evaluators.test_verification import METRICS, all_pairs, clusters

NUMBERS = ("auc", "eer", "best_accuracy")


@pytest.fixture(params=[(3, 5), (512, 1024)], ids=["small tiles", "one tile"])
def counted(request, monkeypatch):
    """Every pair is counted by bins, none measured."""
    monkeypatch.setattr(verification, "_MEASURED_PAIRS", -1)
    monkeypatch.setattr(pair_histograms, "TILE", request.param)
    return monkeypatch


def assert_bounded(found, expected, tolerance=1e-12):
    assert found.slack is not None
    assert (found.n_same, found.n_different) == (expected.n_same, expected.n_different)
    for name in NUMBERS:
        error = abs(getattr(found, name) - getattr(expected, name))
        assert error <= getattr(found, f"{name}_error") + tolerance, name
        assert 0.0 <= getattr(found, name) <= 1.0
    for far in (1.0, 0.5, 0.3, 0.1, 0.02):
        if far * found.n_different >= 1:
            error = abs(found.tar_at_far(far) - expected.tar_at_far(far))
            assert error <= found.tar_error(far) + tolerance, far


@pytest.mark.parametrize("distance", METRICS)
@pytest.mark.parametrize("n_bins", [8, 300, 1 << 17])
def test_bounds_hold_against_exact_distances(counted, distance, n_bins):
    counted.setattr(pair_histograms, "N_BINS", n_bins)
    items, labels = clusters(0, 40, 4)
    exact = evaluate_pairs(*all_pairs(items, labels, metric=METRICS[distance]))
    found = evaluate_verification(items, labels, distance=distance)
    assert_bounded(found, exact)
    if n_bins > 1000:
        assert all(getattr(found, f"{name}_error") < 0.02 for name in NUMBERS)
        assert found.eer_threshold == pytest.approx(
            exact.eer_threshold, abs=1e-3 * max(1, abs(exact.eer_threshold))
        )


@pytest.mark.parametrize("distance", ["cosine", "snr"])
def test_bounds_hold_for_queries_and_items(counted, distance):
    counted.setattr(pair_histograms, "N_BINS", 500)
    items, labels = clusters(1, 33, 4)
    queries, asked = clusters(2, 14, 5)
    metric = METRICS[distance]
    exact = evaluate_pairs(*all_pairs(items, labels, queries, asked, metric))
    found = evaluate_verification(items, labels, queries, asked, distance=distance)
    assert_bounded(found, exact)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_bounds_hold_where_items_coincide_and_distances_tie(data):
    n = data.draw(st.integers(3, 14))
    rows = st.lists(st.integers(-1, 2), min_size=2, max_size=2)
    items = data.draw(st.lists(rows, min_size=n, max_size=n))
    labels = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    labels[:3] = 0, 0, 1
    distance = data.draw(st.sampled_from(["euclidean", "manhattan", "inner_product"]))
    exact = evaluate_pairs(*all_pairs(items, labels, metric=METRICS[distance]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "_MEASURED_PAIRS", -1)
        patch.setattr(pair_histograms, "TILE", (4, 4))
        patch.setattr(pair_histograms, "N_BINS", data.draw(st.sampled_from([8, 4096])))
        assert_bounded(evaluate_verification(items, labels, distance=distance), exact)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "inner_product", "snr"])
def test_items_that_are_all_equal_say_nothing(counted, distance):
    items = np.full((9, 3), [1.0, 2.0, 4.0])
    found = evaluate_verification(items, np.arange(9) % 3, distance=distance)
    assert found.auc == pytest.approx(0.5)
    assert found.auc_error <= 0.5 + 1e-12
    exact = evaluate_pairs(
        np.zeros(36), [(j - i) % 3 == 0 for i in range(9) for j in range(i + 1, 9)]
    )
    assert_bounded(found, exact)


def test_zero_rows_are_at_cosine_distance_one(counted):
    items, labels = clusters(3, 20, 3)
    items[[2, 7, 8]] = 0.0

    def metric(a, b):
        return METRICS["cosine"](a, b) if a.any() and b.any() else 1.0

    exact = evaluate_pairs(*all_pairs(items, labels, metric=metric))
    found = evaluate_verification(items, labels, distance="cosine")
    assert_bounded(found, exact)
    assert found.auc_error < 0.05  # the ties at 1


def test_a_narrow_cone_keeps_its_digits(counted):
    # Cosine distances of about 1e-6, where 1 - cos in float32 has one digit left.
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    centres = np.eye(3)[labels]
    items = np.zeros((60, 4))
    items[:, 0] = 1000.0
    items[:, 1:] = centres + 0.3 * generator.normal(size=(60, 3))
    items = items.astype(np.float32)
    exact = evaluate_pairs(*all_pairs(items, labels, metric=METRICS["cosine"]))
    found = evaluate_verification(items, labels, distance="cosine")
    assert_bounded(found, exact, tolerance=1e-6)
    assert 0.9 < exact.auc and found.auc == pytest.approx(exact.auc, abs=0.005)


def test_rows_far_from_the_origin_keep_their_digits(counted):
    items, labels = clusters(4, 40, 4)
    exact = evaluate_pairs(*all_pairs(items, labels, metric=METRICS["euclidean"]))
    found = evaluate_verification(items + 2.0**12, labels, distance="euclidean")
    assert found.auc == pytest.approx(exact.auc, abs=0.005)


def test_a_distance_of_the_users_own_is_counted(counted):
    import keras

    from tensorflow_similarity.distances import Distance

    class Later(Distance):
        name = "later"

        def call(self, query, key):
            return keras.ops.exp(query[:, :1] - keras.ops.transpose(key[:, 1:2]))

    items, labels = clusters(5, 30, 3)
    exact = evaluate_pairs(
        *all_pairs(items, labels, metric=lambda a, b: np.exp(a[0] - b[1]))
    )
    assert_bounded(evaluate_verification(items, labels, distance=Later()), exact)


def test_order_of_items_does_not_matter(counted):
    items, labels = clusters(6, 40, 4)
    order = np.random.default_rng(0).permutation(40)
    found = evaluate_verification(items, labels)
    other = evaluate_verification(items[order], labels[order])
    assert found.auc == pytest.approx(other.auc, abs=found.auc_error)


def test_many_pairs_are_counted_and_few_measured():
    items, labels = clusters(7, 1200, 5)
    counted = evaluate_verification(items, labels)
    assert counted.slack is not None and counted.auc_error < 1e-3
    few = evaluate_verification(items[:900], labels[:900])
    assert few.slack is None


@pytest.mark.parametrize("n_threads", [1, 3])
def test_counts_do_not_depend_on_threads(counted, n_threads):
    from contextlib import nullcontext

    items, labels = clusters(9, 40, 4)
    whole = evaluate_verification(items, labels)
    counted.setattr(pair_histograms, "own_threads", lambda: (n_threads, nullcontext()))
    other = evaluate_verification(items, labels)
    np.testing.assert_array_equal(other.same_within, whole.same_within)
    np.testing.assert_array_equal(other.different_within, whole.different_within)


def test_without_threadpoolctl_one_thread_counts(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert pair_histograms.own_threads()[0] == 1


def test_threads_of_matrix_products_are_given_back():
    from threadpoolctl import threadpool_info

    def threads():
        return {
            pool["filepath"]: pool["num_threads"]
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        }

    items, labels = clusters(10, 1100, 4)
    before = threads()
    assert evaluate_verification(items, labels).slack is not None
    assert threads() == before


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("moved_same", "moved_different"), [(1, -1), (-1, 1), (1, 1)])
def test_bounds_hold_where_rounding_moves_every_pair(seed, moved_same, moved_different):
    # Bins of width 1; rounding moves a value by up to 1, so two by 2: a slack of 2.
    generator = np.random.default_rng(seed)
    same = generator.random(200) < 0.4
    values = generator.normal(20 - 4 * same, 3).clip(3, 36)
    exact = evaluate_pairs(values, same)
    moved = np.where(same, moved_same, moved_different) * generator.random(200) ** 0.1
    bins = np.floor(values + moved).astype(int)

    def within(kind):
        return np.concatenate([[0], np.cumsum(np.bincount(bins[kind], minlength=40))])

    thresholds = np.concatenate([[-np.inf], np.arange(1.0, 41.0)])
    found = VerificationResults(thresholds, within(same), within(~same), slack=2)
    assert_bounded(found, exact)


@pytest.mark.parametrize("same_first", [True, False])
def test_two_pairs_that_rounding_turned_round_are_bounded(same_first):
    # At 10.9 and 11.1, counted as 11.9 and 10.1.
    early, late = (np.arange(41) > place for place in (10, 11))
    thresholds = np.concatenate([[-np.inf], np.arange(1.0, 41.0)])
    exact = evaluate_pairs([10.9, 11.1], [same_first, not same_first])
    within = (late, early) if same_first else (early, late)
    found = VerificationResults(thresholds, *(w.astype(int) for w in within), slack=2)
    assert abs(found.auc - exact.auc) == 1.0
    assert_bounded(found, exact)


def test_progress_is_shown_only_when_asked(capsys, counted):
    items, labels = clusters(8, 30, 3)
    evaluate_verification(items, labels)
    assert capsys.readouterr().err == ""
    evaluate_verification(items, labels, verbose=1)
    assert "Counting pairs" in capsys.readouterr().err


@pytest.mark.parametrize("distance", METRICS)
def test_outliers_cost_the_others_no_digits(counted, distance):
    items, labels = clusters(11, 60, 4)
    items[-3:] *= 3000.0
    with_queries = distance == "euclidean"
    queries, asked = (items[20:], labels[20:]) if with_queries else (None, None)
    exact = evaluate_pairs(
        *all_pairs(items, labels, queries, asked, metric=METRICS[distance])
    )
    found = evaluate_verification(items, labels, queries, asked, distance=distance)
    assert_bounded(found, exact)
    assert all(getattr(found, f"{name}_error") < 0.01 for name in NUMBERS)
    assert found.eer_threshold == pytest.approx(exact.eer_threshold, rel=1e-3, abs=1e-3)


def test_the_bound_is_printed(counted):
    items, labels = clusters(12, 60, 4)
    found = evaluate_verification(items, labels)
    assert f"auc={found.auc:.4f} +- {found.auc_error:.1g}, eer=" in repr(found)
