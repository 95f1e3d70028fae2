"""NT-Xent with labels, by hand."""

import numpy as np
import pytest

from tensorflow_similarity.losses import InfoNCELoss, NTXentLoss
from tests.gradients import to_numpy

pytestmark = pytest.mark.backend_smoke


def test_other_positives_are_not_in_the_denominator():
    # At distance 0 from both positives, at 1 from the negative.
    rows = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]], "float32")
    labels = np.array([0, 0, 0, 1])
    value = to_numpy(NTXentLoss(temperature=0.5)(labels, rows))
    np.testing.assert_allclose(value, np.log1p(np.exp(-2.0)), rtol=1e-6)
    value = to_numpy(NTXentLoss(temperature=0.5, decoupled=True)(labels, rows))
    np.testing.assert_allclose(value, -2.0, rtol=1e-6)


def test_the_mean_is_over_pairs():
    # Class 0 has 6 ordered pairs of one loss, class 1 has 2 of another.
    rows = np.array([[0.0]] * 3 + [[1.0], [2.0]], "float32")
    labels = np.array([0, 0, 0, 1, 1])
    loss = NTXentLoss("euclidean", temperature=1.0)
    e = np.exp
    of_0 = np.log1p(e(-1) + e(-2))
    of_1 = np.log1p(3 * e(-1) / e(-1)) + np.log1p(3 * e(-2) / e(-1))
    np.testing.assert_allclose(
        to_numpy(loss(labels, rows)), (6 * of_0 + of_1) / 8, rtol=1e-6
    )


def test_two_rows_a_class_are_simclr():
    # As queries and keys, with the own view's other rows among the keys.
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    value = to_numpy(NTXentLoss(temperature=0.5)([0, 1, 2] * 2, np.r_[a, b]))
    a_to_b, b_to_a = [], []
    for i in range(3):
        others = [j for j in range(3) if j != i]
        loss = InfoNCELoss(temperature=0.5, symmetric=False)
        a_to_b.append(to_numpy(loss(a[i : i + 1], np.r_[b[[i, *others]], a[others]])))
        b_to_a.append(to_numpy(loss(b[i : i + 1], np.r_[a[[i, *others]], b[others]])))
    np.testing.assert_allclose(value, np.mean(a_to_b + b_to_a), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_temperature_of_zero_or_less_is_refused(value):
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        NTXentLoss(temperature=value)
