"""The contract: reductions, weights, targets, shapes at the door, labels kept whole."""

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity import distances, losses
from tensorflow_similarity.losses import MetricLoss, TripletLoss
from tests.gradients import BACKEND, HAS_FLOAT64, to_numpy

pytestmark = pytest.mark.backend_smoke


class RowLoss(MetricLoss):
    """Value: the sum of the row. Weight: 1 where there is a positive and a negative."""

    def compute(self, pairs):
        some = ops.logical_and(
            ops.any(pairs.positives, axis=1), ops.any(pairs.negatives, axis=1)
        )
        return ops.sum(pairs.query_embeddings, axis=1), some


LABELS = np.array([0, 0, 1, 2, 2, -1])
ROWS = np.array([[1.0], [2.0], [50.0], [4.0], [8.0], [90.0]], "float32")
VALUES = np.array([1.0, 2.0, 0.0, 4.0, 8.0, 0.0])
SAMPLE_WEIGHT = np.array([1.0, 0.0, 3.0, 2.0, 1.0, 5.0])


def run(reduction, sample_weight=None, labels=LABELS, rows=ROWS):
    return to_numpy(RowLoss(reduction=reduction)(labels, rows, sample_weight))


@pytest.mark.parametrize(
    ("reduction", "plain", "weighted"),
    [
        ("sum_over_batch_size", 15 / 4, 17 / 4),
        ("mean", 15 / 4, 17 / 4),
        ("auto", 15 / 4, 17 / 4),
        ("AUTO", 15 / 4, 17 / 4),
        ("mean_with_sample_weight", 15 / 4, 17 / 4.0),
        ("sum", 15.0, 17.0),
        (None, VALUES, VALUES * SAMPLE_WEIGHT),
        ("none", VALUES, VALUES * SAMPLE_WEIGHT),
    ],
)
def test_reductions(reduction, plain, weighted):
    np.testing.assert_allclose(run(reduction), plain, rtol=1e-6)
    for weight in (SAMPLE_WEIGHT, SAMPLE_WEIGHT[:, None]):
        np.testing.assert_allclose(run(reduction, weight), weighted, rtol=1e-6)


def test_mean_with_sample_weight_divides_by_the_weights_of_what_counts():
    weights = np.array([2.0, 2.0, 9.0, 0.0, 0.0, 9.0])
    assert run("mean_with_sample_weight", weights) == 6 / 4
    assert run("mean", weights) == 6 / 4.0
    assert run("mean_with_sample_weight", weights / 2) == 6 / 4
    assert run("mean", weights / 2) == 3 / 4


@pytest.mark.parametrize("reduction", ["mean", "mean_with_sample_weight", "sum"])
def test_nothing_to_learn_from_is_zero(reduction):
    assert run(reduction, labels=np.zeros(6, int)) == 0.0
    assert run(reduction, sample_weight=np.zeros(6)) == 0.0


def test_call_answers_one_value_an_anchor():
    np.testing.assert_allclose(to_numpy(RowLoss().call(LABELS, ROWS)), VALUES)


class EverythingCounts(MetricLoss):
    def compute(self, pairs):
        nan = ops.sum(pairs.query_embeddings, axis=1) * np.nan
        return nan, ops.ones_like(nan)


def test_an_anchor_without_any_pair_counts_for_nothing_whatever_compute_says():
    assert to_numpy(EverythingCounts()(np.array([-1, -1]), ROWS[:2])) == 0.0


def test_rows_of_weight_zero_are_still_others_positives_and_negatives():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]], "float32")
    labels = np.array([0, 0, 1])
    weighted = TripletLoss()(labels, rows, np.array([1.0, 0.0, 0.0]))
    without = TripletLoss()(labels[:1], rows[:1])
    assert to_numpy(weighted) > 0.5 and to_numpy(without) == 0.0


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match=r"`reduction` must be .*reduction='median'"):
        TripletLoss(reduction="median")


def test_unknown_targets_are_refused():
    with pytest.raises(ValueError, match=r"`targets` must be one of \['labels', "):
        TripletLoss(targets="guess")


def test_unknown_distance_is_refused():
    with pytest.raises(ValueError, match="`distance` must be"):
        TripletLoss(distance="no_such")


