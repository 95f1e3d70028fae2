"""Figures of spread with weights and without; the metrics' tests read them in loops."""

import numpy as np
import pytest
from keras import ops

from tensorflow_similarity._core import spread
from tests.gradients import evaluate

pytestmark = pytest.mark.backend_smoke


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
@pytest.mark.parametrize(
    "figure",
    [spread.batch_std, spread.embedding_std, spread.effective_rank, spread.uniformity],
)
def test_a_weight_is_how_often_a_row_counts(figure, shape):
    rows = np.random.default_rng(1).normal(size=shape).astype("float32")
    ones = np.ones(shape[0], "float32")
    plain = evaluate(figure, rows)
    np.testing.assert_allclose(evaluate(figure, rows, ones), plain, rtol=1e-5)
    without = ones.copy()
    without[0] = 0.0
    expected = evaluate(figure, rows[1:])
    np.testing.assert_allclose(evaluate(figure, rows, without), expected, rtol=1e-5)


def test_rank_is_that_of_the_singular_values_on_both_sides():
    rows = np.random.default_rng(2).normal(size=(6, 15)).astype("float32")
    shares = np.linalg.svd(rows.astype(float), compute_uv=False)
    shares /= shares.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    for x in (rows, rows.T, 1e20 * rows):
        actual = evaluate(lambda t: spread.effective_rank(t), x)
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_a_single_row_has_finite_figures():
    row = ops.array([[3.0, 4.0]])
    assert float(spread.embedding_std(row)) == 0.0
    assert float(spread.effective_rank(row)) == pytest.approx(1.0)
    assert float(spread.uniformity(row)) == 0.0
