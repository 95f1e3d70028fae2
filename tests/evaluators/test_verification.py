"""Verification of pairs against scikit-learn's curves and loops over all thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.evaluators import evaluate_pairs, evaluate_verification


def pairs(seed, n=300, levels=None):
    """Distances, of few levels if asked, and which are "same"."""
    generator = np.random.default_rng(seed)
    same = generator.random(n) < 0.4
    same[:2] = True, False
    distances = generator.normal(1.0 - 0.5 * same, 0.5)
    if levels:
        distances = np.round(distances * levels) / levels
    return distances, same


def rates(distances, same, threshold):
    accepted = [d <= threshold for d in distances]
    tar = sum(a for a, s in zip(accepted, same, strict=True) if s) / sum(same)
    n_different = len(same) - sum(same)
    far = sum(a for a, s in zip(accepted, same, strict=True) if not s) / n_different
    return far, tar


def reference(distances, same):
    """The definitions, threshold by threshold, in loops over Python's own floats."""
    distances, same = [float(d) for d in distances], [bool(s) for s in same]
    near = [d for d, s in zip(distances, same, strict=True) if s]
    far = [d for d, s in zip(distances, same, strict=True) if not s]
    wins = sum((a < b) + 0.5 * (a == b) for a in near for b in far)
    curve = [(0.0, 0.0)] + [rates(distances, same, t) for t in sorted(set(distances))]
    eer = None
    for (f0, t0), (f1, t1) in zip(curve, curve[1:], strict=False):
        # On the segment fpr = f0 + x (f1 - f0), fnr = 1 - t0 - x (t1 - t0).
        if eer is None and f1 >= 1 - t1:
            x = (1 - t0 - f0) / (f1 - f0 + t1 - t0)
            eer = f0 + x * (f1 - f0)
    return {
        "auc": wins / len(near) / len(far),
        "eer": eer,
        "best_accuracy": max(t * len(near) + (1 - f) * len(far) for f, t in curve)
        / len(same),
        "curve": curve,
    }


def tar_at(curve, far):
    return max(t for f, t in curve if f <= far)


CASES = [pairs(0), pairs(1, levels=4), pairs(2, levels=1), pairs(3, n=2)]


@pytest.mark.parametrize("case", CASES, ids=["random", "tied", "few levels", "two"])
def test_agrees_with_the_definitions(case):
    found, expected = evaluate_pairs(*case), reference(*case)
    for name in ("auc", "eer", "best_accuracy"):
        assert getattr(found, name) == pytest.approx(expected[name], abs=1e-12), name
    curve = list(zip(found.fpr, found.tpr, strict=True))
    np.testing.assert_allclose(curve, expected["curve"], atol=1e-12)
    for far in (1.0, 0.5, 0.1, 0.02):
        if far * found.n_different >= 1:
            tar = tar_at(expected["curve"], far)
            assert found.tar_at_far(far) == pytest.approx(tar, abs=1e-12)
            assert found.fnmr_at_fmr(far) == pytest.approx(1 - tar, abs=1e-12)
            threshold = found.threshold_at_far(far)
            assert rates(*case, threshold)[0] <= far
    assert found.auc_error == found.eer_error == found.best_accuracy_error == 0.0


