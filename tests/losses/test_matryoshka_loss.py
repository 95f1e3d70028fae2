"""One loss on several widths: against plain loops, with weights, and when saved."""

import json

import keras
import numpy as np
import pytest

from tensorflow_similarity.losses import (
    InfoNCELoss,
    MatryoshkaLoss,
    MultiSimilarityLoss,
    NormalizedSoftmaxLoss,
    ProxyAnchorLoss,
    TripletLoss,
)
from tensorflow_similarity.models import SimilarityModel
from tests import reference
from tests.gradients import HAS_FLOAT64, evaluate, to_numpy, value_and_grad

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

LABELS = np.array([3, 1, 3, 5, 1, 9, 3])
DTYPES = ["float32", "float64"] if HAS_FLOAT64 else ["float32"]


def rows(dtype="float32", dim=6):
    generator = np.random.default_rng(4)
    x = generator.normal(size=(len(LABELS), dim))
    return (x * generator.uniform(0.3, 3.0, size=(len(x), 1))).astype(dtype)


def close(actual, expected, dtype):
    tolerance = 1e-8 if dtype == "float64" else 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    ("weights", "normalize"), [(None, True), ([1.0, 0.25, 3.0], False)]
)
def test_agrees_with_plain_loops_in_value_and_gradient(
    distance, weights, normalize, dtype
):
    dims, x = [5, 2, 3], rows(dtype)
    inner = MultiSimilarityLoss(distance)
    loss = MatryoshkaLoss(inner, dims, weights, normalize=normalize)

    def total(z):
        value = 0.0
        for m, weight in zip(dims, weights or [1.0] * 3, strict=True):
            cut = [row[:m] for row in z]
            if normalize:
                cut = [row / (row @ row) ** 0.5 for row in cut]
            each = reference.multi_similarity(LABELS, np.array(cut), distance)
            value = value + weight * reference.mean(each)
        return value

    value, (gradient,) = value_and_grad(lambda t: loss(LABELS, t), x)
    close(value, total(x.astype(float)).real, dtype)
    close(gradient, reference.gradient(total, x.astype(float)), dtype)
    assert not gradient[:, 5].any()  # beyond the widest cut


