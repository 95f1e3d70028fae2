"""A callback tells the sampler which classes the model confuses."""

import keras
import numpy as np
import pytest

from tensorflow_similarity.callbacks import RefreshConfusedClasses
from tensorflow_similarity.losses import TripletLoss
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.samplers import (
    ConfusedClassesSampler,
    MultiShotMemorySampler,
)

pytestmark = [
    pytest.mark.backend_smoke,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# Classes 2i and 2i + 1 lie side by side.
Y = np.arange(240) % 12
CENTRES = 9.0 * np.random.default_rng(1).normal(size=(6, 5))
X = CENTRES[Y // 2] + np.random.default_rng(2).normal(size=(240, 5))
X = X.astype("float32")


def make(steps=4):
    sampler = ConfusedClassesSampler(
        X,
        Y,
        classes_per_batch=4,
        steps_per_epoch=steps,
        n_rivals=1,
        random_share=0.0,
        seed=1,
    )
    inputs = keras.Input((5,))
    layer = keras.layers.Dense(5, use_bias=False, kernel_initializer="identity")
    model = SimilarityModel(inputs, layer(inputs))
    # So slow that the neighbours stay what they are.
    model.compile(keras.optimizers.SGD(1e-9), loss=TripletLoss("euclidean"))
    return model, sampler


class Seen(keras.callbacks.Callback):
    """Which pass the sampler is in at the end of each epoch."""

    def __init__(self, sampler):
        super().__init__()
        self.sampler, self.passes = sampler, []

    def on_epoch_end(self, epoch, logs=None):
        self.passes.append(self.sampler.epoch)


def test_the_next_epoch_trains_on_confused_classes():
    model, sampler = make()
    drawn = []
    load = sampler._load
    sampler._load = lambda rows: drawn.append(Y[rows]) or load(rows)
    refresh, seen = RefreshConfusedClasses(sampler, k=5), Seen(sampler)
    model.fit(sampler, epochs=3, callbacks=[refresh, seen], verbose=0)
    assert seen.passes == [1, 2, 3]
    for one in refresh.confusion.rivals(1)[0][:, 0].tolist():
        assert one >= 0
    assert refresh.confusion.rivals(1)[0][:, 0].tolist() == [i ^ 1 for i in range(12)]
    assert [first for first, _, _ in sampler._confusions] == [1, 2, 3]
    sets = [set(sampler.generate_batch(i)[1].tolist()) for i in range(4)]
    assert all({c ^ 1 for c in one} == one for one in sets)
    # What training read last is what the confusion planned.
    labels = np.concatenate(drawn).reshape(-1, 8)[:, ::2][-4 - 4 - 4 : -4]
    met = [{c ^ 1 for c in row} == set(row) for row in labels.tolist()]
    assert np.mean(met) > 0.9


def test_two_runs_draw_the_same():
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(4)
        model, sampler = make()
        refresh = RefreshConfusedClasses(sampler, every_epochs=2)
        losses = model.fit(sampler, epochs=4, callbacks=[refresh], verbose=0)
        rows = [sampler.generate_batch(i)[0] for i in range(8)]
        runs.append((np.array(losses.history["loss"]), np.concatenate(rows)))
        assert [first for first, _, _ in sampler._confusions] == [2, 4]
    for a, b in zip(*runs, strict=True):
        np.testing.assert_allclose(a, b)


def test_examples_of_its_own_and_passes_longer_than_epochs():
    model, sampler = make(steps=6)
    refresh = RefreshConfusedClasses(sampler, X[:50], Y[:50])
    refresh.set_model(model)
    refresh.set_params({"steps": 3})
    refresh.on_epoch_end(0)
    assert sampler._confusions[0][0] == 1
    assert len(refresh.confusion.classes) == 12


def test_refuses_what_it_cannot_do():
    _, sampler = make()
    plain = MultiShotMemorySampler(X, Y)
    with pytest.raises(TypeError, match="must be a `ConfusedClassesSampler`"):
        RefreshConfusedClasses(plain)
    with pytest.raises(ValueError, match="belong together"):
        RefreshConfusedClasses(sampler, X)
    for name in ("k", "every_epochs", "n_examples", "batch_size"):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer"):
            RefreshConfusedClasses(sampler, **{name: 0})


def test_embeddings_that_are_not_finite_leave_the_confusion_as_it_was(caplog):
    model, sampler = make()
    refresh = RefreshConfusedClasses(sampler, X * np.nan, Y)
    refresh.set_model(model)
    refresh.set_params({"steps": 4})
    refresh.confusion = before = object()
    refresh.on_epoch_end(0)
    assert refresh.confusion is before and not sampler._confusions
    assert "not finite" in caplog.text


def test_one_example_has_no_neighbour():
    with pytest.raises(ValueError, match="`n_examples` must be an integer of at least"):
        RefreshConfusedClasses(make()[1], n_examples=1)
