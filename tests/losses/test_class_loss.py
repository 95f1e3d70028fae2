"""What all losses with vectors of the classes keep."""

import numpy as np
import pytest
from keras import ops

from tensorflow_similarity.losses import (
    ClassLoss,
    CosFaceLoss,
    MultiSimilarityLoss,
    NormalizedSoftmaxLoss,
    SumOfLosses,
)
from tests.gradients import BACKEND, compiled, evaluate, to_numpy
from tests.proxies import value_of, with_proxies

pytestmark = pytest.mark.backend_smoke

AXES = np.eye(3, 2)
ROWS = np.array([[1.0, 0.2], [0.3, 2.0], [-1.0, 1.0]], "float32")


class Farness(ClassLoss):
    """1 - cosine with the own class: the least that a loss must write."""

    def compute_classes(self, classes):
        return 1.0 - ops.sum(ops.where(classes.own, classes.cosines, 0.0), axis=1)


def test_a_loss_of_ones_own():
    loss = Farness(3, reduction=None)
    values = value_of(loss, [0, 1, -1], [[2.0, 0.0], [3.0, 0.0], [1.0, 1.0]], AXES)
    np.testing.assert_allclose(values, [0.0, 1.0, 0.0], atol=1e-6)
    with pytest.raises(NotImplementedError, match="Nothing must write `compute_class"):
        type("Nothing", (ClassLoss,), {})(3).compute_classes(None)


def test_unknown_rows_leave_the_mean():
    both = value_of(Farness(3), [0, -1, 1], ROWS, AXES)
    known = value_of(Farness(3), [0, 1], ROWS[[0, 2]], AXES)
    np.testing.assert_allclose(both, known, rtol=1e-6)
    assert value_of(Farness(3), [-1, -1, -1], ROWS, AXES) == 0


def test_sample_weights_are_of_rows():
    loss = with_proxies(Farness(3), AXES)
    each = with_proxies(Farness(3, reduction=None), AXES)
    labels, weights = np.array([0, 1, 1]), np.array([0.5, 0.0, 2.0])
    values = evaluate(lambda x: each(labels, x), ROWS)
    value = evaluate(lambda x: loss(labels, x, weights), ROWS)
    np.testing.assert_allclose(value, (weights * values).sum() / 3, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
def test_labels_of_any_integer_type(dtype):
    expected = value_of(CosFaceLoss(3), [0, 2, 1], ROWS, AXES)
    labels = np.array([[0], [2], [1]], dtype)
    np.testing.assert_allclose(value_of(CosFaceLoss(3), labels, ROWS, AXES), expected)


@pytest.mark.parametrize("label", [3, 2**31 - 1, -2])
def test_a_label_that_is_no_class_is_named(label):
    loss = with_proxies(NormalizedSoftmaxLoss(3, name="mine"), AXES)
    message = rf"'mine' was made for num_classes=3, .* Received: a label {label}\."
    for labels in ([0, label, 1], np.array([0, label, 1])):
        with pytest.raises(ValueError, match=message):
            loss(labels, ROWS)
    if label > 0:
        with pytest.raises(ValueError, match=f"`num_classes` of at least {label + 1}"):
            loss(ops.convert_to_tensor(np.array([0, label, 1], "int32")), ROWS)


# torch 2.13 warns of its own doing while it traces.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_within_a_graph_a_label_that_is_no_class_weighs_nothing():
    loss = with_proxies(NormalizedSoftmaxLoss(3), AXES)
    expected = evaluate(lambda x: loss(np.array([0, -1, 1]), x), ROWS)

    def total(labels, rows):
        return loss(ops.cast(labels, "int32"), rows)

    for strange in (3, 77, -9):
        labels = ops.convert_to_tensor(np.array([0, strange, 1], "int32"))
        value = compiled(total)(labels, ops.convert_to_tensor(ROWS))
        np.testing.assert_allclose(to_numpy(value), expected, rtol=1e-5)
    if BACKEND != "jax":  # which keeps a note only where it is state, as in `fit`
        with pytest.raises(ValueError, match="a label 77"):
            loss.check_notes()
    loss.check_notes()
    loss(np.array([0, 1, 2]), ROWS)


def test_before_it_is_built_it_has_met_no_label():
    NormalizedSoftmaxLoss(3).check_notes()
    with pytest.raises(RuntimeError, match="call `loss.build"):
        NormalizedSoftmaxLoss(3)([0, 9, 1], ROWS)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_classes": 0}, "`num_classes` must be an integer of at least 1.*=0"),
        ({"num_classes": 2.5}, "`num_classes` must be an integer of at least 1.*=2.5"),
        ({"num_classes": True}, "`num_classes` must be an integer.*=True"),
        ({"distance": "euclidean"}, "`distance` must be 'cosine'.*'euclidean'"),
        ({"targets": "multi_hot"}, "targets=\"labels\". Received: targets='multi_hot'"),
        ({"targets": "relation"}, "targets=\"labels\". Received: targets='relation'"),
        ({"miner": "multi_similarity"}, "no pairs to mine"),
        ({"learning_rate_multiplier": 0}, "`learning_rate_multiplier` must be above 0"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        NormalizedSoftmaxLoss(**{"num_classes": 3, **kwargs})


def test_numbers_of_classes_of_numpy_are_plain_in_the_config():
    config = NormalizedSoftmaxLoss(np.int64(4)).get_config()
    assert type(config["num_classes"]) is int


def test_added_to_a_pair_loss():
    proxies = with_proxies(NormalizedSoftmaxLoss(3), AXES)
    both = SumOfLosses([proxies, MultiSimilarityLoss()], weights=[1.0, 0.5])
    labels = np.array([0, 1, 0])
    parts = [
        evaluate(lambda x, loss=loss: loss(labels, x), ROWS) for loss in both.losses
    ]
    value = evaluate(lambda x: both(labels, x), ROWS)
    np.testing.assert_allclose(value, parts[0] + 0.5 * parts[1], rtol=1e-5)
    assert both.trained_parts(2) == [(proxies, 2)]
