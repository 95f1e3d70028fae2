"""The sigmoid loss by hand, and what it learns."""

import keras
import numpy as np
import pytest

from tensorflow_similarity.losses import SigLIPLoss
from tensorflow_similarity.models import SimilarityModel
from tests.gradients import to_numpy

pytestmark = [
    pytest.mark.backend_smoke,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

LABELS = np.array([0, 0, 1, 2])
ROWS = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [3.0, 0.0]], "float32")


def test_sums_over_all_other_rows():
    loss = SigLIPLoss(scale=2.0, bias=-0.5, learn_scale=False, reduction=None)
    each = to_numpy(loss(LABELS, ROWS))
    # Row 0: the positive at similarity 0, negatives at -1 and 1.
    logits = np.array([0.5, -2.0 - 0.5, 2.0 - 0.5])
    np.testing.assert_allclose(each[0], np.log1p(np.exp(logits)).sum(), rtol=1e-6)
    assert each[3] > 0.0


def test_starts_from_the_papers_scale_and_bias():
    loss = SigLIPLoss()
    with pytest.raises(RuntimeError, match="has weights of its own"):
        loss(LABELS, ROWS)
    loss.build(2)
    fixed = SigLIPLoss(learn_scale=False)
    np.testing.assert_allclose(
        to_numpy(loss(LABELS, ROWS)), to_numpy(fixed(LABELS, ROWS)), rtol=1e-6
    )
    assert (fixed.scale, fixed.bias) == (10.0, -10.0)
    assert fixed.trained_parts(2) == []


def test_a_model_learns_scale_and_bias():
    inputs = keras.Input((2,))
    model = SimilarityModel(inputs, keras.layers.Dense(2)(inputs))
    loss = SigLIPLoss(learning_rate_multiplier=5.0)
    model.compile(keras.optimizers.Adam(0.01), loss=loss)
    model.fit(ROWS, LABELS, batch_size=4, verbose=0)
    moved = [
        to_numpy(loss.weight(name)) - start
        for name, start in (("log_scale", np.log(10.0)), ("bias", -10.0))
    ]
    np.testing.assert_allclose(np.abs(moved), 0.05, rtol=1e-2)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_scale_of_zero_or_less_is_refused(scale):
    with pytest.raises(ValueError, match="`scale` must be above 0"):
        SigLIPLoss(scale=scale)


def test_a_bias_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="`bias` must be finite"):
        SigLIPLoss(bias=float("nan"))
