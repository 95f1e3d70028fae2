"""Where the figures of spread lie for collapsed and for well spread embeddings."""

import numpy as np
import pytest

from tensorflow_similarity.training_metrics import (
    Alignment,
    EffectiveRank,
    EmbeddingStd,
    Uniformity,
)

pytestmark = pytest.mark.backend_smoke


def measured(metric, rows):
    metric.update_state(np.zeros(len(rows), int), np.asarray(rows, "float32"))
    return float(metric.result())


def well_spread(n=256, dim=16):
    return np.random.default_rng(1).normal(size=(n, dim))


def test_well_spread_embeddings_have_known_figures():
    rows = well_spread()
    assert measured(EmbeddingStd(), rows) == pytest.approx(16**-0.5, rel=0.02)
    assert 15 < measured(EffectiveRank(), rows) <= 16
    assert -4.0 < measured(Uniformity(), rows) < -3.3
    assert measured(Alignment(), rows) == pytest.approx(2.0, rel=0.05)


def test_one_point_is_told_from_its_length():
    rows = np.outer(np.linspace(1.0, 9.0, 32), well_spread(1)[0])
    assert measured(EmbeddingStd(), rows) < 1e-5
    assert measured(EffectiveRank(), rows) == pytest.approx(1.0, abs=1e-4)
    assert abs(measured(Uniformity(), rows)) < 1e-4
    assert measured(Alignment(), rows) < 1e-4


@pytest.mark.parametrize("shape", [(64, 16), (8, 48)])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_rank_counts_equal_directions(shape, rank):
    generator = np.random.default_rng(2)
    left = np.linalg.qr(generator.normal(size=(shape[0], rank)))[0]
    right = np.linalg.qr(generator.normal(size=(shape[1], rank)))[0]
    assert measured(EffectiveRank(), left @ right.T) == pytest.approx(rank, rel=1e-3)


def test_rank_of_zeros_is_zero_and_length_does_not_matter():
    assert measured(EffectiveRank(), np.zeros((4, 3))) == 0.0
    rows = well_spread(12, 5)
    one, other = (measured(EffectiveRank(), s * rows) for s in (1e-12, 1e12))
    assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniformity(t=0.0), "`t` must be"),
        (lambda: Alignment(alpha=-1.0), "`alpha` must be"),
    ],
)
def test_exponents_must_be_positive(make, message):
    with pytest.raises(ValueError, match=message):
        make()