def test_without_reduction_each_anchor_has_its_sum():
    loss = MatryoshkaLoss(TripletLoss(reduction=None), [2, 4], [1.0, 0.5])
    actual = evaluate(lambda t: loss(LABELS, t), rows())
    one = TripletLoss(reduction=None)
    expected = to_numpy(one(LABELS, rows()[:, :2])) + 0.5 * to_numpy(
        one(LABELS, rows()[:, :4])
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    np.testing.assert_allclose(to_numpy(loss.call(LABELS, rows())), expected, rtol=1e-6)


def test_sample_weights_reach_every_width():
    loss = MatryoshkaLoss(TripletLoss(), [2, 4])
    assert float(to_numpy(loss(LABELS, rows(), np.zeros(7)))) == 0.0
    doubled = float(to_numpy(loss(LABELS, rows(), np.full(7, 2.0))))
    assert doubled == pytest.approx(2.0 * float(to_numpy(loss(LABELS, rows()))))


def test_a_loss_of_queries_and_keys_has_both_cut():
    x, y = rows(), rows()[::-1].copy()
    loss = MatryoshkaLoss(InfoNCELoss(), [2, 4])
    expected = sum(float(to_numpy(InfoNCELoss()(x[:, :m], y[:, :m]))) for m in (2, 4))
    assert float(to_numpy(loss(x, y))) == pytest.approx(expected, rel=1e-5)


def test_is_compiled_with_the_distance_of_the_loss():
    loss = MatryoshkaLoss(TripletLoss("euclidean", targets="multi_hot"), [2])
    assert loss.distance.name == "euclidean"
    assert loss.targets == "multi_hot"


@pytest.mark.parametrize(
    "inner",
    [TripletLoss("euclidean", margin=0.3), NormalizedSoftmaxLoss(10, dim=6)],
    ids=lambda loss: loss.name,
)
def test_config_round_trip_through_json(inner):
    loss = MatryoshkaLoss(inner, (4, 2), weights=(1, 2), name="nested")
    config = json.loads(json.dumps(loss.get_config()))
    again = MatryoshkaLoss.from_config(config)
    assert again.get_config() == loss.get_config()
    assert again.name == "nested"
    assert again.loss.get_config() == inner.get_config()
    whole = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    assert whole["registered_name"] == "tensorflow_similarity>MatryoshkaLoss"
    back = keras.saving.deserialize_keras_object(whole)
    assert back.get_config() == loss.get_config()


@pytest.mark.parametrize("told", [None, 6])
def test_each_width_has_weights_of_its_own(told):
    inner = NormalizedSoftmaxLoss(10, dim=told)
    loss = MatryoshkaLoss(inner, [2, 4])
    parts = loss.trained_parts(6)
    assert [width for _, width in parts] == [2, 4]
    assert len({id(part) for part, _ in parts}) == 2
    for part, width in parts:
        part.build(width)
    expected = sum(
        float(to_numpy(part(LABELS, rows()[:, :width]))) for part, width in parts
    )
    assert float(to_numpy(loss(LABELS, rows()))) == pytest.approx(expected, rel=1e-6)
    assert inner.layer is None


def test_a_model_trains_saves_and_loads_the_weights_of_every_width(tmp_path):
    inputs = keras.Input((6,))
    model = SimilarityModel(inputs, keras.layers.Dense(4)(inputs))
    model.compile("adam", loss=MatryoshkaLoss(ProxyAnchorLoss(10), [2, 4]))
    widths = sorted(v.shape[-1] for v in model.loss_layers.trainable_variables)
    assert widths == [2, 4]
    before = [to_numpy(v.value).copy() for v in model.loss_layers.trainable_variables]
    model.fit(rows(), LABELS, batch_size=7, epochs=2, verbose=0)
    after = [to_numpy(v.value) for v in model.loss_layers.trainable_variables]
    assert all((a != b).any() for a, b in zip(after, before, strict=True))

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    straight, loaded = (m.evaluate(rows(), LABELS, verbose=0) for m in (model, again))
    np.testing.assert_allclose(loaded, straight, rtol=1e-6)
    again.fit(rows(), LABELS, batch_size=7, verbose=0)


def test_a_plain_model_does_not_train_the_weights():
    loss = MatryoshkaLoss(NormalizedSoftmaxLoss(10), [2])
    with pytest.raises(RuntimeError, match="has weights of its own, and nobody trains"):
        loss(LABELS, rows())


def test_trains_under_mixed_precision():
    inputs = keras.Input((6,))
    outputs = keras.layers.Dense(4, dtype="mixed_float16")(inputs)
    model = SimilarityModel(inputs, outputs)
    model.compile("sgd", loss=MatryoshkaLoss(TripletLoss(), [2, 4]))
    history = model.fit(rows(), LABELS, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiles_with_the_same_value_and_gradient():
    loss = MatryoshkaLoss(TripletLoss(), [2, 4])
    value, (gradient,) = value_and_grad(lambda t: loss(LABELS, t), rows())
    again, (same,) = value_and_grad(lambda t: loss(LABELS, t), rows(), compiled=True)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    np.testing.assert_allclose(same, gradient, rtol=1e-4, atol=1e-6)


def test_embeddings_that_are_too_narrow_are_refused():
    loss = MatryoshkaLoss(TripletLoss(), [8, 4])
    with pytest.raises(ValueError, match=r"to widths \[8, 4\].*embeddings of width 6"):
        loss(LABELS, rows())
    inputs = keras.Input((6,))
    model = SimilarityModel(inputs, keras.layers.Dense(4)(inputs))
    with pytest.raises(ValueError, match=r"to widths \[8, 4\].*embeddings of width 4"):
        model.compile("sgd", loss=loss)
    with pytest.raises(ValueError, match=r"embeddings of shape \(batch, dim\)"):
        loss(LABELS, np.ones((7, 8, 1), "float32"))


@pytest.mark.parametrize("dims", [[], [0, 2], [2, 2], [2.5], [True]])
def test_widths_that_are_none_are_refused(dims):
    with pytest.raises(ValueError, match=r"`dims` must be different integers.*Receiv"):
        MatryoshkaLoss(TripletLoss(), dims)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -0.1], [1.0, float("nan")]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="`weights` must be 2 numbers of at least 0"):
        MatryoshkaLoss(TripletLoss(), [2, 4], weights)


@pytest.mark.parametrize("loss", [keras.losses.MeanSquaredError(), "triplet", None])
def test_a_loss_of_another_kind_is_refused(loss):
    with pytest.raises(TypeError, match="`loss` must be a loss of this package"):
        MatryoshkaLoss(loss, [2])
