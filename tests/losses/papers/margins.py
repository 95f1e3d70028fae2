"""Losses by margins: pairs within or beyond a distance, and triplets."""

import cmath

from tensorflow_similarity import losses
from tests import reference

from . import Paper


def real(z):
    return complex(z).real


def hinge(z):
    return z if real(z) > 0 else 0.0


def softplus(z):
    return cmath.log(1.0 + cmath.exp(z))


def relations(labels):
    """Of each row: the others of its class, and the rows of other classes."""
    n = len(labels)
    return (
        [[j for j in range(n) if j != i and labels[j] == labels[i]] for i in range(n)],
        [[j for j in range(n) if labels[j] != labels[i]] for i in range(n)],
    )


def handed_out(sums, counted):
    """Sums of the rows that count, times their number: their mean is the total."""
    n = sum(counted)
    return [n * s if c else None for s, c in zip(sums, counted, strict=True)]


def contrastive(
    labels, embeddings, distance="cosine", pos_margin=0.0, neg_margin=0.5, squared=False
):
    d = reference.matrix(distance, embeddings, embeddings)
    same, other = relations(labels)
    n_positive, n_negative = sum(map(len, same)), sum(map(len, other))
    sums = []
    for i in range(len(labels)):
        total = 0.0
        for j in same[i]:
            x = hinge(d[i, j] - pos_margin)
            total = total + (x * x / 2 if squared else x) / n_positive
        for j in other[i]:
            x = hinge(neg_margin - d[i, j])
            total = total + (x * x / 2 if squared else x) / n_negative
        sums.append(total)
    return handed_out(sums, [bool(s or o) for s, o in zip(same, other, strict=True)])


def snr_contrastive(
    labels,
    embeddings,
    pos_margin=0.0,
    neg_margin=1.0,
    regularization_weight=0.1,
    squared=False,
):
    values = contrastive(labels, embeddings, "snr", pos_margin, neg_margin, squared)
    for i, value in enumerate(values):
        if value is not None:
            total = sum(embeddings[i])
            size = total if real(total) > 0 else -total
            values[i] = value + regularization_weight * size
    return values


def threshold_consistent(
    labels,
    embeddings,
    distance="cosine",
    pos_margin=0.9,
    neg_margin=0.5,
    pos_weight=1.0,
    neg_weight=1.0,
):
    s = 1.0 - reference.matrix(distance, embeddings, embeddings)
    same, other = relations(labels)
    rows = range(len(labels))
    apart = [[j for j in same[i] if real(s[i, j]) <= pos_margin] for i in rows]
    close = [[j for j in other[i] if real(s[i, j]) >= neg_margin] for i in rows]
    n_apart, n_close = sum(map(len, apart)), sum(map(len, close))
    sums = [
        sum(pos_weight * (pos_margin - s[i, j]) / n_apart for j in apart[i])
        + sum(neg_weight * (s[i, j] - neg_margin) / n_close for j in close[i])
        for i in rows
    ]
    return handed_out(sums, [bool(same[i] or other[i]) for i in rows])


def wu_margin(
    labels,
    embeddings,
    weights=None,
    distance="euclidean",
    alpha=0.2,
    beta=1.2,
    nu=0.0,
    learn_beta=False,
    num_classes=None,
):
    d = reference.matrix(distance, embeddings, embeddings)
    same, other = relations(labels)
    sums, boundaries, n_active = [], [], 0
    for i in range(len(labels)):
        if learn_beta:
            boundary = weights["beta"][0 if num_classes is None else labels[i]]
        else:
            boundary = beta
        terms = [hinge(alpha + d[i, j] - boundary) for j in same[i]]
        terms += [hinge(alpha - d[i, j] + boundary) for j in other[i]]
        n_active += sum(real(t) > 0 for t in terms)
        sums.append(sum(terms))
        boundaries.append(boundary)
    values = handed_out(
        [s / max(n_active, 1) for s in sums],
        [bool(s or o) for s, o in zip(same, other, strict=True)],
    )
    return [
        None if v is None else v + nu * b
        for v, b in zip(values, boundaries, strict=True)
    ]


