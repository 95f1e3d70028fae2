"""Accuracy over folds against a loop over folds and thresholds."""

import numpy as np
import pytest

from tensorflow_similarity.evaluators import k_fold_accuracy
from tests.evaluators.test_verification import pairs


def reference(distances, same, folds):
    accuracies = []
    for fold in sorted(set(folds)):
        train = [i for i in range(len(folds)) if folds[i] != fold]
        test = [i for i in range(len(folds)) if folds[i] == fold]
        levels = sorted({distances[i] for i in train})
        candidates = [-np.inf]
        for here, following in zip(levels, [*levels[1:], levels[-1]], strict=True):
            candidates.append((here + following) / 2)
        hits = [sum((distances[i] <= t) == same[i] for i in train) for t in candidates]
        chosen = candidates[hits.index(max(hits))]
        accuracies.append(np.mean([(distances[i] <= chosen) == same[i] for i in test]))
    return accuracies


@pytest.mark.parametrize("levels", [None, 3])
def test_agrees_with_a_loop(levels):
    distances, same = pairs(0, n=120, levels=levels)
    folds = np.random.default_rng(0).integers(0, 7, 120) * 10
    found = k_fold_accuracy(distances, same, folds=folds)
    expected = reference(distances.tolist(), same.tolist(), folds.tolist())
    np.testing.assert_allclose(found.accuracies, expected)
    assert found.mean == pytest.approx(np.mean(expected))
    error = np.std(expected, ddof=1) / np.sqrt(len(expected))
    assert found.standard_error == pytest.approx(error)
    assert f"{found.mean:.4f}" in repr(found)


def test_worked_by_hand():
    # Fold 0 is judged by (1 same, 3 different): threshold 2 tells 1.5 right, 1.8 not.
    # Fold 1 by (1.5 same, 1.8 different): threshold 1.65 tells both right.
    found = k_fold_accuracy([1.5, 1.8, 1, 3], [1, 0, 1, 0], folds=[0, 0, 1, 1])
    np.testing.assert_allclose(found.accuracies, [0.5, 1.0])
    np.testing.assert_allclose(found.thresholds, [2.0, 1.65])
    assert found.mean == 0.75


def test_no_threshold_may_be_best():
    found = k_fold_accuracy([1, 2, 1, 2], [0, 1, 0, 1], folds=[0, 0, 1, 1])
    assert found.thresholds.tolist() == [-np.inf, -np.inf]
    assert found.mean == 0.5


def test_drawn_folds_have_both_kinds_and_follow_the_seed():
    distances, same = pairs(1, n=200)
    found = k_fold_accuracy(distances, same)
    assert len(found.accuracies) == 10
    again = k_fold_accuracy(distances, same, seed=0)
    np.testing.assert_array_equal(found.accuracies, again.accuracies)
    other = k_fold_accuracy(distances, same, seed=1)
    assert not np.array_equal(found.accuracies, other.accuracies)


@pytest.mark.parametrize("folds", [1, 0, 3])
def test_a_number_of_folds_out_of_range_is_refused(folds):
    with pytest.raises(ValueError, match="`folds` must be from 2 to 2"):
        k_fold_accuracy([1, 2, 3, 4], [1, 1, 0, 0], folds=folds)


@pytest.mark.parametrize("folds", [[0, 1], [0.0, 0.5, 1.0, 1.0], None])
def test_folds_of_another_length_or_kind_are_refused(folds):
    with pytest.raises(ValueError, match="`folds` must be a number of folds, or 4"):
        k_fold_accuracy([1, 2, 3, 4], [1, 1, 0, 0], folds=folds)


def test_one_fold_is_refused():
    with pytest.raises(ValueError, match="at least two folds"):
        k_fold_accuracy([1, 2, 3, 4], [1, 1, 0, 0], folds=[2, 2, 2, 2])
