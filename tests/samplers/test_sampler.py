"""What `fit` draws from a sampler: Keras shuffles, peeks, prefetches and resets."""

import keras
import numpy as np
import pytest

from tensorflow_similarity.samplers import MultiShotMemorySampler, Sampler

pytestmark = pytest.mark.backend_smoke

TENSORFLOW = keras.backend.backend() == "tensorflow"
N_STEPS = 6
X = np.random.default_rng(0).integers(0, 10_000, (60, 1)).astype(np.float32)
Y = np.arange(60) % 5


def make(**kwargs):
    kwargs = {"classes_per_batch": 3, "steps_per_epoch": N_STEPS, "seed": 5, **kwargs}
    return MultiShotMemorySampler(X, Y, **kwargs)


def passes(*numbers, **kwargs):
    """Sums of the batches of these passes, ascending within a pass."""
    sampler = make(**kwargs)
    n_steps = len(sampler)
    return [
        sorted(
            int(sampler.generate_batch(number * n_steps + i)[0].sum())
            for i in range(n_steps)
        )
        for number in numbers
    ]


class Sums(keras.callbacks.Callback):
    """The sum of each batch, read from the running mean of a loss that is the mean."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.totals = [0]

    def on_train_batch_end(self, batch, logs=None):
        n_seen = len(self.totals)
        self.totals.append(round(float(logs["loss"]) * n_seen * 6))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(np.diff(self.totals).tolist())


def mean_model():
    """Trains nothing; its loss is the mean of the batch."""
    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.0), loss=lambda y, mean: mean)
    return model


def fit(model, sampler, resume=False, **kwargs):
    """Sums of the batches that each epoch saw, in the order seen."""
    if resume:
        sampler.resume(int(model.optimizer.iterations))
    sums = Sums()
    model.fit(sampler, callbacks=[sums], verbose=0, **kwargs)
    return sums.epochs


def ascending(epochs):
    return [sorted(epoch) for epoch in epochs]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("workers", [1, 2] if TENSORFLOW else [1])
@pytest.mark.parametrize("n_steps", [1, 2, N_STEPS])
def test_epoch_e_of_fit_is_pass_e(shuffle, workers, n_steps):
    sampler = make(workers=workers, steps_per_epoch=n_steps)
    epochs = fit(mean_model(), sampler, epochs=3, shuffle=shuffle)
    assert ascending(epochs) == passes(0, 1, 2, steps_per_epoch=n_steps)
    assert sampler.epoch == 3


def test_a_second_fit_goes_on():
    sampler, model = make(), mean_model()
    epochs = fit(model, sampler, epochs=2) + fit(model, sampler, epochs=2)
    assert ascending(epochs) == passes(0, 1, 2, 3)


def test_a_resumed_run_draws_what_an_uninterrupted_one_draws():
    model = mean_model()
    before = fit(model, make(), resume=True, epochs=2)
    fresh = make()  # as after loading the model in another process
    after = fit(model, fresh, resume=True, epochs=4, initial_epoch=2)
    whole = fit(mean_model(), make(), epochs=4)
    assert ascending(before + after) == ascending(whole) == passes(0, 1, 2, 3)


def test_fit_s_steps_become_the_sampler_s_through_resume():
    for steps in (4, 9):
        sampler = make()
        sampler.resume(0, steps_per_epoch=steps)
        epochs = fit(mean_model(), sampler, epochs=3, steps_per_epoch=steps)
        assert ascending(epochs) == passes(0, 1, 2, steps_per_epoch=steps)


def test_fewer_steps_in_fit_stretch_a_pass_over_epochs():
    epochs = fit(mean_model(), make(), epochs=6, steps_per_epoch=2)
    joined = [sum(epochs[:3], []), sum(epochs[3:], [])]
    assert ascending(joined) == passes(0, 1)


def test_a_fixed_validation_sampler_gives_the_same_each_epoch():
    validation = make(fixed=True)
    history = mean_model().fit(make(), epochs=3, validation_data=validation, verbose=0)
    mean = sum(passes(0)[0]) / 6 / N_STEPS
    np.testing.assert_allclose(history.history["val_loss"], [mean] * 3, rtol=1e-5)


def test_warm_up_lasts_as_many_epochs_as_asked():
    warm = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            warm.append(sampler.is_warmup)

    sampler = make(warmup=2)
    mean_model().fit(sampler, epochs=4, callbacks=[Watch()], verbose=0)
    assert warm == [True, True, False, False] and sampler.epoch == 4


def test_on_epoch_end_in_a_loop_of_one_s_own_goes_to_the_next_pass():
    sampler = make()
    sampler[0]
    sampler.on_epoch_end()
    assert sampler.epoch == 1
    assert sorted(int(b[0].sum()) for b in sampler) == passes(1)[0]


def test_resume_goes_to_the_pass_of_the_step_and_zero_changes_nothing():
    sampler = make()
    sampler.resume(0)
    assert sorted(int(b[0].sum()) for b in sampler) == passes(0)[0]
    sampler.resume(2 * N_STEPS + 5)
    assert sampler.epoch == 2
    with pytest.raises(ValueError, match="step=-1"):
        sampler.resume(-1)


def test_steps_may_be_changed_between_passes():
    sampler = make()
    sampler[0]
    sampler.steps_per_epoch = 9
    assert len(sampler) == 9 and len(list(sampler)) == 9
    with pytest.raises(ValueError, match="steps_per_epoch=0"):
        sampler.steps_per_epoch = 0


def test_a_sampler_of_one_s_own_says_which_rows_and_loads_them():
    class Pairs(Sampler):
        def _rows(self, begin, end):
            return np.arange(begin * 2, end * 2).reshape(-1, 2)

        def _load(self, rows):
            return rows * 10, rows

    sampler = Pairs(1, 2, steps_per_epoch=3)
    assert sampler[2][0].tolist() == [40, 50]
    sampler.on_epoch_end()
    assert sampler[0][1].tolist() == [6, 7]