def all_triplets(
    labels, embeddings, distance="cosine", positive="all", negative="all", margin=None
):
    """The mean over triplets; equally far semi-hard negatives share one triplet."""
    d = reference.matrix(distance, embeddings, embeddings)
    same, other = relations(labels)
    sums, n_triplets = [0.0] * len(labels), 0
    for i in range(len(labels)):
        if not same[i] or not other[i]:
            continue
        chosen = sorted((d[i, j] for j in same[i]), key=real)
        if positive != "all":
            chosen = chosen[-1:] if positive == "hard" else chosen[:1]
        for d_ap in chosen:
            met = sorted((d[i, j] for j in other[i]), key=real)
            if negative == "semi-hard":
                met = [x for x in met if real(x) > real(d_ap)][:1] or met[-1:]
            elif negative != "all":
                met = met[:1] if negative == "hard" else met[-1:]
            for d_an in met:
                gap = d_ap - d_an
                loss = softplus(gap) if margin is None else hinge(gap + margin)
                sums[i] = sums[i] + loss
                n_triplets += 1
    return handed_out(
        [s / max(n_triplets, 1) for s in sums],
        [bool(s and o) for s, o in zip(same, other, strict=True)],
    )


def triplet(labels, embeddings, positive="hard", negative="semi-hard", **case):
    """One loss an anchor, None where it has no triplet."""
    reading = all_triplets if "all" in (positive, negative) else reference.triplet
    return reading(labels, embeddings, positive=positive, negative=negative, **case)


def pn(
    labels,
    embeddings,
    distance="cosine",
    positive="hard",
    negative="semi-hard",
    margin=None,
):
    d = reference.matrix(distance, embeddings, embeddings)
    same, other = relations(labels)
    values = []
    for i in range(len(labels)):
        if not same[i] or not other[i]:
            values.append(None)
            continue

        def far(j, i=i):
            return real(d[i, j])

        p = (max if positive == "hard" else min)(same[i], key=far)
        if negative == "hard":
            n = min(other[i], key=far)
        else:
            n = max(other[i], key=far)
        farther = [j for j in other[i] if far(j) > far(p)]
        if negative == "semi-hard" and farther:
            n = min(farther, key=far)
        d_n = d[p, n] if real(d[p, n]) < real(d[i, n]) else d[i, n]
        gap = d[i, p] - d_n
        values.append(softplus(gap) if margin is None else hinge(gap + margin))
    return values


def lifted(labels, embeddings, distance="euclidean", positive="all", margin=1.0):
    d = reference.matrix(distance, embeddings, embeddings)
    same, other = relations(labels)
    means, counts = [], []
    for i in range(len(labels)):
        chosen = [j for j in same[i] if other[i] or other[j]]
        if chosen and positive != "all":
            best = max if positive == "hard" else min
            distance_of_best = best(real(d[i, j]) for j in chosen)
            chosen = [j for j in chosen if real(d[i, j]) == distance_of_best]
        total = 0.0
        for j in chosen:
            near = [margin - d[i, n] for n in other[i]]
            near += [margin - d[j, n] for n in other[j]]
            x = hinge(d[i, j] + cmath.log(sum(map(cmath.exp, near))))
            total = total + x * x / 2
        means.append(total / max(len(chosen), 1))
        counts.append(len(chosen))
    if positive != "all":
        return [m if c else None for m, c in zip(means, counts, strict=True)]
    n_pairs = max(sum(counts), 1)
    return handed_out(
        [m * c / n_pairs for m, c in zip(means, counts, strict=True)],
        [c > 0 for c in counts],
    )


def lifted_struct(labels, embeddings, distance="cosine", positive="hard", margin=1.0):
    return lifted(labels, embeddings, distance, positive, margin)


def generalized_lifted(labels, embeddings, distance="euclidean", margin=1.0):
    d = reference.matrix(distance, embeddings, embeddings)
    same, other = relations(labels)
    values = []
    for i in range(len(labels)):
        if not same[i] or not other[i]:
            values.append(None)
            continue
        far = cmath.log(sum(cmath.exp(d[i, j]) for j in same[i]))
        near = cmath.log(sum(cmath.exp(margin - d[i, j]) for j in other[i]))
        values.append(hinge(far + near))
    return values


