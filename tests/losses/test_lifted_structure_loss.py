"""Pairs, strategies and names of the lifted structure losses."""

import numpy as np
import pytest

from tensorflow_similarity.losses import (
    GeneralizedLiftedStructureLoss,
    LiftedStructLoss,
    LiftedStructureLoss,
)
from tests.gradients import evaluate

pytestmark = pytest.mark.backend_smoke

# On a line: class 0 at 0, 2 and -4, negatives at 3 and 9.
LINE = np.array([[0.0], [2.0], [-4.0], [3.0], [9.0]], "float32")
LABELS = np.array([0, 0, 0, 1, 2])


def value_of(loss, labels=LABELS):
    return evaluate(lambda x: loss(labels, x), LINE)


def loss_of_pair(a, b):
    """By hand, margin 1: half the square of J."""
    near = [np.exp(1 - abs(x - n)) for x in (a, b) for n in (3, 9)]
    return max(0.0, abs(a - b) + np.log(sum(near))) ** 2 / 2


def test_all_is_the_mean_over_positive_pairs():
    expected = np.mean([loss_of_pair(*p) for p in [(0, 2), (0, -4), (2, -4)]])
    np.testing.assert_allclose(value_of(LiftedStructureLoss()), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("strategy", "pairs"),
    [
        ("hard", [(0, -4), (2, -4), (-4, 2)]),
        ("easy", [(0, 2), (2, 0), (-4, 0)]),
    ],
)
def test_one_positive_an_anchor(strategy, pairs):
    loss = LiftedStructureLoss(positive_mining_strategy=strategy, reduction=None)
    expected = [*(loss_of_pair(*p) for p in pairs), 0, 0]
    np.testing.assert_allclose(value_of(loss), expected, rtol=1e-5)


def test_a_pair_counts_if_one_of_its_rows_has_a_negative():
    # Row 0 knows a positive alone; row 1 also a negative, row 2.
    relation = np.full((5, 5), -1)
    relation[0, 1] = 1
    relation[1, 3] = 0
    loss = LiftedStructureLoss(targets="relation", reduction=None)
    expected = (2 + np.log(np.exp(1 - 1))) ** 2 / 2
    np.testing.assert_allclose(value_of(loss, relation), [expected, 0, 0, 0, 0])


def test_known_name_has_the_known_defaults():
    loss = LiftedStructLoss()
    assert isinstance(loss, LiftedStructureLoss)
    assert loss.name == "lifted_struct_loss"
    assert loss.distance.name == "cosine"
    assert (loss.positive_mining_strategy, loss.margin) == ("hard", 1.0)


def test_generalized_joins_all_positives_with_all_negatives():
    loss = GeneralizedLiftedStructureLoss(margin=1.0, reduction=None)
    first = np.log(np.exp(2) + np.exp(4)) + np.log(np.exp(1 - 3) + np.exp(1 - 9))
    values = value_of(loss)
    np.testing.assert_allclose(values[0], first, rtol=1e-5)
    np.testing.assert_allclose(values[3:], 0)


@pytest.mark.parametrize(
    "loss", [LiftedStructureLoss, LiftedStructLoss, GeneralizedLiftedStructureLoss]
)
def test_negative_margin_is_refused(loss):
    with pytest.raises(ValueError, match=r"`margin` must be .*margin=-1"):
        loss(margin=-1)


def test_unknown_strategy_is_refused():
    with pytest.raises(
        ValueError, match=r"must be one of \['all', 'easy', 'hard'\].*'semi-hard'"
    ):
        LiftedStructureLoss(positive_mining_strategy="semi-hard")
