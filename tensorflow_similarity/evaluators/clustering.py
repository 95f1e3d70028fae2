"""Whether classes are clusters."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.search.kernels import unit_rows
from tensorflow_similarity.types import NO_LABEL

_METRICS = {
    "cosine": "cosine",
    "euclidean": "euclidean",
    "squared_euclidean": "sqeuclidean",
    "manhattan": "manhattan",
}
_NAMES = ("adjusted_mutual_information", "normalized_mutual_information", "silhouette")


def clustering_scores(
    embeddings: Any,
    labels: Any,
    *,
    distance: Any = "cosine",
    n_clusters: int | None = None,
    n_starts: int = 3,
    silhouette_size: int = 5000,
    seed: int = 0,
) -> dict[str, float]:
    """How well clusters of the embeddings agree with the classes.

    k-means parts the embeddings into as many clusters as there are classes, then

        adjusted_mutual_information   = (I - E[I]) / (H - E[I])
        normalized_mutual_information = I / H
        silhouette                    = mean of (b - a) / max(a, b)

    with I the mutual information of classes and clusters, E[I] what chance gives, H the
    mean of their entropies; a is the mean distance of an item to its class and b to the
    nearest other class, so the silhouette needs no clusters. Mutual information without
    the adjustment rises with the number of clusters: compare it for equal numbers.

    Items without a label (None) are left out. One class alone has nothing to be parted
    from: all three are then NaN.

    Args:
        embeddings: shape (n, dim).
        labels: n integers or strings.
        distance: name of a distance or a `Distance`: "cosine", for which rows are
            brought to length 1, "euclidean", "squared_euclidean" or "manhattan".
            k-means itself compares squared Euclidean distances. Defaults to "cosine".
        n_clusters: int from 1 to n. Defaults to None: the number of classes.
        n_starts: how often k-means starts; the best counts. Defaults to 3.
        silhouette_size: items of the silhouette, at least 3, drawn if there are more:
            it compares all pairs. Defaults to 5000, about a second.
        seed: int, of k-means and the draw.

    Returns:
        The three floats by name; the first is at most 1 and about 0 by chance, the
        second in [0, 1], the third in [-1, 1].

    Raises:
        ValueError: for embeddings that are not finite, labels of another number, no
            labelled item, another distance, numbers out of range, or items drawn for
            the silhouette that are all of one class.
        ImportError: without scikit-learn.

    Example:
        >>> embeddings = [[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]]
        >>> scores = clustering_scores(embeddings, ["a", "a", "b", "b"])
        >>> scores["adjusted_mutual_information"]
        1.0

    Reference:
        Vinh, Epps and Bailey, "Information Theoretic Measures for Clusterings
        Comparison", JMLR 2010; Rousseeuw, "Silhouettes", 1987.
    """
    items = doors.as_embeddings(embeddings, None)
    given = doors.as_labels(labels, len(items))
    metric = _metric(distance, items.shape[1])
    known = np.array([label not in (None, NO_LABEL) for label in given.tolist()], bool)
    items = items[known]
    if not len(items):
        raise ValueError(
            "`labels` must name the class of one item at least. Received: "
            f"{len(given)} items, none with a label."
        )
    classes, codes = np.unique(given[known], return_inverse=True)
    n_clusters = len(classes) if n_clusters is None else n_clusters
    for name, value, most in (
        ("n_clusters", n_clusters, len(items)),
        ("n_starts", n_starts, None),
    ):
        doors.as_count(value, name, 1, most)
    doors.as_count(silhouette_size, "silhouette_size", 3)
    doors.as_count(seed, "seed", 0)
    if len(classes) < 2:
        return dict.fromkeys(_NAMES, float("nan"))
    if metric == "cosine":
        items = unit_rows(items)

    cluster = optional_import(
        "sklearn.cluster", purpose="Clustering", package="scikit-learn"
    )
    measures = optional_import(
        "sklearn.metrics", purpose="Clustering", package="scikit-learn"
    )
    # More clusters than distinct rows would make k-means warn.
    n_clusters = min(n_clusters, len(np.unique(items, axis=0)))
    means = cluster.KMeans(n_clusters, n_init=n_starts, random_state=seed)
    found = means.fit_predict(items)
    return {
        "adjusted_mutual_information": float(
            measures.adjusted_mutual_info_score(codes, found)
        ),
        "normalized_mutual_information": float(
            measures.normalized_mutual_info_score(codes, found)
        ),
        "silhouette": _silhouette(
            measures, items, codes, metric, silhouette_size, seed
        ),
    }


def _silhouette(
    measures: Any,
    items: np.ndarray,
    codes: np.ndarray,
    metric: str,
    size: int,
    seed: int,
) -> float:
    if len(items) > size:
        drawn = np.random.default_rng(seed).choice(len(items), size, replace=False)
        items, codes = items[drawn], codes[drawn]
    n_classes = len(np.unique(codes))
    if n_classes < 2:
        raise ValueError(
            f"The {size} items drawn for the silhouette are all of one class. Take a "
            f"larger `silhouette_size`, or another `seed`. Received: seed={seed}."
        )
    if n_classes == len(items):  # each alone in its class: 0 by definition
        return 0.0
    return float(measures.silhouette_score(items, codes, metric=metric))


def _metric(distance: Any, dim: int) -> str:
    name = LinearSearch(distance, dim).distance.name
    if name not in _METRICS:
        raise ValueError(
            f"`distance` must be one of {sorted(_METRICS)} for clustering. Received: "
            f"distance={name!r}."
        )
    return _METRICS[name]
