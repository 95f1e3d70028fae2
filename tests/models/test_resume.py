"""Runs that were interrupted end as those that were not."""

import keras
import numpy as np
import pytest
from keras import layers

from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import XBM, ProxyAnchorLoss, TripletLoss
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.samplers import MultiShotMemorySampler
from tests.gradients import BACKEND, to_numpy

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

EPOCHS, STEPS = 4, 5


class Interrupt(keras.callbacks.Callback):
    """Ends the process, in effect, after epoch 2, or within it."""

    def __init__(self, epoch=None, batch=None):
        super().__init__()
        self.epoch, self.batch, self.now = epoch, batch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch
        if epoch == self.epoch:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        if self.batch == (self.now, batch):
            raise KeyboardInterrupt


def sampler():
    rng = np.random.default_rng(5)
    return MultiShotMemorySampler(
        rng.normal(size=(120, 6)).astype("float32"),
        np.arange(120) % 6,
        classes_per_batch=3,
        examples_per_class_per_batch=4,
        steps_per_epoch=STEPS,
        seed=9,
    )


def new_model(loss):
    keras.utils.set_random_seed(7)
    inputs = keras.Input((6,))
    x = layers.BatchNormalization()(layers.Dense(8, activation="relu")(inputs))
    # Without a seed Keras 3.15 on torch draws from the global generator.
    x = layers.Dropout(0.3, seed=11)(x)
    model = SimilarityModel(inputs, MetricEmbedding(4)(x))
    model.compile("adam", loss=loss())
    return model


@pytest.mark.skipif(BACKEND == "torch", reason="Keras refuses it there")
@pytest.mark.parametrize("n_steps", [1, 2, 5, 7])
def test_several_steps_per_execution_make_no_more_steps(n_steps):
    inputs = keras.Input((6,))
    model = SimilarityModel(inputs, MetricEmbedding(4)(inputs))
    model.compile("sgd", loss=TripletLoss(), steps_per_execution=n_steps)
    source = sampler()
    model.fit(source, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 2 * STEPS
    assert source.epoch == 2


def weights(model):
    model.optimizer.build(model.trainable_variables)
    return [
        to_numpy(keras.ops.convert_to_tensor(v)).copy()
        for v in [*model.variables, *model.optimizer.variables]
    ]


LOSSES = [
    TripletLoss,
    lambda: XBM(TripletLoss(), memory_size=40),
    lambda: ProxyAnchorLoss(num_classes=6),
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(LOSSES[0], marks=pytest.mark.ci),
        pytest.param(LOSSES[1], marks=pytest.mark.ci),
        LOSSES[2],
    ],
    ids=["triplet", "xbm", "proxies"],
)
def loss(request):
    return request.param


@pytest.fixture(scope="module")
def uninterrupted(loss):
    model = new_model(loss)
    model.fit(sampler(), epochs=EPOCHS, verbose=0)
    return weights(model)


def assert_same(model, expected):
    found = weights(model)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_backup_and_restore_after_an_epoch(loss, uninterrupted, tmp_path):
    model = new_model(loss)
    backup = [keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))]
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            sampler(), epochs=EPOCHS, callbacks=[*backup, Interrupt(2)], verbose=0
        )

    # A new process: a new model, a new sampler, the same program.
    model = new_model(loss)
    backup = [keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))]
    history = model.fit(sampler(), epochs=EPOCHS, callbacks=backup, verbose=0)
    assert history.epoch == [2, 3]
    assert_same(model, uninterrupted)


def test_backup_and_restore_within_an_epoch_begins_the_epoch_anew(tmp_path):
    loss = TripletLoss

    def backup():
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), save_freq=2)

    model = new_model(loss)
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            sampler(),
            epochs=2,
            callbacks=[backup(), Interrupt(batch=(1, 2))],
            verbose=0,
        )
    model, again = new_model(loss), sampler()
    model.fit(again, epochs=2, callbacks=[backup()], verbose=0)
    assert again.epoch == 2


def test_a_saved_model_goes_on_by_initial_epoch(loss, uninterrupted, tmp_path):
    model = new_model(loss)
    model.fit(sampler(), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")

    model = keras.models.load_model(tmp_path / "model.keras")
    model.fit(sampler(), epochs=EPOCHS, initial_epoch=2, verbose=0)
    assert_same(model, uninterrupted)
