"""The warm-up and the cosine, step by step, and in a training."""

import json
import math

import keras
import numpy as np
import pytest

from tensorflow_similarity.schedules import WarmupCosineDecay
from tests.gradients import HAS_FLOAT64

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def reading(step, highest, total, warmup, alpha):
    if step < warmup:
        return highest * step / warmup
    share = (min(step, total) - warmup) / (total - warmup)
    return highest * (alpha + (1 - alpha) * 0.5 * (1 + math.cos(math.pi * share)))


@pytest.mark.parametrize("arguments", [(0.3, 50, 10, 0.0), (0.1, 7, 0, 0.25)])
def test_rises_and_falls_as_its_formula_says(arguments):
    schedule = WarmupCosineDecay(*arguments)
    for step in [*range(0, 55, 3), 10, 49, 50, 51, 10_000]:
        rate = float(schedule(step))
        assert rate == pytest.approx(reading(step, *arguments), rel=1e-5, abs=1e-8)


def test_each_end_has_its_rate():
    schedule = WarmupCosineDecay(2.0, 100, 20, alpha=0.1)
    rates = [float(schedule(step)) for step in (0, 20, 60, 100, 101)]
    assert rates == pytest.approx([0.0, 2.0, 1.1, 0.2, 0.2], rel=1e-6)


def test_a_whole_number_is_a_rate():
    assert float(WarmupCosineDecay(1, 10, 2)(1)) == 0.5


@pytest.mark.skipif(not HAS_FLOAT64, reason="JAX has no float64 here")
def test_float64_stays_float64():
    rate = WarmupCosineDecay(np.float64(0.1), 30, 3)(17)
    assert keras.backend.standardize_dtype(rate.dtype) == "float64"
    assert float(rate) == pytest.approx(reading(17, 0.1, 30, 3, 0.0), rel=1e-14)
    rate = WarmupCosineDecay(0.1, 30, 3)(17)
    assert keras.backend.standardize_dtype(rate.dtype) == "float32"


def test_trains_saves_and_loads(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    schedule = WarmupCosineDecay(0.5, 6, 2, alpha=0.1, name="mine")
    model.compile(keras.optimizers.SGD(schedule), "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    rates = [float(m.optimizer.learning_rate) for m in (model, again)]
    assert rates == pytest.approx([reading(4, 0.5, 6, 2, 0.1)] * 2, rel=1e-5)
    config = json.loads(json.dumps(schedule.get_config()))
    assert WarmupCosineDecay.from_config(config).get_config() == schedule.get_config()
    assert config["name"] == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1, 10, 10), "`warmup_steps` must be"),
        ((0.1, 10, -1), "`warmup_steps` must be"),
        ((-0.1, 10, 1), "`max_learning_rate` must be"),
        ((0.1, 10, 1, -0.5), "`alpha` must be"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WarmupCosineDecay(*arguments)