@pytest.mark.parametrize("case", CASES, ids=["random", "tied", "few levels", "two"])
def test_equals_the_curves_of_scikit_learn(case):
    from sklearn.metrics import det_curve, roc_auc_score, roc_curve

    distances, same = case
    found = evaluate_pairs(distances, same)
    fpr, tpr, thresholds = roc_curve(same, -distances, drop_intermediate=False)
    np.testing.assert_allclose(found.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(found.tpr, tpr, atol=1e-12)
    np.testing.assert_allclose(found.thresholds, -thresholds)
    assert found.auc == pytest.approx(roc_auc_score(same, -distances), abs=1e-12)
    fpr, fnr, thresholds = det_curve(same, -distances)
    places = np.searchsorted(found.thresholds, -thresholds)
    finite = np.isfinite(thresholds)
    np.testing.assert_allclose(found.fpr[places][finite], fpr[finite], atol=1e-12)
    np.testing.assert_allclose(found.fnr[places][finite], fnr[finite], atol=1e-12)


def test_worked_by_hand():
    # Ascending: same 1, different 2, {same, different} 3, same 4, different 5.
    #   accepted     fpr   tpr   right of 6
    #   none          0     0     3
    #   up to 1       0    1/3    4
    #   up to 2      1/3   1/3    3
    #   up to 3      2/3   2/3    3
    #   up to 4      2/3    1     4
    #   up to 5       1     1     3
    # AUC: 1 before 3 of 3, 3 before 1 and at one distance with 1, 4 before 1.
    # EER: from (1/3, fnr 2/3) to (2/3, fnr 1/3): equal half way, at 1/2.
    found = evaluate_pairs([3, 1, 2, 4, 3, 5], [1, 1, 0, 1, 0, 0])
    np.testing.assert_allclose(found.fpr, np.array([0, 0, 1, 2, 2, 3]) / 3)
    np.testing.assert_allclose(found.tpr, np.array([0, 1, 1, 2, 3, 3]) / 3)
    np.testing.assert_allclose(found.fnr, np.array([3, 2, 2, 1, 0, 0]) / 3)
    assert found.thresholds.tolist() == [-np.inf, 1, 2, 3, 4, 5]
    assert found.auc == pytest.approx((3 + 1.5 + 1) / 9)
    assert found.eer == pytest.approx(0.5)
    assert found.best_accuracy == pytest.approx(4 / 6)
    assert found.best_accuracy_threshold == 1
    assert found.tar_at_far(0.5) == pytest.approx(1 / 3)
    assert found.fnmr_at_fmr(0.67) == 0.0
    assert found.threshold_at_far(0.5) == 2
    assert found.threshold_at_far(0.9) == 4
    assert (found.n_same, found.n_different) == (3, 3)


def test_rates_that_decimals_cannot_hold_are_reached():
    # 29 of 100 is 0.29, which times 100 is a little less than 29.
    distances = np.arange(101.0)
    same = np.zeros(101, bool)
    same[28] = True
    found = evaluate_pairs(distances, same)
    assert found.threshold_at_far(0.29) == 29


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_everything_is_a_share(data):
    n = data.draw(st.integers(2, 20))
    distances = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    same = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    same[:2] = True, False
    found, expected = evaluate_pairs(distances, same), reference(distances, same)
    for name in ("auc", "eer", "best_accuracy"):
        assert 0.0 <= getattr(found, name) <= 1.0
        assert getattr(found, name) == pytest.approx(expected[name], abs=1e-12)
    for values in (found.fpr, found.tpr, found.fnr):
        assert (values >= 0).all() and (values <= 1).all()
    assert 0.0 <= found.tar_at_far(1.0) <= 1.0


def test_order_of_pairs_and_scale_of_distances_do_not_matter():
    distances, same = pairs(5, levels=5)
    order = np.random.default_rng(0).permutation(len(same))
    found = evaluate_pairs(distances, same)
    other = evaluate_pairs(7.0 * distances[order] - 3.0, same[order])
    np.testing.assert_allclose(found.tpr, other.tpr)
    assert found.eer == pytest.approx(other.eer)


def test_summary_has_the_rates_that_the_pairs_support():
    distances, same = pairs(6, n=3000)
    found = evaluate_pairs(distances, same)
    names = found.summary()
    assert all(isinstance(value, float) for value in names.values())
    assert names["tar_at_far_0.001"] == found.tar_at_far(0.001)
    assert "tar_at_far_0.0001" not in names
    assert names["eer_threshold"] == found.eer_threshold
    assert set(found.summary([0.05])) - set(names) == {
        "tar_at_far_0.05",
        "tar_error_at_far_0.05",
    }
    assert "auc=" in repr(found) and f"n_same={found.n_same}" in repr(found)


def test_a_rate_that_the_pairs_cannot_show_is_refused_with_numbers():
    found = evaluate_pairs(*pairs(7, n=500))
    with pytest.raises(ValueError, match=r"It takes 1,000,000 at least, and 30,000,"):
        found.tar_at_far(1e-6)
    with pytest.raises(ValueError, match="cannot be measured"):
        found.summary([1e-6])
    for far in (0.0, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            found.fnmr_at_fmr(far)


def test_nothing_accepted_has_the_threshold_minus_infinity():
    found = evaluate_pairs([1.0, 1.0, 2.0], [False, False, True])
    assert found.threshold_at_far(0.5) == -np.inf
    assert found.tar_at_far(0.5) == 0.0
    assert (found.auc, found.eer) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("distances", "same", "error", "message"),
    [
        ([1.0, 2.0], [True], ValueError, r"one value for each pair.*\(2,\), same \(1,"),
        ([[1.0], [2.0]], [True, False], ValueError, "one value for each pair"),
        ([1.0, np.nan, np.inf], [1, 0, 1], ValueError, "in 2 of 3 pairs, first at 1"),
        (["a", "b"], [True, False], ValueError, "`distances` must be numbers"),
        ([1.0, 2.0], ["a", "b"], TypeError, "`same` must be booleans, or 0 and 1"),
        ([1.0, 2.0], [0, 2], TypeError, "`same` must be booleans, or 0 and 1"),
        ([1.0, 2.0], [True, True], ValueError, "2 of the same and 0 of different"),
        ([1.0, 2.0], [False, False], ValueError, "0 of the same and 2 of different"),
        ([], [], ValueError, "0 of the same and 0 of different"),
    ],
)
def test_bad_pairs_are_refused(distances, same, error, message):
    with pytest.raises(error, match=message):
        evaluate_pairs(np.asarray(distances), np.asarray(same))


def clusters(seed, n, n_classes, dim=5):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n)
    centres = generator.normal(size=(n_classes, dim))
    return centres[labels] + 0.7 * generator.normal(size=(n, dim)), labels


