"""Losses added up."""

import json

import keras
import numpy as np
import pytest

from tensorflow_similarity.losses import (
    ContrastiveLoss,
    MarginLoss,
    SumOfLosses,
    ThresholdConsistentMarginLoss,
    TripletLoss,
)
from tensorflow_similarity.models import SimilarityModel
from tests.gradients import evaluate, to_numpy, value_and_grad

pytestmark = [
    pytest.mark.backend_smoke,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

ROWS = np.random.default_rng(11).normal(size=(7, 4)).astype("float32")
LABELS = np.array([3, 1, 3, 5, 1, 9, 3])
WEIGHTS = np.array([1.0, 0.5, 2.0, 1.0, 0.0, 3.0, 1.5])


def value_of(loss, sample_weight=None):
    return value_and_grad(lambda x: loss(LABELS, x, sample_weight), ROWS)


@pytest.mark.parametrize("sample_weight", [None, WEIGHTS])
def test_is_the_weighted_sum_of_its_parts(sample_weight):
    parts = [TripletLoss(), ThresholdConsistentMarginLoss(reduction="sum")]
    total = SumOfLosses(parts, weights=[0.5, 3.0])
    value, (gradient,) = value_of(total, sample_weight)
    (a, (da,)), (b, (db,)) = (value_of(part, sample_weight) for part in parts)
    np.testing.assert_allclose(value, 0.5 * a + 3 * b, rtol=1e-6)
    np.testing.assert_allclose(gradient, 0.5 * da + 3 * db, rtol=1e-5, atol=1e-5)


def test_plus_makes_one_flat_sum():
    triplet, contrastive = TripletLoss(), ContrastiveLoss()
    consistent = ThresholdConsistentMarginLoss()
    total = SumOfLosses([triplet, contrastive], [1.0, 0.1]) + consistent
    assert total.losses == [triplet, contrastive, consistent]
    assert total.weights == [1.0, 0.1, 1.0]
    other = TripletLoss()
    assert (other + total).losses == [other, *total.losses]
    assert total.distance.name == "cosine"


def test_plus_something_else_is_refused():
    with pytest.raises(TypeError, match="unsupported operand"):
        TripletLoss() + 1.0


def test_without_reduction_it_is_one_value_an_anchor():
    parts = [TripletLoss(reduction=None), ContrastiveLoss(reduction=None)]
    values = evaluate(lambda x: (parts[0] + parts[1])(LABELS, x), ROWS)
    each = [evaluate(lambda x, p=p: p(LABELS, x), ROWS) for p in parts]
    np.testing.assert_allclose(values, each[0] + each[1], rtol=1e-6)
    called = evaluate(lambda x: (parts[0] + parts[1]).call(LABELS, x), ROWS)
    np.testing.assert_allclose(called, values, rtol=1e-6)


def test_config_round_trip_through_json():
    total = SumOfLosses(
        [TripletLoss("snr", miner="batch_hard"), ContrastiveLoss("snr", squared=True)],
        weights=[1, 0.25],
        name="mine",
    )
    whole = json.loads(json.dumps(keras.saving.serialize_keras_object(total)))
    back = keras.saving.deserialize_keras_object(whole)
    assert back.get_config() == total.get_config()
    assert isinstance(back.losses[1], ContrastiveLoss) and back.losses[1].squared
    assert back.losses[0].miner == total.losses[0].miner
    assert back.distance == total.distance and back.name == "mine"


def test_weights_of_parts_are_trained_saved_and_loaded(tmp_path):
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    margins = [MarginLoss(learn_beta=True, beta=b, name="same") for b in (0.5, 1.5)]
    model.compile("sgd", loss=margins[0] + TripletLoss("euclidean") + margins[1])
    # On torch the array shares the memory of the variable.
    before = [to_numpy(m.weight("beta")).copy() for m in margins]
    model.fit(ROWS, LABELS, batch_size=7, verbose=0)
    after = [to_numpy(m.weight("beta")) for m in margins]
    assert all((a != b).all() for a, b in zip(after, before, strict=True))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    loaded = [part.weight("beta") for part, _ in again.loss.trained_parts(3)]
    np.testing.assert_allclose([to_numpy(w) for w in loaded], after)
    np.testing.assert_allclose(
        again.evaluate(ROWS, LABELS, verbose=0),
        model.evaluate(ROWS, LABELS, verbose=0),
        rtol=1e-6,
    )
    again.fit(ROWS, LABELS, batch_size=7, verbose=0)


@pytest.mark.parametrize(
    ("losses", "weights", "message"),
    [
        ([], None, "`losses` must have at least one"),
        (
            [TripletLoss(), ContrastiveLoss(targets="multi_hot")],
            None,
            "same `targets`. Received: ['labels', 'multi_hot']",
        ),
        (
            [TripletLoss(), ContrastiveLoss(reduction=None)],
            None,
            "all have a reduction, or none. Received: reductions ['sum_over_batch",
        ),
        ([TripletLoss()], [1.0, 2.0], "`weights` must be 1 numbers of at least 0"),
        ([TripletLoss()], [-1.0], "Received: weights=[-1.0]"),
        ([TripletLoss()], [float("nan")], "Received: weights=[nan]"),
    ],
)
def test_what_does_not_fit_is_refused(losses, weights, message):
    with pytest.raises(ValueError) as error:
        SumOfLosses(losses, weights)
    assert message in str(error.value)


def test_another_kind_of_loss_is_refused():
    with pytest.raises(TypeError, match=r"`losses` must be .*Received: .*"):
        SumOfLosses([keras.losses.MeanSquaredError()])


def test_each_loss_compares_by_its_own_distance_and_the_first_one_counts():
    parts = [MarginLoss(), ThresholdConsistentMarginLoss()]
    total = parts[0] + parts[1]
    assert total.distance.name == "euclidean"
    expected = sum(float(to_numpy(part(LABELS, ROWS))) for part in parts)
    assert float(to_numpy(total(LABELS, ROWS))) == pytest.approx(expected, rel=1e-6)
