"""Losses on the rank of the positives, read from the papers."""

import cmath

from tensorflow_similarity import losses
from tests.reference import matrix

from . import Paper


def _real(z):
    return complex(z).real


def _sigmoid(z):
    if _real(z) < -700:
        return 0.0
    return 1.0 / (1.0 + cmath.exp(-z))


def _anchors(labels, embeddings, distance):
    """Each anchor's positives, negatives and similarities; None without both kinds."""
    d = matrix(distance, embeddings, embeddings)
    for i in range(len(labels)):
        same = [j for j in range(len(labels)) if j != i and labels[j] == labels[i]]
        other = [j for j in range(len(labels)) if labels[j] != labels[i]]
        yield (same, other, 1.0 - d[i]) if same and other else None


def smooth_ap(
    labels, embeddings, distance="cosine", temperature=0.01, max_positives=None
):
    """Equation 5: ranks among the positives by ranks among all."""
    values = []
    for anchor in _anchors(labels, embeddings, distance):
        if anchor is None:
            values.append(None)
            continue
        same, other, s = anchor
        chosen = sorted(same, key=lambda p: _real(s[p]))[:max_positives]
        precision = 0.0
        for k in chosen:
            among_same = among_all = 1.0
            for j in same + other:
                if j == k:
                    continue
                step = _sigmoid((s[j] - s[k]) / temperature)
                among_all = among_all + step
                if j in same:
                    among_same = among_same + step
            precision = precision + among_same / among_all
        values.append(1.0 - precision / len(chosen))
    return values


def recall_at_k(
    labels,
    embeddings,
    distance="cosine",
    k=(1, 2, 4, 8, 16),
    temperature=1.0,
    rank_temperature=0.01,
    max_positives=None,
):
    """The surrogate of the paper without its query among the keys."""
    values = []
    for anchor in _anchors(labels, embeddings, distance):
        if anchor is None:
            values.append(None)
            continue
        same, other, s = anchor
        chosen = sorted(same, key=lambda p: -_real(s[p]))[:max_positives]
        ranks = []
        for p in chosen:
            rank = 1.0
            for j in same + other:
                if j != p:
                    rank = rank + _sigmoid((s[j] - s[p]) / rank_temperature)
            ranks.append(rank)
        total = 0.0
        for first in k:
            found = 0.0
            for rank in ranks:
                found = found + _sigmoid((first - rank) / temperature)
            if _real(found) > first:
                found = float(first)
            total = total + found / min(first, len(same))
        values.append(1.0 - total / len(k))
    return values


def roadmap(
    labels,
    embeddings,
    distance="cosine",
    temperature=0.01,
    rho=100.0,
    delta=0.05,
    pos_margin=0.9,
    neg_margin=0.6,
    contrastive_weight=1.0,
    max_positives=None,
):
    """SupAP and the calibration term."""

    def bound(u):
        if _real(u) < 0:
            return _sigmoid(u / temperature)
        if _real(u) <= delta:
            return 0.5 + _sigmoid(u / temperature)
        return 0.5 + _sigmoid(delta / temperature) + rho * (u - delta)

    values = []
    for anchor in _anchors(labels, embeddings, distance):
        if anchor is None:
            values.append(None)
            continue
        same, other, s = anchor
        chosen = sorted(same, key=lambda p: _real(s[p]))[:max_positives]
        precision = 0.0
        for k in chosen:
            rank = 1.0 + sum(_real(s[j]) > _real(s[k]) for j in same if j != k)
            wrong = 0.0
            for n in other:
                wrong = wrong + bound(s[n] - s[k])
            precision = precision + rank / (rank + wrong)
        loss = 1.0 - precision / len(chosen)
        for p in same:
            if _real(s[p]) < pos_margin:
                loss = loss + contrastive_weight * (pos_margin - s[p]) / len(same)
        for n in other:
            if _real(s[n]) > neg_margin:
                loss = loss + contrastive_weight * (s[n] - neg_margin) / len(other)
        values.append(loss)
    return values


def fast_ap(labels, embeddings, distance="cosine", num_bins=10, max_distance=2.0):
    """Equations 4 to 6, with the triangular pulse of soft histograms."""
    width = max_distance / num_bins
    values = []
    for anchor in _anchors(labels, embeddings, distance):
        if anchor is None:
            values.append(None)
            continue
        same, other, s = anchor

        def count(members, center, s=s):
            total = 0.0
            for j in members:
                d = 1.0 - s[j]
                d = (
                    max(0.0, min(_real(d), max_distance))
                    if (not 0 < _real(d) < max_distance)
                    else d
                )
                gap = (d - center) / width
                gap = -gap if _real(gap) < 0 else gap
                if _real(gap) < 1:
                    total = total + 1.0 - gap
            return total

        precision = same_so_far = all_so_far = 0.0
        for b in range(num_bins + 1):
            positives = count(same, b * width)
            same_so_far = same_so_far + positives
            all_so_far = all_so_far + positives + count(other, b * width)
            if _real(all_so_far) > 0:
                precision = precision + positives * same_so_far / all_so_far
        values.append(1.0 - precision / len(same))
    return values


PAPERS = [
    Paper(
        losses.SmoothAPLoss,
        smooth_ap,
        [
            {},
            {"temperature": 0.3},
            {"temperature": 0.5, "distance": "euclidean"},
            {"temperature": 0.2, "max_positives": 1},
        ],
    ),
    Paper(
        losses.RecallAtKSurrogateLoss,
        recall_at_k,
        [
            {},
            {"k": [1, 3], "rank_temperature": 0.2, "temperature": 0.5},
            {"rank_temperature": 0.5, "distance": "euclidean"},
            {"k": [1], "rank_temperature": 0.2, "max_positives": 1},
        ],
    ),
    Paper(
        losses.ROADMAPLoss,
        roadmap,
        [
            {},
            {"temperature": 0.3, "delta": 0.4, "rho": 3.0, "contrastive_weight": 0.0},
            {"distance": "euclidean", "pos_margin": 0.2, "neg_margin": -1.5},
            {"max_positives": 1, "temperature": 0.2, "contrastive_weight": 0.5},
        ],
    ),
    Paper(
        losses.FastAPLoss,
        fast_ap,
        [
            {},
            {"num_bins": 3},
            {"num_bins": 7, "distance": "euclidean", "max_distance": 9.0},
        ],
    ),
]
