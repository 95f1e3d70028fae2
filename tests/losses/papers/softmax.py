"""Losses that weigh similarities against each other by their exponentials."""

import cmath

from tensorflow_similarity import losses
from tests.reference import matrix

from . import Paper


def same_and_other(labels, i):
    same = [j for j in range(len(labels)) if j != i and labels[j] == labels[i]]
    other = [j for j in range(len(labels)) if labels[j] != labels[i]]
    return same, other


def log_of_sum(terms):
    """log of a sum of exponentials, about the largest, for steep losses."""
    largest = max(complex(t).real for t in terms)
    return largest + cmath.log(sum(cmath.exp(t - largest) for t in terms))


def circle(labels, embeddings, distance="cosine", gamma=80.0, margin=0.4):
    s = 1.0 - matrix(distance, embeddings, embeddings)
    values = []
    for i in range(len(labels)):
        same, other = same_and_other(labels, i)
        if not same or not other:
            values.append(None)
            continue
        exponents = []
        for p in same:
            for n in other:
                # The weights are constants: their real parts alone.
                a_p = max(0.0, 1 + margin - complex(s[i, p]).real)
                a_n = max(0.0, complex(s[i, n]).real + margin)
                pull = -gamma * a_p * (s[i, p] - (1 - margin))
                push = gamma * a_n * (s[i, n] - margin)
                exponents.append(pull + push)
        values.append(log_of_sum([0.0, *exponents]))
    return values


def soft_nearest_neighbor(
    labels, embeddings, distance="squared_euclidean", temperature=1.0
):
    d = matrix(distance, embeddings, embeddings)
    values = []
    for i in range(len(labels)):
        same, other = same_and_other(labels, i)
        if not same or not other:
            values.append(None)
            continue
        top = log_of_sum([-d[i, j] / temperature for j in same])
        bottom = log_of_sum([-d[i, j] / temperature for j in same + other])
        values.append(bottom - top)
    return values


def nca(labels, embeddings, distance="squared_euclidean", softmax_scale=1.0):
    d = matrix(distance, embeddings, embeddings)
    values = []
    for i in range(len(labels)):
        same, other = same_and_other(labels, i)
        if not same or not other:
            values.append(None)
            continue
        nearest = min(complex(d[i, j]).real for j in same + other)
        weights = {
            j: cmath.exp(-softmax_scale * (d[i, j] - nearest)) for j in same + other
        }
        chance = sum(weights[j] for j in same) / sum(weights.values())
        values.append(-cmath.log(chance))
    return values


def n_pairs(labels, embeddings, distance="inner_product", l2_weight=0.002):
    s = -matrix(distance, embeddings, embeddings)
    values = []
    for i in range(len(labels)):
        same, other = same_and_other(labels, i)
        if not same or not other:
            values.append(None)
            continue
        terms = [log_of_sum([0.0] + [s[i, n] - s[i, p] for n in other]) for p in same]
        length = sum(x * x for x in embeddings[i])
        values.append(sum(terms) / len(terms) + l2_weight * length)
    return values


def nt_xent(labels, embeddings, distance="cosine", temperature=0.07, decoupled=False):
    s = 1.0 - matrix(distance, embeddings, embeddings)
    sums, n_pairs = {}, 0
    for i in range(len(labels)):
        same, other = same_and_other(labels, i)
        for p in same if other else []:
            below = [s[i, n] / temperature for n in other]
            if not decoupled:
                below.append(s[i, p] / temperature)
            term = log_of_sum(below) - s[i, p] / temperature
            sums[i] = sums.get(i, 0.0) + term
            n_pairs += 1
    # Shares of which the mean over anchors is the mean over pairs.
    return [
        sums[i] * len(sums) / n_pairs if i in sums else None for i in range(len(labels))
    ]


def sup_con(labels, embeddings, distance="cosine", temperature=0.1):
    s = 1.0 - matrix(distance, embeddings, embeddings)
    values = []
    for i in range(len(labels)):
        same, other = same_and_other(labels, i)
        if not same:
            values.append(None)
            continue
        below = log_of_sum([s[i, k] / temperature for k in same + other])
        total = sum(s[i, p] / temperature - below for p in same)
        values.append(-total / len(same))
    return values


def sigmoid(
    labels,
    embeddings,
    weights=None,
    distance="cosine",
    scale=10.0,
    bias=-10.0,
    learn_scale=True,
):
    assert learn_scale == (weights is not None)
    t, b = scale, bias
    if weights is not None:
        t, b = cmath.exp(complex(weights["log_scale"])), complex(weights["bias"])
    s = 1.0 - matrix(distance, embeddings, embeddings)
    values = []
    for i in range(len(labels)):
        total = 0.0
        for j in range(len(labels)):
            if j != i:
                y = 1.0 if labels[i] == labels[j] else -1.0
                total = total + log_of_sum([0.0, -y * (t * s[i, j] + b)])
        values.append(total if len(labels) > 1 else None)
    return values


def graded(grades, embeddings, distance="cosine", scale=20.0):
    """CoSENT: every pair of pairs, as the paper writes it."""
    s = 1.0 - matrix(distance, embeddings, embeddings)
    n = len(s)
    known = [(i, j) for i in range(n) for j in range(n) if i != j and grades[i][j] >= 0]
    exponents = [
        scale * (s[low] - s[high])
        for high in known
        for low in known
        if grades[high[0]][high[1]] > grades[low[0]][low[1]]
    ]
    return log_of_sum([0.0, *exponents])


def cosent(labels, embeddings, distance="cosine", scale=20.0):
    same = [[int(a == b) for b in labels] for a in labels]
    return graded(same, embeddings, distance, scale)


PAPERS = [
    Paper(
        losses.CircleLoss,
        circle,
        [
            {},
            {"gamma": 3.0, "margin": 0.25},
            {"distance": "euclidean", "gamma": 2.0, "margin": -0.3},
            {"distance": "snr", "gamma": 1.5, "margin": 0.9},
        ],
    ),
    Paper(
        losses.SoftNearestNeighborLoss,
        soft_nearest_neighbor,
        [
            {},
            {"temperature": 5.0},
            {"distance": "cosine", "temperature": 0.1},
            {"distance": "euclidean", "temperature": 0.5},
        ],
    ),
    Paper(
        losses.NCALoss,
        nca,
        [{}, {"softmax_scale": 0.2}, {"distance": "snr", "softmax_scale": 3.0}],
    ),
    Paper(
        losses.NPairsLoss,
        n_pairs,
        [{}, {"l2_weight": 0.0}, {"distance": "cosine", "l2_weight": 0.3}],
    ),
    Paper(
        losses.NTXentLoss,
        nt_xent,
        [
            {},
            {"temperature": 0.5},
            {"temperature": 0.2, "decoupled": True},
            {"distance": "euclidean", "temperature": 1.0},
        ],
    ),
    Paper(
        losses.SupConLoss,
        sup_con,
        [{}, {"temperature": 0.5}, {"distance": "manhattan", "temperature": 1.0}],
        learns_from=("one class",),
    ),
    Paper(
        losses.SigLIPLoss,
        sigmoid,
        [
            {},
            {"scale": 3.0, "bias": -2.0},
            {"learn_scale": False},
            {"distance": "euclidean", "scale": 1.0, "bias": 0.5, "learn_scale": False},
        ],
        learns_from=("one class", "no positives"),
    ),
    Paper(
        losses.CoSENTLoss,
        cosent,
        [{}, {"scale": 3.0}, {"distance": "euclidean", "scale": 1.0}],
        required={"targets": "labels"},
    ),
]