def all_pairs(items, labels, queries=None, query_labels=None, metric=None):
    items = np.asarray(items, np.float64)
    left = enumerate(items if queries is None else np.asarray(queries, np.float64))
    distances, same = [], []
    for i, a in left:
        for j, b in enumerate(items):
            label = labels[i] if queries is None else query_labels[i]
            if (queries is None and j <= i) or label is None or labels[j] is None:
                continue
            distances.append(metric(a, b))
            same.append(label == labels[j])
    return distances, same


METRICS = {
    "euclidean": lambda a, b: np.sqrt(((a - b) ** 2).sum()),
    "squared_euclidean": lambda a, b: ((a - b) ** 2).sum(),
    "manhattan": lambda a, b: np.abs(a - b).sum(),
    "inner_product": lambda a, b: -(a * b).sum(),
    "cosine": lambda a, b: 1 - (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()),
    "snr": lambda a, b: np.var(a - b) / np.var(a),
}


@pytest.mark.parametrize("distance", METRICS)
def test_all_pairs_of_items_agree_with_a_loop_over_pairs(distance):
    items, labels = clusters(0, 30, 4)
    found = evaluate_verification(items, labels, distance=distance)
    expected = reference(*all_pairs(items, labels, metric=METRICS[distance]))
    for name in ("auc", "eer", "best_accuracy"):
        assert getattr(found, name) == pytest.approx(expected[name], abs=1e-9), name


@pytest.mark.parametrize("distance", ["cosine", "snr"])
def test_queries_are_paired_with_each_item(distance):
    items, labels = clusters(1, 25, 4)
    queries, asked = clusters(2, 11, 5)
    found = evaluate_verification(items, labels, queries, asked, distance=distance)
    metric = METRICS[distance]
    expected = reference(*all_pairs(items, labels, queries, asked, metric))
    assert found.n_same + found.n_different == 25 * 11
    for name in ("auc", "eer", "best_accuracy"):
        assert getattr(found, name) == pytest.approx(expected[name], abs=1e-9), name


def test_items_without_a_label_are_in_no_pair():
    items, labels = clusters(3, 20, 3)
    given = [None if i % 4 == 0 else f"class {labels[i]}" for i in range(20)]
    kept = [i for i in range(20) if i % 4]
    found = evaluate_verification(items, given)
    expected = evaluate_verification(items[kept], labels[kept])
    np.testing.assert_array_equal(found.thresholds, expected.thresholds)
    np.testing.assert_array_equal(found.same_within, expected.same_within)
    queries = evaluate_verification(items, given, items, given)
    assert queries.n_same + queries.n_different == len(kept) ** 2


def test_minus_one_is_a_class():
    items, labels = clusters(4, 20, 2)
    found = evaluate_verification(items, labels - 1)
    assert found.n_same + found.n_different == 190


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1.0], [2.0]], [1, 2, 3]), ValueError, "one label for each item"),
        (([[1.0], [np.nan]], [1, 2]), ValueError, "finite numbers"),
        (([[1.0], [2.0]], [1, 1]), ValueError, "1 of the same and 0 of different"),
        (([[1.0], [2.0]], [1, 2]), ValueError, "0 of the same and 1 of different"),
        (([[1.0], [2.0]], None), ValueError, "0 of the same and 0 of different"),
        (([[1.0]], [1], [[1.0]], None), ValueError, "only `query_embeddings`"),
        (([[1.0]], [1], None, [1]), ValueError, "only `query_labels`"),
        (([[1.0]], [1], [[1.0, 2.0]], [1]), ValueError, "`query_embeddings` must have"),
        (([[1.0]], [1], [[1.0]], ["a"]), TypeError, "must be of one kind"),
    ],
)
def test_bad_embeddings_and_labels_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        evaluate_verification(*arguments)


def test_rates_and_ragged_pairs_are_refused_in_words():
    found = evaluate_pairs([0.1, 0.2], [True, False])
    for far in ("0.1", True, np.nan):
        with pytest.raises(ValueError, match="false accept rate must be above 0"):
            found.tar_at_far(far)
    with pytest.raises(ValueError, match="`distances` must be numbers"):
        evaluate_pairs([[1.0], [1.0, 2.0]], [True, False])