def test_distance_may_be_a_name_an_object_or_a_description():
    mine = distances.EuclideanDistance()
    for distance in ("L2", mine, distances.serialize(mine)):
        assert TripletLoss(distance=distance).distance == mine


def test_compute_must_be_written():
    with pytest.raises(NotImplementedError, match="MetricLoss must write `compute"):
        MetricLoss()(LABELS, ROWS)


@pytest.mark.parametrize("shape", [(6,), (6, 2, 2), ()])
def test_embeddings_of_another_rank_are_refused(shape):
    with pytest.raises(ValueError, match=r"`y_pred` must be embeddings of shape"):
        RowLoss()(LABELS, np.ones(shape, "float32"))


@pytest.mark.parametrize(
    ("targets", "shape"),
    [
        ("labels", (6, 2)),
        ("labels", (6, 1, 1)),
        ("labels", ()),
        ("labels_ids", (6,)),
        ("labels_ids", (6, 3)),
        ("multi_hot", (6,)),
        ("relation", (6,)),
    ],
)
def test_targets_of_another_shape_are_refused_with_the_other_kinds(targets, shape):
    with pytest.raises(ValueError) as error:
        RowLoss(targets=targets)(np.ones(shape, "int32"), ROWS)
    message = str(error.value)
    assert f'With targets="{targets}" `y_true` must have shape' in message
    assert f"Received: y_true of shape {shape}." in message
    assert "Other kinds: targets=" in message


@pytest.mark.parametrize("targets", losses.pairs.TARGETS)
def test_another_number_of_targets_is_refused(targets):
    shape = {"labels": (5,), "relation": (5, 6)}.get(targets, (5, 2))
    with pytest.raises(ValueError, match="must have the same number of rows"):
        RowLoss(targets=targets)(np.ones(shape, "int32"), ROWS)


@pytest.mark.parametrize("shape", [(5,), (6, 2), (6, 1, 1), ()])
def test_sample_weights_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="one weight an anchor"):
        RowLoss()(LABELS, ROWS, np.ones(shape))


def test_string_labels_are_refused_with_the_cure():
    with pytest.raises(TypeError, match=r"numpy.unique\(labels, return_inverse=True\)"):
        RowLoss()(["a", "b", "c", "d", "e", "f"], ROWS)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has them")
def test_string_tensors_are_refused_with_the_cure():
    labels = ops.convert_to_tensor(np.array(["a", "b", "c", "d", "e", "f"]))
    with pytest.raises(TypeError, match="StringLookup"):
        RowLoss()(labels, ROWS)


@pytest.mark.parametrize(
    ("targets", "y_true"),
    [
        ("labels_ids", np.stack([LABELS, np.arange(6)], axis=1)),
        ("multi_hot", np.eye(3)[LABELS] * (LABELS >= 0)[:, None]),
        (
            "relation",
            np.where(
                (LABELS[:, None] >= 0) & (LABELS >= 0), LABELS[:, None] == LABELS, -1
            ),
        ),
    ],
)
def test_every_kind_of_targets_can_say_the_same(targets, y_true):
    loss = RowLoss(targets=targets)
    np.testing.assert_allclose(to_numpy(loss(y_true, ROWS)), 15 / 4)


@pytest.mark.parametrize("reduction", ["mean", None])
def test_large_labels_stay_apart_in_a_direct_call(reduction):
    loss = RowLoss(reduction=reduction)
    small, large = np.array([0, 0, 1, 1]), 2**24 + np.array([0, 0, 1, 1])
    expected = to_numpy(loss(small, ROWS[:4]))
    np.testing.assert_array_equal(to_numpy(loss(large, ROWS[:4])), expected)
    assert expected.any()


BASE = 2**60 if HAS_FLOAT64 else 2**24


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_large_labels_stay_apart_through_fit():
    x = np.random.default_rng(4).normal(size=(8, 5)).astype("float32")
    y = BASE + np.array([0, 1] * 4)

    def first_loss(labels):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.layers.Dense(4)])
        model.compile("sgd", loss=TripletLoss(margin=1.0))
        history = model.fit(x, labels, epochs=1, batch_size=8, shuffle=False, verbose=0)
        return history.history["loss"][0]

    # Had the labels collided there would be one class, and nothing to learn.
    loss = first_loss(y)
    assert loss > 0
    np.testing.assert_allclose(loss, first_loss(np.array([0, 1] * 4)))
