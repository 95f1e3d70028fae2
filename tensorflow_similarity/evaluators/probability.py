"""From a distance to the probability that the label found there is right."""

from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.evaluators.judged_distances import as_judged
from tensorflow_similarity.types import ProbabilityCurve

METHODS = ("isotonic", "platt")


def fit_probability(
    distances: Any, matches: Any, method: str = "isotonic"
) -> ProbabilityCurve:
    """The probability that the label found at a distance is right, from judged queries.

    Isotonic: the falling curve that fits the shares best; it has whatever shape the
    data have, and wants some hundreds of queries. Platt: 1 / (1 + exp(-(a d + b))), two
    numbers, for few queries; labels are smoothed as Platt does, so that even of queries
    that are told apart without an error none is certain.

    Infinite distances, queries without a neighbour, are left out.

    Args:
        distances: of the queries to what they were given, shape (n,).
        matches: bool, shape (n,): whether that was right.
        method: "isotonic" or "platt". Defaults to "isotonic", which assumes least.

    Returns:
        A function of distances, kept as plain arrays: a saved one needs no
        scikit-learn.

    Raises:
        ValueError: for another method, unequal lengths, NaN, or queries that are all
            right or all wrong.

    Example:

    >>> curve = fit_probability([0.1, 0.2, 0.3, 0.4], [True, True, False, True])
    >>> curve([0.1, 0.35]).tolist()
    [1.0, 0.5]

    Reference:
        Platt, "Probabilistic Outputs for Support Vector Machines", 1999; Zadrozny and
        Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability
        Estimates", KDD 2002.
    """
    if method not in METHODS:
        raise ValueError(
            f"`method` must be one of {list(METHODS)}. Received: method={method!r}."
        )
    given, right = as_judged(distances, matches)
    found = np.isfinite(given)
    given, right = given[found], right[found]
    n_right = int(right.sum())
    if n_right in (0, len(right)):
        raise ValueError(
            "A probability needs queries that were told right and others that were "
            f"told wrong. Received: {n_right} right, {len(right) - n_right} wrong."
        )
    if method == "isotonic":
        return _isotonic(given, right)
    return _platt(given, right)


def _isotonic(distances: np.ndarray, right: np.ndarray) -> ProbabilityCurve:
    sklearn = optional_import(
        "sklearn.isotonic", purpose="A probability curve", package="scikit-learn"
    )
    fitted = sklearn.IsotonicRegression(increasing=False, out_of_bounds="clip")
    fitted.fit(distances, right.astype(np.float64))
    parameters = {
        "distances": np.asarray(fitted.X_thresholds_, np.float64),
        "probabilities": np.asarray(fitted.y_thresholds_, np.float64),
    }
    return ProbabilityCurve("isotonic", parameters)


def _platt(distances: np.ndarray, right: np.ndarray) -> ProbabilityCurve:
    sklearn = optional_import(
        "sklearn.linear_model", purpose="A probability curve", package="scikit-learn"
    )
    n_right, n_wrong = right.sum(), (~right).sum()
    sure = np.where(right, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
    middle, spread = distances.mean(), distances.std() or 1.0
    scaled = ((distances - middle) / spread)[:, None]
    # A label that is right for a part is two labels with weights.
    fitted = sklearn.LogisticRegression(C=np.inf, max_iter=1000).fit(
        np.concatenate([scaled, scaled]),
        np.repeat([1, 0], len(scaled)),
        np.concatenate([sure, 1 - sure]),
    )
    slope = fitted.coef_[0, 0] / spread
    intercept = fitted.intercept_[0] - slope * middle
    parameters = {"slope": np.float64(slope), "intercept": np.float64(intercept)}
    return ProbabilityCurve("platt", {k: np.asarray(v) for k, v in parameters.items()})
