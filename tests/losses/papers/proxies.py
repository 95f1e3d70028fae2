"""Losses that compare each row with trained vectors of the classes."""

import cmath
import math

from tensorflow_similarity import losses

from . import Paper


def _unit(vector):
    length = cmath.sqrt(sum(a * a for a in vector))
    return (
        [a / length for a in vector] if length.real > 0 else [0.0 * a for a in vector]
    )


def _angle_cosine(a, b):
    return sum(x * y for x, y in zip(_unit(a), _unit(b), strict=True))


def _minus_log_softmax(logits, own):
    return cmath.log(sum(cmath.exp(z - logits[own]) for z in logits))


def _larger(values):
    return max(values, key=lambda v: complex(v).real)


def _scale(scale, n_classes):
    return math.sqrt(2) * math.log(n_classes - 1) if scale == "auto" else scale


def _each(labels, embeddings, loss_of):
    """`loss_of(label, row)` for each row with a known label."""
    return [
        None if y == -1 else loss_of(int(y), list(x))
        for y, x in zip(labels, embeddings, strict=True)
    ]


def normalized_softmax(labels, embeddings, weights, temperature=0.05):
    def loss_of(y, x):
        logits = [_angle_cosine(x, w) / temperature for w in weights["proxies"]]
        return _minus_log_softmax(logits, y)

    return _each(labels, embeddings, loss_of)


def cosface(labels, embeddings, weights, margin=0.35, scale=64.0):
    s = _scale(scale, len(weights["proxies"]))

    def loss_of(y, x):
        logits = [s * _angle_cosine(x, w) for w in weights["proxies"]]
        logits[y] = s * (_angle_cosine(x, weights["proxies"][y]) - margin)
        return _minus_log_softmax(logits, y)

    return _each(labels, embeddings, loss_of)


def sub_center_arcface(
    labels,
    embeddings,
    weights,
    sub_centers=3,
    margin=0.5,
    scale=64.0,
    margin_degrees=None,
):
    """By the angle itself; the class keeps it in cosines."""
    proxies = weights["proxies"]
    n_classes = len(proxies) // sub_centers
    s = _scale(scale, n_classes)
    m = margin if margin_degrees is None else margin_degrees * math.pi / 180

    def loss_of(y, x):
        cosines = [
            _larger(
                [
                    _angle_cosine(x, proxies[k * n_classes + c])
                    for k in range(sub_centers)
                ]
            )
            for c in range(n_classes)
        ]
        logits = [s * c for c in cosines]
        angle = cmath.acos(cosines[y])
        if angle.real < math.pi - m:
            logits[y] = s * cmath.cos(angle + m)
        else:
            logits[y] = s * (cosines[y] - m * math.sin(m))
        return _minus_log_softmax(logits, y)

    return _each(labels, embeddings, loss_of)


def arcface(labels, embeddings, weights, **case):
    return sub_center_arcface(labels, embeddings, weights, sub_centers=1, **case)


def proxy_nca(labels, embeddings, weights, temperature=1 / 9):
    def loss_of(y, x):
        logits = [
            -sum((a - b) * (a - b) for a, b in zip(_unit(x), _unit(w), strict=True))
            / temperature
            for w in weights["proxies"]
        ]
        return _minus_log_softmax(logits, y)

    return _each(labels, embeddings, loss_of)


def proxy_anchor(labels, embeddings, weights, margin=0.1, alpha=32.0):
    rows = [(int(y), x) for y, x in zip(labels, embeddings, strict=True) if y != -1]
    present = {y for y, _ in rows}
    pull = push = 0.0
    for c, w in enumerate(weights["proxies"]):
        cosines = [(y, _angle_cosine(x, w)) for y, x in rows]
        if c in present:
            own = sum(cmath.exp(-alpha * (s - margin)) for y, s in cosines if y == c)
            pull = pull + cmath.log(1 + own)
        others = sum(cmath.exp(alpha * (s + margin)) for y, s in cosines if y != c)
        push = push + cmath.log(1 + others)
    return pull / len(present) + push / len(weights["proxies"])


def soft_triple(
    labels,
    embeddings,
    weights,
    centers_per_class=10,
    scale=20.0,
    gamma=0.1,
    margin=0.01,
    tau=0.2,
):
    n = centers_per_class
    n_classes = len(weights["proxies"]) // n
    centers = [
        [_unit(w) for w in weights["proxies"][c::n_classes]] for c in range(n_classes)
    ]
    spread = 0.0
    for own in centers:
        for j in range(n):
            for k in range(j + 1, n):
                inner = sum(a * b for a, b in zip(own[j], own[k], strict=True))
                spread = spread + cmath.sqrt(2 - 2 * inner)
    if n > 1:
        spread = tau * spread / (n_classes * n * (n - 1))

    def loss_of(y, x):
        logits = []
        for c, own in enumerate(centers):
            cosines = [_angle_cosine(x, w) for w in own]
            shares = [cmath.exp(s / gamma) for s in cosines]
            soft = sum(p * s for p, s in zip(shares, cosines, strict=True))
            logits.append(scale * (soft / sum(shares) - (margin if c == y else 0)))
        return _minus_log_softmax(logits, y) + spread

    return _each(labels, embeddings, loss_of)


def _paper(loss, reading, cases):
    return Paper(
        loss,
        reading,
        cases,
        required={"num_classes": 10},
        distances=(),
        # A row needs a class, not a partner in the batch.
        learns_from=("one row", "one class", "no positives"),
        targets="labels",
        names_matter=True,
    )


PAPERS = [
    _paper(
        losses.NormalizedSoftmaxLoss, normalized_softmax, [{}, {"temperature": 0.4}]
    ),
    _paper(
        losses.CosFaceLoss,
        cosface,
        [{}, {"margin": 0.1, "scale": 7.0}, {"margin": 0.9, "scale": "auto"}],
    ),
    _paper(
        losses.ArcFaceLoss,
        arcface,
        [
            {},
            {"margin": 0.2, "scale": 7.0},
            {"margin": 2.0, "scale": "auto"},
            {"margin_degrees": 100.0, "scale": 5.0},
        ],
    ),
    _paper(
        losses.SubCenterArcFaceLoss,
        sub_center_arcface,
        [{}, {"sub_centers": 2, "margin": 1.5, "scale": 9.0}, {"sub_centers": 1}],
    ),
    _paper(losses.ProxyNCALoss, proxy_nca, [{}, {"temperature": 1.3}]),
    _paper(
        losses.ProxyAnchorLoss,
        proxy_anchor,
        [{}, {"margin": 0.4, "alpha": 5.0}, {"margin": 0.3, "alpha": 120.0}],
    ),
    _paper(
        losses.SoftTripleLoss,
        soft_triple,
        [
            {},
            {"centers_per_class": 2, "gamma": 0.5, "tau": 3.0},
            {"centers_per_class": 3, "gamma": 0.01},
            {"centers_per_class": 1, "scale": 4.0, "margin": 0.3},
        ],
    ),
]
