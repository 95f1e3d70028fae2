"""Proxy-Anchor by hand."""

import math

import numpy as np
import pytest

from tensorflow_similarity.losses import ProxyAnchorLoss, proxy_anchor_loss
from tests.gradients import value_and_grad
from tests.proxies import value_of, with_proxies

pytestmark = pytest.mark.backend_smoke

AXES = np.eye(2)


def log1p_exp(x):
    return math.log(1 + math.exp(x))


def test_pull_is_a_mean_of_present_and_push_of_all_classes():
    loss = ProxyAnchorLoss(4, margin=0.2, alpha=3.0)
    # Cosines of the row: 1, 0, 0, -1.
    proxies = [[1, 0], [0, 1], [0, -1], [-1, 0]]
    value = value_of(loss, [0], [[3.0, 0.0]], proxies)
    push = 2 * log1p_exp(3 * 0.2) + log1p_exp(3 * (-1 + 0.2))
    expected = log1p_exp(-3 * (1 - 0.2)) / 1 + push / 4
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_unknown_rows_are_in_no_sum():
    rows = [[1.0, 0.2], [0.3, 2.0], [-1.0, 1.0]]
    whole = value_of(ProxyAnchorLoss(2), [0, 1, -1], rows, AXES)
    np.testing.assert_allclose(
        whole, value_of(ProxyAnchorLoss(2), [0, 1], rows[:2], AXES), rtol=1e-6
    )


def test_every_known_row_has_the_loss_of_the_batch():
    rows = [[1.0, 0.2], [0.3, 2.0], [-1.0, 1.0]]
    whole = value_of(ProxyAnchorLoss(2), [0, 1, -1], rows, AXES)
    each = value_of(ProxyAnchorLoss(2, reduction=None), [0, 1, -1], rows, AXES)
    np.testing.assert_allclose(each, [whole, whole, 0], rtol=1e-6)


def test_long_and_short_way_agree(monkeypatch):
    rows = np.random.default_rng(1).normal(size=(9, 2)).astype("float32")
    labels = np.arange(9) % 2
    found = []
    for limit in (60.0, 0.0):
        monkeypatch.setattr(proxy_anchor_loss, "_PLAIN_EXPONENT", limit)
        loss = with_proxies(ProxyAnchorLoss(2), AXES)
        found.append(value_and_grad(lambda x, loss=loss: loss(labels, x), rows))
    (value, (gradient,)), (again, (same,)) = found
    np.testing.assert_allclose(value, again, rtol=1e-5)
    np.testing.assert_allclose(gradient, same, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha", [1e-3, 59.0, 1e4])
def test_stays_finite_at_any_sharpness(alpha):
    rows = np.concatenate([AXES, -AXES]).astype("float32")
    loss = with_proxies(ProxyAnchorLoss(2, margin=0.0, alpha=alpha), AXES)
    value, (gradient,) = value_and_grad(lambda x: loss(np.array([0, 1, 0, 1]), x), rows)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"margin": 1.5}, "`margin` must be from 0 to 1.*Received: margin=1.5"),
        ({"margin": -0.1}, "`margin` must be from 0 to 1.*Received: margin=-0.1"),
        ({"alpha": 0.0}, "`alpha` must be above 0. Received: alpha=0.0"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ProxyAnchorLoss(3, **kwargs)
