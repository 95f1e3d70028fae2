"""Bootstrap intervals: against resampling in loops, and against known theory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.evaluators import bootstrap_interval


def reference(values, weights, n_resamples, confidence, seed):
    """The definition, draw by draw, on the draws of the same generator."""
    values, n = np.asarray(values, "float64"), len(values)
    weights = np.ones(n) if weights is None else np.asarray(weights, "float64")
    draws = np.random.default_rng(seed).integers(0, n, (n_resamples, n))
    means = []
    for drawn in draws:
        total = sum(weights[i] for i in drawn)
        means.append(sum(weights[i] * values[i] for i in drawn) / total)
    tail = (1 - confidence) / 2
    return np.quantile(means, tail), np.quantile(means, 1 - tail)


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 2.0, 1.0, 0.25, 1.0, 3.0]])
def test_agrees_with_resampling_in_loops(weights):
    values = [0.1, 0.9, 0.4, 0.4, 1.0, 0.0, 0.3]
    found = bootstrap_interval(values, weights, n_resamples=200, confidence=0.8, seed=5)
    assert found == pytest.approx(reference(values, weights, 200, 0.8, 5), abs=1e-12)


def test_blocks_do_not_matter(monkeypatch):
    from tensorflow_similarity.evaluators import bootstrap

    values = np.random.default_rng(0).random(50)
    whole = bootstrap_interval(values, n_resamples=100)
    monkeypatch.setattr(bootstrap, "_BLOCK_COUNTS", 170)
    assert bootstrap_interval(values, n_resamples=100) == pytest.approx(whole)


def test_has_the_width_of_theory():
    # The mean of n draws of variance s has a standard error of sqrt(s / n).
    values = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    low, high = bootstrap_interval(values, n_resamples=4000)
    half = 1.96 * values.std() / 4000**0.5
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_columns_are_drawn_together():
    values = np.random.default_rng(2).random(40)
    low, high = bootstrap_interval(np.stack([values, 1 - values], axis=1))
    assert low.shape == high.shape == (2,)
    np.testing.assert_allclose(low, 1 - high[::-1], atol=1e-12)
    assert (low[0], high[0]) == pytest.approx(bootstrap_interval(values), abs=1e-12)


def test_function_is_applied_to_the_drawn_values():
    values = np.random.default_rng(3).random(30)
    found = bootstrap_interval(values, statistic=np.median, n_resamples=50, seed=9)
    random = np.random.default_rng(9)
    medians = [np.median(values[random.integers(0, 30, 30)]) for _ in range(50)]
    assert found == pytest.approx(tuple(np.quantile(medians, [0.025, 0.975])))


def test_seed_decides():
    values = np.random.default_rng(4).random(30)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_one_value_has_an_interval_of_no_width():
    assert bootstrap_interval([0.25]) == (0.25, 0.25)


def test_draws_without_weight_do_not_give_nan():
    low, high = bootstrap_interval([0.0, 1.0, 0.5], weights=[0.0, 0.0, 1.0])
    assert (low, high) == (0.5, 0.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.5, 0.99))
def test_lies_within_the_values_in_order(values, confidence):
    low, high = bootstrap_interval(values, n_resamples=50, confidence=confidence)
    assert min(values) <= low <= high <= max(values)


@pytest.mark.parametrize(
    "arguments, options, words",
    [
        ([[]], {}, "`values` must be numbers"),
        ([["a"]], {}, "`values` must be numbers"),
        ([[[[1.0]]]], {}, "`values` must be numbers"),
        ([[0.0, np.nan]], {}, "`values` must be finite"),
        ([[0.0, 1.0], [1.0]], {}, "`weights` must be 2 finite"),
        ([[0.0, 1.0], [1.0, -1.0]], {}, "`weights` must be 2 finite"),
        ([[0.0, 1.0], [0.0, 0.0]], {}, "`weights` must be 2 finite"),
        ([[0.0]], {"n_resamples": 0}, "`n_resamples` must be"),
        ([[0.0]], {"n_resamples": True}, "`n_resamples` must be"),
        ([[0.0]], {"seed": "a"}, "`seed` must be an integer of at least 0"),
        ([[0.0]], {"confidence": 1.0}, "`confidence` must be"),
        ([[0.0]], {"confidence": "high"}, "`confidence` must be"),
        ([[0.0]], {"statistic": "mode"}, "`statistic` must be 'mean'"),
        ([[0.0], [1.0]], {"statistic": np.mean}, "`statistic` as a function"),
    ],
)
def test_bad_input_is_named(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        bootstrap_interval(*arguments, **options)
