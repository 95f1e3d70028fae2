"""Counting the keys before each positive: which are kept, and what it costs."""

import numpy as np
import pytest
from keras import ops

from tensorflow_similarity import distances, losses
from tensorflow_similarity.losses.soft_ranks import sigmoid_step, soft_ranks
from tests.gradients import compiled, evaluate, to_numpy, value_and_grad

pytestmark = pytest.mark.backend_smoke

# On a line, seen from 0: positives at 1, 3 and 6, negatives at 2, 4 and 5.
LINE = np.array([[0.0], [1.0], [-3.0], [6.0], [2.0], [-4.0], [5.0]], "float32")
LABELS = np.array([0, 0, 0, 0, 1, 2, 3])
RANKED = (losses.SmoothAPLoss, losses.ROADMAPLoss, losses.RecallAtKSurrogateLoss)


def ranks_of_the_first(max_positives, nearest):
    def counts(x):
        pairs = losses.make_pairs(LABELS, x, distance=distances.get("euclidean"))
        ranks = soft_ranks(pairs, sigmoid_step(1e-3), max_positives, nearest)
        kept = ops.cast(ranks.kept, "float32")
        return ops.stack([kept, ranks.positives_before, ranks.negatives_before])[:, 0]

    kept, positives, negatives = evaluate(counts, LINE)
    assert kept.tolist() == [1.0] * min(3, max_positives) + [0.0] * (len(kept) - 3)
    n = min(3, max_positives)
    return list(zip(positives[:n].round(3), negatives[:n].round(3), strict=True))


@pytest.mark.parametrize(
    ("max_positives", "nearest", "expected"),
    [
        (32, False, [(2, 3), (1, 1), (0, 0)]),
        (32, True, [(0, 0), (1, 1), (2, 3)]),
        (3, False, [(2, 3), (1, 1), (0, 0)]),
        (2, False, [(2, 3), (1, 1)]),
        (2, True, [(0, 0), (1, 1)]),
        (1, False, [(2, 3)]),
    ],
)
def test_all_keys_are_counted_before_the_kept_positives(
    max_positives, nearest, expected
):
    assert ranks_of_the_first(max_positives, nearest) == expected


@pytest.mark.parametrize("loss", RANKED)
def test_more_places_than_positives_change_nothing(loss):
    x = np.random.default_rng(3).normal(size=(12, 4)).astype("float32")
    labels = np.arange(12) % 3
    k = {"k": [1, 2]} if loss is losses.RecallAtKSurrogateLoss else {}
    (few, (grad,)), (many, (same,)) = (
        value_and_grad(lambda t, n=n: loss(max_positives=n, **k)(labels, t), x)
        for n in (3, 40)
    )
    np.testing.assert_allclose(few, many, rtol=1e-6)
    np.testing.assert_allclose(grad, same, rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("loss", [losses.SmoothAPLoss()], ids=["smooth_ap"])
def test_a_compiled_loss_serves_batches_of_other_classes(loss):
    x = np.random.default_rng(3).normal(size=(12, 4)).astype("float32")
    run = compiled(lambda y, t: loss(y, t))
    for n_classes in (6, 2, 3, 1, 12):
        labels = np.arange(12) % n_classes
        tensors = (
            ops.convert_to_tensor(labels.astype("int32")),
            ops.convert_to_tensor(x),
        )
        actual, expected = to_numpy(run(*tensors)), to_numpy(loss(*tensors))
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", RANKED)
@pytest.mark.parametrize("max_positives", [0, -1, 2.5, True, None])
def test_a_count_that_is_none_is_refused(loss, max_positives):
    with pytest.raises(ValueError, match=r"`max_positives` must be an integer.*Recei"):
        loss(max_positives=max_positives)


@pytest.mark.parametrize("loss", RANKED)
@pytest.mark.parametrize("temperature", [0, -0.1, float("nan")])
def test_a_temperature_of_nothing_is_refused(loss, temperature):
    with pytest.raises(ValueError, match=r"`temperature` must be above 0. Received: t"):
        loss(temperature=temperature)
