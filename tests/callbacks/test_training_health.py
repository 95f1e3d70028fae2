"""What is said of trainings that go wrong, once, and what goes into the logs."""

import logging
import math

import keras
import numpy as np
import pytest

from tensorflow_similarity.callbacks import TrainingHealth
from tensorflow_similarity.losses import (
    ArcFaceLoss,
    ContrastiveLoss,
    MultiSimilarityLoss,
    TripletLoss,
)
from tensorflow_similarity.models import SimilarityModel

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

FIGURES = {"alignment", "effective_rank", "embedding_std", "uniformity"}
LABELS = np.arange(24) % 6


class AsTold:
    """A model that answers what the test puts into `embeddings`."""

    def __init__(self, loss, embeddings):
        self.loss = loss
        self.embeddings = np.asarray(embeddings, "float32")

    def predict_on_batch(self, x):
        return self.embeddings[np.asarray(x)]


def health_of(loss, embeddings, y=LABELS, **kwargs):
    health = TrainingHealth(np.arange(len(embeddings)), y, **kwargs)
    health.set_model(AsTold(loss, embeddings))
    health.on_train_begin()
    return health


def said(caplog):
    ours = "tensorflow_similarity."
    texts = [r.getMessage() for r in caplog.records if r.name.startswith(ours)]
    caplog.clear()
    return texts


def spread_rows(n=24, dim=8):
    return np.random.default_rng(1).normal(size=(n, dim))


def near_one_point():
    return 5.0 + 1e-3 * spread_rows()


def test_a_healthy_training_is_not_spoken_of(caplog):
    health = health_of(TripletLoss(margin=0.3), spread_rows())
    for epoch in range(3):
        logs = {"loss": 0.4 - 0.05 * epoch}
        health.on_epoch_end(epoch, logs)
        assert set(logs) == FIGURES | {"loss"}
        assert all(isinstance(logs[name], float) for name in FIGURES)
    assert said(caplog) == []
    assert logs["embedding_std"] == pytest.approx(8**-0.5, rel=0.1)


def test_compiled_metrics_of_the_same_name_keep_their_place():
    logs = {"loss": 0.3, "uniformity": -1.25}
    health_of(None, spread_rows()).on_epoch_end(0, logs)
    assert logs["uniformity"] == -1.25 and logs["embedding_std"] > 0.1


def test_one_point_is_said_once_until_it_goes_away(caplog):
    health = health_of(MultiSimilarityLoss(), near_one_point())
    health.on_epoch_end(0, {"loss": 1.0})
    (text,) = said(caplog)
    assert text.startswith("Epoch 1: the embeddings are nearly one point")
    assert "lower learning rate" in text and "of width 8 have about 0.35" in text
    health.on_epoch_end(1, {"loss": 0.8})
    assert not any("nearly one point" in text for text in said(caplog))
    health.model.embeddings = spread_rows().astype("float32")
    health.on_epoch_end(2, {"loss": 0.9})
    health.model.embeddings = near_one_point().astype("float32")
    health.on_epoch_end(3, {"loss": 1.1})
    assert any("nearly one point" in text for text in said(caplog))


def test_one_line_is_said_unless_classes_are_few(caplog):
    line = np.outer(np.linspace(-1, 1, 24), spread_rows(1)[0])
    line += 1e-3 * spread_rows()
    health_of(None, line).on_epoch_end(0, {})
    (text,) = said(caplog)
    assert "hardly any of their 8 dimensions" in text
    health_of(None, line, np.arange(24) % 2).on_epoch_end(0, {})
    health_of(None, line, min_rank=0.5).on_epoch_end(0, {})
    assert said(caplog) == []


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (TripletLoss("euclidean", margin=0.7), 0.7),
        (TripletLoss("euclidean"), math.log(2)),
        (ContrastiveLoss("euclidean", neg_margin=0.4), 0.4),
    ],
)
def test_a_loss_pinned_for_two_checks_is_said(loss, value, caplog):
    health = health_of(loss, spread_rows())
    health.on_epoch_end(0, {"loss": value * 1.005})
    assert said(caplog) == []
    health.on_epoch_end(1, {"loss": value * 0.995})
    (text,) = said(caplog)
    assert text.startswith("Epoch 2: the loss is pinned")
    assert f"{value:.4g} is what it is when all embeddings are one point" in text
    health.on_epoch_end(2, {"loss": value * 0.999})
    health.on_epoch_end(3, {"loss": value * 0.9})
    health.on_epoch_end(4, {"loss": value})
    assert said(caplog) == []


def test_the_loss_of_its_own_examples_is_looked_at_too(caplog):
    # Regularizers raise the loss of the epoch. Row against row it is log 2.
    health = health_of(TripletLoss("euclidean"), 1.0 + 3e-3 * spread_rows(), min_std=0)
    health.on_epoch_end(0, {"loss": 5.0})
    health.on_epoch_end(1, {"loss": 5.0})
    assert any("pinned" in text for text in said(caplog))


