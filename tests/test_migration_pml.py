"""`docs/migration_pml.md`: the numbers and names of pytorch-metric-learning in it."""

import re
from pathlib import Path

import numpy as np
import pytest

from tensorflow_similarity import losses, miners

PAGE = Path(__file__).parents[1] / "docs" / "migration_pml.md"
# What pytorch-metric-learning 2.9.0 on torch gave for `rows` and `labels` below: by its
# defaults and MeanReducer, losses of classes with `class_vectors` or `centers`.
THERE = {
    "ContrastiveLoss": 0.9999076,
    "TripletMarginLoss": 0.0111481,
    "MultiSimilarityLoss": 0.7488557,
    "CircleLoss": 32.4434967,
    "NTXentLoss": 1.3582778,
    "SupConLoss": 2.2856116,
    "NCALoss": 1.2635285,
    "FastAPLoss": 0.2588471,
    "LiftedStructureLoss": 9.1252241,
    "GeneralizedLiftedStructureLoss": 4.6809011,
    "SignalToNoiseRatioContrastiveLoss": 1.0511411,
    "ThresholdConsistentMarginLoss": 0.5092854,
    "ArcFaceLoss": 52.7250023,
    "SubCenterArcFaceLoss": 46.0381775,
    "CosFaceLoss": 46.4292755,
    "NormalizedSoftmaxLoss": 8.4247971,
    "ProxyAnchorLoss": 31.4525852,
    "ProxyNCALoss": 1.9803337,
    "SoftTripleLoss": 4.5569243,
}
# The names of its public documentation, less the bases of classes.
LOSSES = """
AngularLoss ArcFaceLoss CentroidTripletLoss CircleLoss ContrastiveLoss CosFaceLoss
CrossBatchMemory DynamicSoftMarginLoss FastAPLoss GeneralizedLiftedStructureLoss
HistogramLoss InstanceLoss IntraPairVarianceLoss LargeMarginSoftmaxLoss
LiftedStructureLoss ManifoldLoss MarginLoss MultiSimilarityLoss MultipleLosses NCALoss
NPairsLoss NTXentLoss NormalizedSoftmaxLoss P2SGradLoss PNPLoss ProxyAnchorLoss
ProxyNCALoss RankedListLoss SelfSupervisedLoss SignalToNoiseRatioContrastiveLoss
SmoothAPLoss SoftTripleLoss SphereFaceLoss SubCenterArcFaceLoss SupConLoss
ThresholdConsistentMarginLoss TripletMarginLoss TupletMarginLoss VICRegLoss
""".split()
MINERS = """AngularMiner BatchEasyHardMiner BatchHardMiner DistanceWeightedMiner
EmbeddingsAlreadyPackagedAsTriplets HDCMiner MultiSimilarityMiner PairMarginMiner
TripletMarginMiner UniformHistogramMiner""".split()
REDUCERS = """AvgNonZeroReducer ClassWeightedReducer DivisorReducer DoNothingReducer
MeanReducer MultipleReducers PerAnchorReducer SumReducer ThresholdReducer""".split()


@pytest.fixture(scope="module")
def sections():
    parts = re.split(r"^## (.+)\n", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(6), 4)
    rows = random.normal(size=(6, 16))[labels] + 0.9 * random.normal(size=(24, 16))
    rows = rows.astype("float32")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    class_vectors = random.normal(size=(16, 6)).T[None].astype("float32")
    centers = random.normal(size=(6, 10, 16)).swapaxes(0, 1).astype("float32")
    return labels, rows, class_vectors, centers


def losses_of(sections):
    """Their loss and ours in code, row by row of the table of equal numbers."""
    table = sections["What is what"].split("These have a counterpart")[0]
    return dict(re.findall(r"^\| `losses\.(\w+)[^`]*` \| `([^`]+)` \|", table, re.M))


@pytest.mark.parametrize("name", THERE)
def test_our_loss_as_the_table_writes_it_gives_their_number(name, sections, arrays):
    labels, rows, class_vectors, centers = arrays
    code = losses_of(sections)[name]
    loss = eval(code, vars(losses) | {"num_classes": 6})
    if "num_classes" in code:
        loss.build(16)
        (weight,) = loss.trainable_variables
        given = class_vectors if weight.shape[0] == 6 else centers
        weight.assign(given[: weight.shape[0] // 6].reshape(weight.shape))
    assert float(loss(labels, rows)) == pytest.approx(THERE[name], rel=1e-5, abs=1e-6)


def test_every_row_of_the_table_of_equal_numbers_is_compared(sections):
    assert set(losses_of(sections)) == set(THERE)


def test_every_public_name_of_theirs_is_on_the_page_once_with_or_without_one(sections):
    tables = re.findall(r"^\| `(.+?)` \|", sections["What is what"], re.MULTILINE)
    named = set(re.findall(r"\w+", " ".join(tables)))
    without = set(re.findall(r"`(\w+)`", sections["Without a counterpart"]))
    for name in (*LOSSES, *MINERS, *REDUCERS):
        assert (name in named) != (name in without), name


def test_what_has_no_counterpart_is_not_here(sections):
    for name in re.findall(r"`(\w+)`", sections["Without a counterpart"]):
        assert not hasattr(losses, name) and not hasattr(miners, name), name
