"""Presets: each can be made, says where it comes from, and translates its source."""

import json
import math

import numpy as np
import pytest

from tensorflow_similarity import losses
from tests.gradients import to_numpy

pytestmark = pytest.mark.backend_smoke

NEEDS_CLASSES = {
    "ArcFaceLoss",
    "CosFaceLoss",
    "NormalizedSoftmaxLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "SoftTripleLoss",
}


def names(preset):
    return f"{preset.loss}-{preset.name}"


@pytest.mark.heavy_on_jax
@pytest.mark.parametrize("preset", losses.presets(), ids=names)
def test_every_preset_makes_a_loss_that_works(preset):
    cls = getattr(losses, preset.loss)
    needed = {"num_classes": 3} if preset.loss in NEEDS_CLASSES else {}
    loss = cls.from_preset(preset.name, **needed)
    config = loss.get_config()
    for name, value in preset.arguments.items():
        if name == "miner":
            assert config[name]["class_name"].endswith("DistanceWeightedMiner")
        elif name == "distance":
            assert loss.distance.name == value
        else:
            assert config[name] == value
    assert cls.from_config(json.loads(json.dumps(config))).get_config() == config
    for part, width in loss.trained_parts(4):
        part.build(width)
    x = np.random.default_rng(6).normal(size=(6, 4)).astype("float32")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert np.isfinite(to_numpy(loss(np.array([0, 0, 1, 1, 2, 2]), x)))
    assert len(preset.source) > 20


def test_names_are_used_once_and_in_order():
    keys = [(preset.loss, preset.name) for preset in losses.presets()]
    assert len(set(keys)) == len(keys)
    ordered = [loss for loss, _ in keys]
    assert ordered == sorted(ordered)


def test_arguments_win_over_the_preset():
    loss = losses.TripletLoss.from_preset("cub", margin=0.3, name="mine")
    assert (loss.margin, loss.name, loss.distance.name) == (0.3, "mine", "euclidean")


def test_units_are_translated():
    arc = losses.ArcFaceLoss.from_preset("cub", num_classes=2)
    assert arc.margin == pytest.approx(23.2 * math.pi / 180)
    nca = losses.ProxyNCALoss.from_preset("cub", num_classes=2)
    assert nca.temperature == pytest.approx(1 / 14)
    soft = losses.SoftTripleLoss.from_preset("cub", num_classes=2)
    assert soft.gamma == pytest.approx(1 / 59)


def test_multi_similarity_without_mining_keeps_every_pair():
    loss = losses.MultiSimilarityLoss.from_preset("cars", reduction=None)
    # The two classes are at opposite ends, where mining would leave all pairs out.
    x = np.array([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1]], "float32")
    labels = np.array([0, 0, 1, 1])
    assert (to_numpy(loss(labels, x)) > 0).all()
    mined = losses.MultiSimilarityLoss(reduction=None)
    assert not to_numpy(mined(labels, x)).any()


def test_presets_of_one_loss():
    by_class = losses.presets(losses.CircleLoss)
    assert by_class == losses.presets("CircleLoss")
    assert [preset.name for preset in by_class] == ["faces", "reid"]


def test_a_class_of_ones_own_has_those_of_its_base():
    class Mine(losses.TripletLoss):
        pass

    assert isinstance(Mine.from_preset("sop"), Mine)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError) as error:
        losses.CircleLoss.from_preset("dogs")
    assert "`preset` must be one of CircleLoss: ['faces', 'reid']" in str(error.value)
    assert "Received: 'dogs'" in str(error.value)
    with pytest.raises(ValueError, match="one of SmoothAPLoss: none. Received"):
        losses.SmoothAPLoss.from_preset("cub")


def test_presets_cannot_be_changed_by_who_asks():
    losses.presets("FastAPLoss")
    losses.FastAPLoss.from_preset("cub", num_bins=3)
    assert losses.FastAPLoss.from_preset("cub").num_bins == 17
