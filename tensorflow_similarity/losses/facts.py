"""What each loss needs of a batch, what it costs, and when it fails.

The page "Choose a loss" is made from it, by `python docs/make_loss_table.py`.
"""

from dataclasses import dataclass

FAMILIES = {
    "pairs": "Pairs and triplets of the batch",
    "softmax": "All pairs at once, by softmax or sigmoid",
    "queries": "Queries and keys",
    "classes": "Classes with trained vectors",
    "ranks": "Surrogates of rank metrics",
    "joined": "Losses of losses",
}
"""Heading of each family, in the order of the page."""

_P_BY_K = "2 or more of a class"
_FOUR = "4 or more of a class"
_ANY = "any rows"
_B2 = "B²"
_CLASSES = "B·C"
_VECTORS = "a vector a class"


@dataclass(frozen=True)
class Facts:
    """One row of the table.

    Args:
        family: key of `FAMILIES`.
        batch: what a batch must hold for the loss to learn.
        cost: how time and memory grow: B rows, C classes, K positives of the anchor
            that has most. Memory is B² (B·C for classes) even where time is more.
        fails: when another loss is the better choice.
        trains: weights of its own, which take a `SimilarityModel`. Empty for none.
    """

    family: str
    batch: str
    cost: str
    fails: str
    trains: str = ""


