"""Losses with proxies that a test has chosen."""

import numpy as np

from tests.gradients import evaluate


def with_proxies(loss, proxies):
    """The loss, built, with these vectors of its classes."""
    proxies = np.asarray(proxies, "float32")
    loss.build(proxies.shape[1])
    loss.layer_weights()["proxies"].assign(proxies / loss.learning_rate_multiplier)
    return loss


def value_of(loss, labels, rows, proxies):
    """The loss of a batch, by proxies."""
    with_proxies(loss, proxies)
    rows = np.asarray(rows, "float32")
    return evaluate(lambda x: loss(np.asarray(labels), x), rows)