MINED = {
    "positive": "positive_mining_strategy",
    "negative": "negative_mining_strategy",
}
ONE_KIND = ("one class", "no positives")

PAPERS = [
    Paper(
        losses.TripletLoss,
        triplet,
        [
            {"positive": p, "negative": n, "margin": m, "distance": d}
            for p, n, m, d in [
                ("hard", "semi-hard", None, "cosine"),
                ("hard", "semi-hard", 0.5, "euclidean"),
                ("hard", "hard", 0.2, "squared_euclidean"),
                ("hard", "easy", 3.0, "manhattan"),
                ("easy", "semi-hard", 0.4, "cosine"),
                ("easy", "hard", None, "snr"),
                ("easy", "easy", 0.9, "inner_product"),
                ("all", "all", 0.3, "cosine"),
                ("all", "all", None, "euclidean"),
                ("all", "semi-hard", 0.7, "squared_euclidean"),
                ("all", "semi-hard", None, "snr"),
                ("all", "hard", None, "cosine"),
                ("all", "easy", 2.5, "euclidean"),
                ("easy", "all", 0.5, "cosine"),
                ("hard", "all", None, "snr"),
            ]
        ],
        renamed=MINED,
    ),
    Paper(
        losses.PNLoss,
        pn,
        [
            {"positive": p, "negative": n, "margin": m, "distance": d}
            for p, n, m, d in [
                ("hard", "semi-hard", None, "cosine"),
                ("hard", "semi-hard", 0.5, "euclidean"),
                ("hard", "hard", 0.2, "squared_euclidean"),
                ("hard", "easy", 5.0, "manhattan"),
                ("easy", "hard", None, "snr"),
                ("easy", "easy", 0.9, "cosine"),
            ]
        ],
        renamed=MINED,
        ties=False,
    ),
    Paper(
        losses.ContrastiveLoss,
        contrastive,
        [
            {},
            {"squared": True, "pos_margin": 0.3, "neg_margin": 1.1},
            {"distance": "euclidean", "neg_margin": 3.0, "squared": True},
            {"distance": "snr", "pos_margin": 0.2, "neg_margin": 1.7},
        ],
        learns_from=ONE_KIND,
    ),
    Paper(
        losses.SNRContrastiveLoss,
        snr_contrastive,
        [
            {},
            {"pos_margin": 0.4, "neg_margin": 2.5, "regularization_weight": 0.7},
            {"squared": True, "regularization_weight": 0.0},
        ],
        distances=(),
        learns_from=ONE_KIND,
    ),
    Paper(
        losses.ThresholdConsistentMarginLoss,
        threshold_consistent,
        [
            {},
            {"pos_margin": 0.6, "neg_margin": 0.1, "pos_weight": 2.0},
            {"distance": "snr", "pos_margin": 0.2, "neg_margin": -1.5},
            {"neg_weight": 0.3},
        ],
        learns_from=ONE_KIND,
    ),
    Paper(
        losses.MarginLoss,
        wu_margin,
        [
            {},
            {"distance": "cosine", "alpha": 0.3, "beta": 0.8},
            {"learn_beta": True, "nu": 0.4, "beta": 1.7},
            {"learn_beta": True, "nu": 0.1, "num_classes": 10},
        ],
        learns_from=ONE_KIND,
        targets="labels_ids",
    ),
    Paper(
        losses.LiftedStructureLoss,
        lifted,
        [
            {},
            {"margin": 0.3},
            {"distance": "cosine", "margin": 1.5},
            {"positive": "hard", "margin": 2.0},
            {"positive": "easy", "distance": "snr"},
        ],
        renamed=MINED,
    ),
    Paper(
        losses.LiftedStructLoss,
        lifted_struct,
        [
            {},
            {"positive": "all", "margin": 0.5},
            {"positive": "easy", "distance": "euclidean"},
        ],
        renamed=MINED,
    ),
    Paper(
        losses.GeneralizedLiftedStructureLoss,
        generalized_lifted,
        [
            {},
            {"margin": 2.0, "distance": "cosine"},
            {"margin": 0.2, "distance": "snr"},
        ],
    ),
]