def test_nothing_to_learn_is_said_with_both_reasons(caplog):
    rows = np.eye(6)[LABELS] + 1e-3 * spread_rows(24, 6)
    health = health_of(TripletLoss("euclidean", margin=0.2), rows)
    health.on_epoch_end(0, {"loss": 0.0})
    (text,) = said(caplog)
    assert "nothing is left to learn" in text and "use a sampler" in text
    # Nearly no loss, and none of these examples has any.
    health = health_of(TripletLoss("euclidean", margin=0.2), rows)
    health.on_epoch_end(0, {"loss": 0.001})
    assert len(said(caplog)) == 1
    health = health_of(TripletLoss("euclidean", margin=0.2), spread_rows())
    health.on_epoch_end(0, {"loss": 0.001})
    assert said(caplog) == []


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_said(loss, caplog):
    health = health_of(TripletLoss(), spread_rows())
    health.on_epoch_end(0, {"loss": loss})
    (text,) = said(caplog)
    assert "has diverged" in text and str(loss) in text


def test_embeddings_that_are_not_finite_are_said(caplog):
    rows = spread_rows()
    rows[3, 2] = np.nan
    logs = {"loss": 0.3}
    health_of(TripletLoss(), rows).on_epoch_end(0, logs)
    (text,) = said(caplog)
    assert "has diverged" in text
    assert math.isnan(logs["embedding_std"])


def test_without_labels_spread_and_a_loss_of_zero_are_watched(caplog):
    health = health_of(TripletLoss(margin=0.3), near_one_point(), y=None)
    logs = {"loss": 0.3}
    health.on_epoch_end(0, logs)
    health.on_epoch_end(1, {"loss": 0.3})
    assert set(logs) == FIGURES - {"alignment"} | {"loss"}
    assert len(said(caplog)) == 1
    health_of("mse", spread_rows(), y=None).on_epoch_end(0, {"loss": 0.0})
    assert ["nothing is left" in text for text in said(caplog)] == [True]


def test_every_n_epochs():
    health = health_of(TripletLoss(), spread_rows(), every=3)
    for epoch in range(6):
        logs = {}
        health.on_epoch_end(epoch, logs)
        assert bool(logs) == (epoch in (2, 5))


@pytest.mark.parametrize("batch_size", [5, 24, 1000])
def test_blocks_hold_all_examples(batch_size):
    logs, whole = {}, {}
    health_of(None, spread_rows(), batch_size=batch_size).on_epoch_end(0, logs)
    health_of(None, spread_rows()).on_epoch_end(0, whole)
    assert logs == pytest.approx(whole)


def fit(model, callbacks=(), epochs=2):
    x = np.random.default_rng(2).normal(size=(24, 5)).astype("float32")
    history = model.fit(
        x,
        LABELS,
        batch_size=12,
        epochs=epochs,
        shuffle=False,
        callbacks=list(callbacks),
        verbose=0,
    )
    return x, history.history


def make(loss=None):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((5,))
    model = SimilarityModel(inputs, keras.layers.Dense(4)(inputs))
    model.compile("sgd", loss=loss or TripletLoss("euclidean", margin=1.0))
    return model


def test_a_real_training_is_watched_and_not_changed(caplog):
    alone, watched = make(), make()
    x, _ = fit(alone)
    stop = keras.callbacks.EarlyStopping(monitor="embedding_std", mode="max")
    _, history = fit(watched, [TrainingHealth(x, LABELS), stop])
    assert set(history) == FIGURES | {"loss"}
    assert len(history["uniformity"]) == 2
    for a, b in zip(alone.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert said(caplog) == []


def test_a_real_collapse_is_seen(caplog):
    model = make()
    weights = [np.zeros_like(w) for w in model.get_weights()]
    model.set_weights(weights[:1] + [np.ones_like(weights[1])])
    x = np.zeros((24, 5), "float32")
    with caplog.at_level(logging.WARNING):
        fit(model, [TrainingHealth(x, LABELS)])
    assert any("nearly one point" in text for text in said(caplog))


def test_losses_with_weights_are_asked_too(caplog):
    model = make(ArcFaceLoss(6))
    x, history = fit(model, [TrainingHealth(np.eye(24, 5), LABELS)], epochs=1)
    assert set(history) == FIGURES | {"loss"}


@pytest.mark.parametrize("output", ["second", 1])
@pytest.mark.parametrize("as_dict", [False, True])
def test_an_output_by_name_or_number(output, as_dict):
    inputs = keras.Input((5,))
    first = keras.layers.Dense(2, name="first")(inputs)
    second = keras.layers.Dense(3, name="second")(inputs)
    outputs = {"first": first, "second": second} if as_dict else [first, second]
    model = keras.Model(inputs, outputs)
    loss = TripletLoss("euclidean", margin=0.4)
    model.compile("sgd", loss={"first": "mse", "second": loss})
    x = np.random.default_rng(2).normal(size=(24, 5)).astype("float32")
    health = TrainingHealth(x, LABELS, output=output)
    health.set_model(model)
    assert health._loss() is loss
    assert health._epoch_loss({"loss": 9.0, "second_loss": 0.4}) == 0.4
    assert health._embeddings().shape == (24, 3)
    for wrong in ("third", 2):
        with pytest.raises(ValueError, match="`output` must be"):
            TrainingHealth(x, LABELS, output=wrong).set_model(model)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"x": np.zeros((1, 3))}, "`x` must hold at least two"),
        ({"x": [np.zeros((4, 3)), np.zeros((5, 3))]}, "`x` must hold at least two"),
        ({"y": np.zeros(3)}, "`y` must have one row"),
        ({"every": 0}, "`every` must be"),
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"min_std": -1.0}, "`min_std` must be"),
        ({"min_rank": -1.0}, "`min_rank` must be"),
        ({"tolerance": -0.1}, "`tolerance` must be"),
    ],
)
def test_wrong_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TrainingHealth(**{"x": np.zeros((4, 3)), **kwargs})
