"""Losses with weights of their own, trained and saved with a model."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from tensorflow_similarity.losses import (
    ArcFaceLoss,
    CosFaceLoss,
    MarginLoss,
    MultiSimilarityLoss,
    NormalizedSoftmaxLoss,
    ProxyAnchorLoss,
    ProxyNCALoss,
    SoftTripleLoss,
)
from tensorflow_similarity.models import SimilarityMixin, SimilarityModel
from tests.gradients import BACKEND, to_numpy

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

N_CLASSES = 6
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(1e-4),
    "sgd": lambda: keras.optimizers.SGD(1e-3),
}


def model_of(loss, optimizer="adam", dim=3, **kwargs):
    """A new model, from the same seed each time."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, layers.Dense(dim, name="embedding")(inputs))
    model.compile(optimizer, loss=loss, **kwargs)
    return model


def proxies_of(loss):
    return to_numpy(loss.weight("proxies")).copy()


def arrays_of(variables):
    return [to_numpy(ops.convert_to_tensor(v)).copy() for v in variables]


@pytest.fixture
def batch():
    """24 rows of 6 classes, classes apart."""
    rng = np.random.default_rng(3)
    y = np.arange(24) % N_CLASSES
    x = rng.normal(size=(N_CLASSES, 4))[y] + 0.1 * rng.normal(size=(24, 4))
    return x.astype("float32"), y


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_multiplier_multiplies_the_step_of_any_optimizer(optimizer, batch):
    moves, bodies = [], []
    for multiplier in (1.0, 100.0):
        loss = ProxyNCALoss(N_CLASSES, learning_rate_multiplier=multiplier)
        model = model_of(loss, OPTIMIZERS[optimizer]())
        start = proxies_of(loss)
        model.train_on_batch(*batch)
        moves.append(proxies_of(loss) - start)
        bodies.append(to_numpy(ops.convert_to_tensor(model.layers[1].kernel)).copy())
    assert np.abs(moves[0]).max() > 1e-6
    # The steps of 1e-4 and less of float32 numbers near 0.1.
    np.testing.assert_allclose(moves[1], 100 * moves[0], rtol=2e-2, atol=3e-6)
    # The network starts and steps alike.
    np.testing.assert_allclose(bodies[1], bodies[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss_class", [ArcFaceLoss, ProxyAnchorLoss, SoftTripleLoss])
def test_fit_trains_the_proxies(loss_class, batch):
    loss = loss_class(N_CLASSES)
    model = model_of(loss, keras.optimizers.Adam(0.02))
    start = proxies_of(loss)
    history = model.fit(*batch, batch_size=12, epochs=20, verbose=0).history["loss"]
    assert np.abs(proxies_of(loss) - start).max() > 0.05
    assert history[-1] < 0.8 * history[0]
    assert any(v is loss.trainable_variables[0] for v in model.trainable_variables)


def test_same_seed_same_proxies():
    starts = []
    for _ in range(2):
        keras.utils.set_random_seed(9)
        loss = CosFaceLoss(N_CLASSES)
        loss.build(3)
        starts.append(proxies_of(loss))
    np.testing.assert_array_equal(*starts)
    other = CosFaceLoss(N_CLASSES)
    other.build(3)
    assert np.abs(proxies_of(other) - starts[0]).max() > 0.01


def test_saved_and_restored_with_the_optimizers_state(batch, tmp_path):
    loss = ProxyAnchorLoss(N_CLASSES, learning_rate_multiplier=100.0)
    model = model_of(loss)
    model.fit(*batch, batch_size=12, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(proxies_of(again.loss), proxies_of(loss))
    assert len(again.optimizer.variables) == len(model.optimizer.variables)
    for a, b in zip(
        arrays_of(again.optimizer.variables),
        arrays_of(model.optimizer.variables),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    for one in (model, again):
        one.fit(*batch, batch_size=24, verbose=0)
    np.testing.assert_allclose(proxies_of(again.loss), proxies_of(loss), rtol=1e-5)


def test_weights_files_hold_the_proxies(batch, tmp_path):
    loss = NormalizedSoftmaxLoss(N_CLASSES)
    model = model_of(loss)
    model.fit(*batch, verbose=0)
    model.save_weights(tmp_path / "it.weights.h5")
    trained = proxies_of(loss)
    model.fit(*batch, verbose=0)
    assert np.abs(proxies_of(loss) - trained).max() > 0
    model.load_weights(tmp_path / "it.weights.h5")
    np.testing.assert_array_equal(proxies_of(loss), trained)


def test_recompiled_with_another_loss_and_back(batch):
    loss = NormalizedSoftmaxLoss(N_CLASSES)
    model = model_of(loss)
    model.fit(*batch, verbose=0)
    trained = proxies_of(loss)

    model.compile("adam", loss=MultiSimilarityLoss())
    assert len(model.trainable_variables) == 2
    model.fit(*batch, verbose=0)
    np.testing.assert_array_equal(proxies_of(loss), trained)

    other = SoftTripleLoss(N_CLASSES)
    model.compile("adam", loss=other)
    model.fit(*batch, verbose=0)
    np.testing.assert_array_equal(proxies_of(loss), trained)

    model.compile("adam", loss=loss)
    np.testing.assert_array_equal(proxies_of(loss), trained)
    before = proxies_of(other)
    model.fit(*batch, verbose=0)
    assert np.abs(proxies_of(loss) - trained).max() > 0
    np.testing.assert_array_equal(proxies_of(other), before)
    assert len(model.trainable_variables) == 3


@pytest.mark.slow
def test_compiled_by_xla_it_trains_alike(batch):
    if BACKEND == "torch":
        pytest.skip("a minute of C++ compilation")
    trained = []
    for jit in (False, True):
        loss = SoftTripleLoss(N_CLASSES, centers_per_class=2)
        model = model_of(loss, "sgd", jit_compile=jit)
        model.fit(*batch, batch_size=10, epochs=2, shuffle=False, verbose=0)
        trained.append(proxies_of(loss))
    np.testing.assert_allclose(*trained, rtol=1e-4, atol=1e-6)


@pytest.fixture
def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def test_proxies_stay_float32_in_mixed_precision(mixed_precision, batch):
    loss = ProxyAnchorLoss(N_CLASSES, learning_rate_multiplier=100.0)
    model = model_of(loss, keras.optimizers.Adam(1e-3))
    start = proxies_of(loss)
    history = model.fit(*batch, batch_size=12, epochs=10, verbose=0).history["loss"]
    assert start.dtype == "float32"
    assert np.isfinite(history).all() and history[-1] < history[0]
    assert np.abs(proxies_of(loss) - start).max() > 0.05


def test_two_outputs_each_with_proxies_of_its_own(batch, tmp_path):
    x, y = batch
    inputs = keras.Input((4,))
    outputs = {
        "color": layers.Dense(3, name="color")(inputs),
        "shape": layers.Dense(5, name="shape")(inputs),
    }
    model = SimilarityModel(inputs, outputs)
    loss = {"color": ProxyNCALoss(N_CLASSES), "shape": ArcFaceLoss(2, scale=8.0)}
    model.compile("adam", loss=loss, embedding_output="shape")
    starts = {name: proxies_of(part) for name, part in loss.items()}
    assert starts["color"].shape == (N_CLASSES, 3)
    assert starts["shape"].shape == (2, 5)
    model.fit(x, {"color": y, "shape": y % 2}, epochs=2, verbose=0)
    for name, part in loss.items():
        assert np.abs(proxies_of(part) - starts[name]).max() > 0

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name, part in loss.items():
        np.testing.assert_array_equal(proxies_of(again.loss[name]), proxies_of(part))
    again.fit(x, {"color": y, "shape": y % 2}, verbose=0)
    with pytest.raises(ValueError, match="num_classes=2"):
        again.fit(x, {"color": y, "shape": y % 3}, verbose=0)


def test_plain_keras_model_is_refused(batch):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3)(inputs))
    model.compile("adam", loss=ProxyNCALoss(N_CLASSES))
    with pytest.raises(RuntimeError, match="Compile a `SimilarityModel`"):
        model.fit(*batch, verbose=0)


class Written(SimilarityMixin, keras.Model):
    """A model whose width shows only when it is called."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)


def test_model_of_unknown_width_asks_for_dim(batch):
    model = Written()
    with pytest.raises(ValueError, match="Give the loss `dim=`"):
        model.compile("adam", loss=ProxyNCALoss(N_CLASSES))
    loss = ProxyNCALoss(N_CLASSES, dim=3)
    model.compile("adam", loss=loss)
    start = proxies_of(loss)
    model.fit(*batch, verbose=0)
    assert np.abs(proxies_of(loss) - start).max() > 0


def test_other_width_than_the_models_is_refused():
    with pytest.raises(ValueError, match="are for embeddings of width 8"):
        model_of(ProxyNCALoss(N_CLASSES, dim=8), dim=3)


# Labels that are no class. Within a graph nothing can be raised.


@pytest.mark.parametrize(
    ("label", "jit"), [(N_CLASSES, False), (2**30, True), (-2, False)]
)
def test_fit_names_a_label_that_is_no_class(label, jit, batch):
    if jit and BACKEND == "torch":
        pytest.skip("a minute of C++ compilation")
    x, y = batch
    wrong = y.copy()
    wrong[5] = label
    loss = NormalizedSoftmaxLoss(N_CLASSES)
    model = model_of(loss, jit_compile=jit)
    saved = []
    save = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: saved.append(1))
    with pytest.raises(ValueError, match=rf"a label {label}\b"):
        model.fit(x, wrong, batch_size=8, epochs=3, verbose=0, callbacks=[save])
    assert not saved
    if BACKEND == "jax" and not jit:
        # Keras 3.15 loses a model's weights to any error within an uncompiled step.
        return
    # It is said once; right labels go on.
    history = model.fit(x, y, batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_strange_label_is_found_wherever_it_is_met(batch):
    x, y = batch
    wrong = np.where(y == 2, 77, y)
    model = model_of(NormalizedSoftmaxLoss(N_CLASSES))
    for call in (
        lambda: model.train_on_batch(x, wrong),
        lambda: model.test_on_batch(x, wrong),
        lambda: model.evaluate(x, wrong, verbose=0),
        lambda: model.fit(x, y, validation_data=(x, wrong), verbose=0),
        lambda: model.fit(x, wrong, 24, 1, 0, None),
        lambda: model.fit(
            x, wrong, verbose=0, callbacks=keras.callbacks.CallbackList(model=model)
        ),
    ):
        with pytest.raises(ValueError, match="a label 77"):
            call()
        model.train_on_batch(x, y)


def test_the_largest_strange_label_of_an_epoch_is_named(batch):
    x, y = batch
    if BACKEND == "torch":
        pytest.skip("it is raised in the first batch")
    wrong = y.copy()
    wrong[[1, 10, 20]] = [-7, 90, 30]
    model = model_of(NormalizedSoftmaxLoss(N_CLASSES))
    with pytest.raises(ValueError, match="a label 90"):
        model.fit(x, wrong, batch_size=6, shuffle=False, verbose=0)


def test_rows_of_a_strange_label_teach_nothing(batch):
    if BACKEND == "torch":
        pytest.skip("it is raised before anything is computed")
    x, y = batch
    trained = []
    for label in (-1, 99):
        loss = ProxyAnchorLoss(N_CLASSES)
        model = model_of(loss, "sgd")
        labels = np.where(y == 2, label, y)
        try:
            model.train_on_batch(x, labels)
        except ValueError:
            assert label == 99
        trained.append(proxies_of(loss))
    np.testing.assert_array_equal(*trained)


def test_the_note_is_saved_by_no_loss_config(batch):
    loss = NormalizedSoftmaxLoss(N_CLASSES)
    model = model_of(loss)
    model.fit(*batch, verbose=0)
    config = json.dumps(loss.get_config())
    assert "strange" not in config
    assert set(loss.layer_weights()) == {"proxies"}
    assert len(loss.trainable_variables) == 1


def test_fit_names_a_label_beyond_the_boundaries_of_a_margin_loss():
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", loss=MarginLoss(learn_beta=True, num_classes=2))
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    with pytest.raises(ValueError, match="num_classes=2.*a label 2"):
        model.fit(x, np.array([0, 0, 1, 1, 2, 2]), batch_size=6, verbose=0)
