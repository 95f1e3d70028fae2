"""The papers in plain Python loops: float64, no code shared with the package.

Everything takes complex numbers as well, comparing by the real part, so that
`gradient` can differentiate by the complex step: f'(x) = Im f(x + ih) / h, exact to
rounding, without the cancellation of finite differences.
"""

import cmath

import numpy as np


def gradient(fn, x, step=1e-30):
    """The gradient at `x`, float64, of a scalar `fn` written with complex care."""
    x = np.asarray(x, "float64")
    result = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        shifted = x.astype(complex)
        shifted[index] += 1j * step
        result[index] = complex(fn(shifted)).imag / step
    return result


def _real(z):
    return complex(z).real


def _dot(a, b):
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total = total + x * y
    return total


def _unit(a):
    squared = _dot(a, a)
    return (
        [x / cmath.sqrt(squared) for x in a] if _real(squared) > 0 else [0.0] * len(a)
    )


def _variance(a):
    mean = sum(a) / len(a)
    return sum((x - mean) * (x - mean) for x in a) / len(a)


def cosine(q, k):
    value = 1.0 - _dot(_unit(q), _unit(k))
    return value if _real(value) > 0 else 0.0


def squared_euclidean(q, k):
    return sum((x - y) * (x - y) for x, y in zip(q, k, strict=True))


def euclidean(q, k):
    squared = squared_euclidean(q, k)
    return cmath.sqrt(squared) if _real(squared) > 0 else 0.0


def manhattan(q, k):
    total = 0.0
    for x, y in zip(q, k, strict=True):
        gap = x - y
        if _real(gap) > 0:
            total = total + gap
        elif _real(gap) < 0:
            total = total - gap
    return total


def inner_product(q, k):
    return -_dot(q, k)


def snr(q, k):
    noise = _variance([x - y for x, y in zip(q, k, strict=True)])
    signal = _variance(list(q))
    return noise / signal if _real(signal) > 1e-12 else noise


DISTANCES = {
    "cosine": cosine,
    "euclidean": euclidean,
    "squared_euclidean": squared_euclidean,
    "manhattan": manhattan,
    "inner_product": inner_product,
    "snr": snr,
}


def matrix(distance, query, key):
    """Distances of all rows; complex if the rows are."""
    rows = [[DISTANCES[distance](q, k) for k in key] for q in query]
    kind = complex if np.iscomplexobj(query) or np.iscomplexobj(key) else float
    if kind is float:
        rows = [[_real(d) for d in row] for row in rows]
    return np.array(rows, kind)


def _same_and_other(labels, i):
    same = [j for j in range(len(labels)) if j != i and labels[j] == labels[i]]
    other = [j for j in range(len(labels)) if labels[j] != labels[i]]
    return same, other


def triplet(
    labels,
    embeddings,
    distance="cosine",
    positive="hard",
    negative="semi-hard",
    margin=None,
):
    """One loss an anchor, None where there is no triplet."""
    d = matrix(distance, embeddings, embeddings)
    losses = []
    for i in range(len(labels)):
        same, other = _same_and_other(labels, i)
        if not same or not other:
            losses.append(None)
            continue
        ranked = sorted((d[i, j] for j in same), key=_real)
        d_ap = ranked[-1] if positive == "hard" else ranked[0]
        ranked = sorted((d[i, j] for j in other), key=_real)
        if negative == "hard":
            d_an = ranked[0]
        elif negative == "easy":
            d_an = ranked[-1]
        else:
            farther = [x for x in ranked if _real(x) > _real(d_ap)]
            d_an = farther[0] if farther else ranked[-1]
        if margin is None:
            losses.append(cmath.log(1.0 + cmath.exp(d_ap - d_an)))
        else:
            hinge = d_ap - d_an + margin
            losses.append(hinge if _real(hinge) > 0 else 0.0)
    return losses


def multi_similarity(
    labels,
    embeddings,
    distance="cosine",
    alpha=2.0,
    beta=40.0,
    epsilon=0.1,
    lmda=0.5,
    center=1.0,
):
    """One loss an anchor, None where no pair is kept."""
    d = matrix(distance, embeddings, embeddings)
    losses = []
    for i in range(len(labels)):
        same, other = _same_and_other(labels, i)
        if not same or not other:
            losses.append(None)
            continue
        nearest = min(_real(d[i, j]) for j in other)
        farthest = max(_real(d[i, j]) for j in same)
        same = [j for j in same if _real(d[i, j]) > nearest - epsilon]
        other = [j for j in other if _real(d[i, j]) < farthest + epsilon]
        if not same and not other:
            losses.append(None)
            continue
        pull = sum(cmath.exp(alpha * (d[i, j] + lmda - center)) for j in same)
        push = sum(cmath.exp(-beta * (d[i, j] + lmda - center)) for j in other)
        losses.append(cmath.log(1.0 + pull) / alpha + cmath.log(1.0 + push) / beta)
    return losses


def mean(losses, sample_weight=None):
    """The mean over anchors that have a loss, each times its sample weight."""
    weights = [1.0] * len(losses) if sample_weight is None else sample_weight
    terms = [w * x for w, x in zip(weights, losses, strict=True) if x is not None]
    total = sum(terms) / len(terms) if terms else 0.0
    return total if np.iscomplexobj(total) and complex(total).imag else _real(total)
