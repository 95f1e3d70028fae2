"""Boundary and active pairs of the margin loss."""

import keras
import numpy as np
import pytest

from tensorflow_similarity.losses import MarginLoss
from tensorflow_similarity.models import SimilarityModel
from tests.gradients import BACKEND, compiled, evaluate, to_numpy

pytestmark = [
    pytest.mark.backend_smoke,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# On a line: positives 2 apart, negatives 1 and 3.
LINE = np.array([[0.0], [2.0], [-1.0]], "float32")
LABELS = np.array([0, 0, 1])


def value_of(loss, labels=LABELS):
    return evaluate(lambda x: loss(labels, x), LINE)


def test_mean_runs_over_active_pairs():
    # Boundary 1.5: positives over by 0.7 (twice), negatives at 1 over by 0.7 (twice),
    # those at 3 (twice) not active.
    np.testing.assert_allclose(value_of(MarginLoss(beta=1.5)), 0.7, rtol=1e-5)
    # Boundary 2.5: positives not active, negatives over by 1.7.
    np.testing.assert_allclose(value_of(MarginLoss(beta=2.5)), 1.7, rtol=1e-5)


def test_no_active_pair_is_no_loss():
    labels = np.array([0, -1, 0])
    assert value_of(MarginLoss(), labels) == 0


def test_fixed_boundary_needs_no_weights():
    loss = MarginLoss()
    assert not loss.has_weights and loss.trained_parts(4) == []


@pytest.mark.parametrize("num_classes", [None, 2])
def test_learned_boundary_starts_at_beta_and_moves(num_classes):
    inputs = keras.Input((1,))
    model = SimilarityModel(inputs, keras.layers.Dense(2)(inputs))
    loss = MarginLoss(beta=0.7, learn_beta=True, nu=0.3, num_classes=num_classes)
    model.compile("sgd", loss=loss)
    before = to_numpy(loss.weight("beta")).copy()  # torch's shares memory
    np.testing.assert_allclose(before, [0.7] * (num_classes or 1))
    model.fit(LINE, LABELS, verbose=0)
    assert (to_numpy(loss.weight("beta")) != before).all()


def test_nu_counts_the_boundary_of_each_anchor():
    values = []
    for nu in (0.0, 2.0):
        loss = MarginLoss(learn_beta=True, nu=nu, num_classes=2, reduction=None)
        loss.build(1)
        loss.layer_weights()["beta"].assign([0.5, 0.9])
        values.append(value_of(loss))
    np.testing.assert_allclose(values[1] - values[0], [1.0, 1.0, 1.8], rtol=1e-5)


def test_label_beyond_num_classes_is_named():
    loss = MarginLoss(learn_beta=True, num_classes=2)
    loss.build(1)
    with pytest.raises(ValueError, match=r"num_classes=2.*Received: a label 5"):
        loss(np.array([0, 0, 5]), LINE)


@pytest.mark.skipif(BACKEND == "torch", reason="its graphs break, and the label raises")
def test_row_beyond_num_classes_is_no_anchor_in_a_graph():
    loss = MarginLoss(learn_beta=True, num_classes=2, beta=1.5, reduction=None)
    loss.build(1)
    values = evaluate(compiled(lambda x, y: loss(y, x)), LINE, np.array([0, 0, 5]))
    assert (values[:2] > 0).all() and values[2] == 0


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"alpha": -1}, "`alpha` and `nu` must be at least 0. Received: alpha=-1"),
        ({"nu": 0.1}, "give `learn_beta=True`. Received: nu=0.1"),
        ({"num_classes": 3}, "give `learn_beta=True`. Received: nu=0.0, num_classes=3"),
        (
            {"num_classes": 0, "learn_beta": True},
            "`num_classes` must be an integer of at least 1, or None. Received: ",
        ),
        (
            {"num_classes": 3, "learn_beta": True, "targets": "relation"},
            "`num_classes` needs class ids, targets='labels' or 'labels_ids'. Received",
        ),
    ],
)
def test_bad_argument_is_refused(kwargs, message):
    with pytest.raises(ValueError) as error:
        MarginLoss(**kwargs)
    assert message in str(error.value)
