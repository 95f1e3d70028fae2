"""Graded pairs, against every comparison of two pairs."""

import numpy as np
import pytest
from keras import ops

from tensorflow_similarity.losses import CoSENTLoss
from tests import reference
from tests.gradients import HAS_FLOAT64, evaluate, to_numpy, value_and_grad

from .papers.softmax import graded

pytestmark = pytest.mark.backend_smoke

DTYPES = ["float32", "float64"] if HAS_FLOAT64 else ["float32"]


def rows(n, dtype="float32", seed=2):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3)) * generator.uniform(0.3, 3, size=(n, 1))
    return x.astype(dtype)


def grades(n, kind):
    generator = np.random.default_rng(4)
    return {
        "few": generator.integers(-1, 4, size=(n, n)),
        "real": generator.uniform(-0.3, 5, size=(n, n)),
        "0 and 1": generator.integers(0, 2, size=(n, n)),
        "one row": np.where(np.arange(n)[:, None] == 1, np.arange(n) % 3, -1),
    }[kind]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["few", "real", "0 and 1", "one row"])
@pytest.mark.parametrize(
    ("n", "case"),
    [
        (4, {}),
        (5, {"scale": 3.0}),
        (6, {"distance": "squared_euclidean", "scale": 40.0}),
    ],
)
def test_agrees_with_the_paper_in_value_and_gradient(n, case, kind, dtype):
    x, relation = rows(n, dtype), grades(n, kind)
    loss = CoSENTLoss(**case)

    def total(z):
        return graded(relation, z, **case)

    value, (gradient,) = value_and_grad(lambda t: loss(relation, t), x)
    expected = np.real(total(x.astype(float)))
    slope = reference.gradient(total, x.astype(float))
    assert value.dtype == dtype and expected > 0.01
    tolerance = 1e-8 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    # The steepest of these lose digits in the distances already, as any loss would.
    steep = 10 if dtype == "float32" and case.get("scale") == 40.0 else 1
    atol = steep * tolerance * np.abs(slope).max()
    np.testing.assert_allclose(gradient, slope, rtol=0, atol=atol)


def test_labels_are_grades_of_1_and_0():
    labels = np.array([0, 1, 0, 2, 1, -1])
    same = (labels[:, None] == labels).astype(int)
    same[5] = same[:, 5] = -1
    x = rows(6)
    by_labels, by_grades = (
        value_and_grad(lambda t, y=y, k=kind: CoSENTLoss(targets=k)(y, t), x)
        for y, kind in [(labels, "labels"), (same, "relation")]
    )
    np.testing.assert_allclose(by_labels[0], by_grades[0], rtol=1e-5)
    np.testing.assert_allclose(by_labels[1][0], by_grades[1][0], rtol=1e-4, atol=1e-6)


def test_only_the_order_of_the_grades_matters():
    x, relation = rows(5), grades(5, "few")
    straight = evaluate(lambda t: CoSENTLoss()(relation, t), x)
    bent = np.where(relation < 0, -7.0, relation**3 * 100.0)
    again = evaluate(lambda t: CoSENTLoss()(bent, t), x)
    np.testing.assert_allclose(again, straight, rtol=1e-6)


@pytest.mark.parametrize("fill", [-1, 0, 2])
def test_one_grade_is_nothing_to_learn_from(fill):
    relation = np.full((4, 4), fill)
    value, (gradient,) = value_and_grad(lambda t: CoSENTLoss()(relation, t), rows(4))
    assert value == 0 and not gradient.any()


def test_pairs_far_below_the_most_similar_still_count():
    # By grade: a misranked pair of pairs at 1000, and a right one at 0 above them. A
    # running sum of exp(s - max s) would hold nothing where the wrong pair stands.
    x = np.array([[0.0], [-1000.0], [1001.0], [0.0]], "float32")
    relation = np.full((4, 4), -1)
    relation[0] = [-1, 1, 0, 2]
    value = evaluate(
        lambda t: CoSENTLoss("euclidean", scale=1.0)(relation, t), x[[0, 2, 1, 3]]
    )
    np.testing.assert_allclose(value, np.log1p(np.e), rtol=1e-4)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiles_with_the_same_value_and_gradient():
    relation, loss = grades(5, "few"), CoSENTLoss()

    def total(t):
        return loss(relation, t)

    value, (gradient,) = value_and_grad(total, rows(5))
    again, (same,) = value_and_grad(total, rows(5), compiled=True)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    np.testing.assert_allclose(same, gradient, rtol=1e-4, atol=1e-5)


def test_every_anchor_with_a_pair_answers_the_whole():
    relation = np.array([[-1, 1, 0], [1, -1, 0], [-1, -1, -1]])
    each = to_numpy(CoSENTLoss(reduction=None)(relation, rows(3)))
    whole = to_numpy(CoSENTLoss()(relation, rows(3)))
    np.testing.assert_allclose(each, [whole, whole, 0.0], rtol=1e-6)


def test_a_static_batch_size_is_not_needed():
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow leaves it open")
    import tensorflow as tf

    loss = CoSENTLoss()
    open_shapes = [tf.TensorSpec((None, None)), tf.TensorSpec((None, 3))]
    graph = tf.function(lambda y, t: loss(y, t), input_signature=open_shapes)
    for n in (3, 5):
        relation = ops.cast(grades(n, "few"), "float32")
        np.testing.assert_allclose(
            graph(relation, rows(n)), loss(relation, rows(n)), rtol=1e-6
        )


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_of_zero_or_less_is_refused(scale):
    with pytest.raises(ValueError, match="`scale` must be above 0"):
        CoSENTLoss(scale=scale)