FACTS = {
    "ContrastiveLoss": Facts(
        "pairs",
        _P_BY_K,
        _B2,
        "classes differ in how spread they are: one pair of margins for all",
    ),
    "TripletLoss": Facts(
        "pairs",
        _P_BY_K,
        f'{_B2}; "all" positives {_B2}·K',
        "hardest negatives on noisy labels, or early in training: rows collapse",
    ),
    "PNLoss": Facts(
        "pairs", _P_BY_K, _B2, "as `TripletLoss`; one triplet an anchor is little"
    ),
    "MultiSimilarityLoss": Facts(
        "pairs",
        _P_BY_K,
        _B2,
        "wrong labels: what is hardest weighs most; late, few pairs are kept",
    ),
    "CircleLoss": Facts(
        "pairs",
        _P_BY_K,
        _B2,
        "`gamma` of faces on small data: the hardest pair alone decides",
    ),
    "LiftedStructureLoss": Facts(
        "pairs",
        _P_BY_K,
        _B2,
        "distances of unbounded rows: the sum of exponentials is one pair's",
    ),
    "LiftedStructLoss": Facts(
        "pairs",
        _P_BY_K,
        _B2,
        "as `LiftedStructureLoss`, with the predecessor's defaults",
    ),
    "GeneralizedLiftedStructureLoss": Facts(
        "pairs", _P_BY_K, _B2, "wrong labels: the farthest positive weighs most"
    ),
    "MarginLoss": Facts(
        "pairs",
        _P_BY_K,
        _B2,
        "rows not of length 1; without a miner most negatives have no loss",
        "a boundary, or one a class, with `learn_beta`",
    ),
    "SNRContrastiveLoss": Facts(
        "pairs",
        _P_BY_K,
        _B2,
        "search by another distance; few features, whose variance says little",
    ),
    "ThresholdConsistentMarginLoss": Facts(
        "pairs",
        _P_BY_K,
        _B2,
        "alone: it only evens out what another loss has ordered",
    ),
    "NTXentLoss": Facts(
        "softmax",
        f"{_P_BY_K}, or two views; many negatives",
        _B2,
        "two views whose batch holds the same class again: it is pushed away",
    ),
    "SupConLoss": Facts(
        "softmax",
        f"{_P_BY_K}; large batches",
        _B2,
        "small batches; classes of several looks, which it draws to one point",
    ),
    "NCALoss": Facts(
        "softmax",
        _P_BY_K,
        _B2,
        "many of a class: one near positive is enough, the others may stay away",
    ),
    "SoftNearestNeighborLoss": Facts(
        "softmax",
        _P_BY_K,
        _B2,
        "as `NCALoss`; a temperature that does not fit the rows",
    ),
    "NPairsLoss": Facts(
        "softmax",
        "2 of a class, many classes",
        _B2,
        "rows of length 1: inner products are then too small to tell apart",
    ),
    "SigLIPLoss": Facts(
        "softmax",
        f"{_P_BY_K}, or two views",
        _B2,
        "small batches with few positives: the start of the bias decides",
        "scale and bias",
    ),
    "CoSENTLoss": Facts(
        "softmax",
        'graded pairs, `targets="relation"`',
        f"{_B2} log B",
        "one wrong grade: it is compared with every other pair",
    ),
    "MultiNegativesRankLoss": Facts(
        "queries",
        "row i of both a pair; larger is better",
        _B2,
        "several rows that answer one query; rows not of length 1",
    ),
    "InfoNCELoss": Facts(
        "queries",
        "row i of both a pair; larger is better",
        _B2,
        "several rows that answer one query, without a `false_negative_margin`",
        "the temperature, with `learn_temperature`",
    ),
    "NormalizedSoftmaxLoss": Facts(
        "classes",
        _ANY,
        _CLASSES,
        "more classes than fit in memory; classes of one or two rows",
        _VECTORS,
    ),
    "ArcFaceLoss": Facts(
        "classes",
        _ANY,
        _CLASSES,
        "wrong labels; a wide margin or high scale from the start, on small data",
        _VECTORS,
    ),
    "CosFaceLoss": Facts(
        "classes",
        _ANY,
        _CLASSES,
        "wrong labels; a wide margin or high scale from the start, on small data",
        _VECTORS,
    ),
    "SubCenterArcFaceLoss": Facts(
        "classes",
        _ANY,
        f"{_CLASSES} times the centers",
        "clean labels: centers of one class drift apart for nothing",
        "a few vectors a class",
    ),
    "ProxyNCALoss": Facts(
        "classes",
        _ANY,
        _CLASSES,
        "proxies at the rate of the network: they hardly move",
        _VECTORS,
    ),
    "ProxyAnchorLoss": Facts(
        "classes",
        "some rows of each of many classes",
        _CLASSES,
        "proxies at the rate of the network: they hardly move",
        _VECTORS,
    ),
    "SoftTripleLoss": Facts(
        "classes",
        _ANY,
        f"{_CLASSES} times the centers",
        "many classes with many centers each: all pairs of centers count",
        "a few vectors a class",
    ),
    "FastAPLoss": Facts(
        "ranks",
        f"{_FOUR}, 100 rows or more",
        f"{_B2}·bins",
        "distances that fill a few bins only: what shares a bin is not ordered",
    ),
    "SmoothAPLoss": Facts(
        "ranks",
        f"{_FOUR}, 128 to 384 rows",
        f"{_B2}·K",
        "from scratch: a negative far too near has no gradient",
    ),
    "ROADMAPLoss": Facts(
        "ranks",
        f"{_FOUR}, 128 to 384 rows",
        f"{_B2}·K",
        "wrong labels: a negative far too near weighs without a bound",
    ),
    "RecallAtKSurrogateLoss": Facts(
        "ranks",
        f"{_FOUR}, 400 to 4000 rows",
        f"{_B2}·K",
        "small batches, whose first k are not those of the index",
    ),
    "MatryoshkaLoss": Facts(
        "joined",
        "as its loss",
        "its loss, once a width",
        "the widths are never cut to",
        "its loss's, for each width",
    ),
    "XBM": Facts(
        "joined",
        "as its loss; partners may be in the memory",
        "its loss on B·(B+M), M rows in the memory",
        "embeddings move fast: early without a warm-up, or at a high learning rate",
        "its loss's",
    ),
    "SumOfLosses": Facts(
        "joined",
        "as its losses",
        "its losses, added",
        "losses of different scale without weights: one drowns the others",
        "its losses'",
    ),
}
"""Facts by the name of the class."""


def table(names: list[str]) -> str:
    """Markdown tables of these losses, one a family, each with its heading.

    Args:
        names: of classes that `FACTS` has.
    """
    parts = []
    for family, heading in FAMILIES.items():
        rows = [(name, facts) for name, facts in FACTS.items() if name in names]
        rows = [(name, facts) for name, facts in rows if facts.family == family]
        if not rows:
            continue
        lines = [
            f"### {heading}",
            "",
            "| loss | a batch needs | cost | trains | fails with |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| `{name}` | {facts.batch} | {facts.cost} | {facts.trains} | "
            f"{facts.fails} |"
            for name, facts in rows
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
