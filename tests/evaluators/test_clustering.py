"""Clustering scores and hubness, against their definitions."""

import numpy as np
import pytest

from tensorflow_similarity.evaluators import clustering_scores, hubness


def clusters(seed, n, n_classes, spread, dim=5):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centres = random.normal(size=(n_classes, dim))
    return centres[labels] + spread * random.normal(size=(n, dim)), labels


def entropy(*columns):
    _, counts = np.unique(np.stack(columns), axis=1, return_counts=True)
    shares = counts / counts.sum()
    return -(shares * np.log(shares)).sum()


def silhouette(items, labels, distance):
    scores = []
    for i, item in enumerate(items):
        means = {}
        for c in np.unique(labels):
            others = [j for j in range(len(items)) if labels[j] == c and j != i]
            if others:
                means[c] = np.mean([distance(item, items[j]) for j in others])
        if labels[i] not in means:
            scores.append(0.0)
            continue
        a = means.pop(labels[i])
        b = min(means.values())
        scores.append((b - a) / max(a, b))
    return np.mean(scores)


def test_clusters_apart_score_one():
    items, labels = clusters(0, 60, 4, 0.001)
    found = clustering_scores(items, labels)
    assert found["adjusted_mutual_information"] == pytest.approx(1.0)
    assert found["normalized_mutual_information"] == pytest.approx(1.0)
    assert found["silhouette"] > 0.95


def test_chance_scores_zero_when_adjusted_and_more_when_not():
    random = np.random.default_rng(1)
    found = clustering_scores(random.normal(size=(200, 5)), random.integers(0, 20, 200))
    assert abs(found["adjusted_mutual_information"]) < 0.1
    assert found["normalized_mutual_information"] > 0.2


def test_normalized_mutual_information_is_its_definition():
    items, labels = clusters(2, 90, 3, 0.8)
    from sklearn.cluster import KMeans

    found = KMeans(3, n_init=3, random_state=4).fit_predict(items.astype("float32"))
    information = entropy(labels) + entropy(found) - entropy(labels, found)
    expected = information / ((entropy(labels) + entropy(found)) / 2)
    scores = clustering_scores(items, labels, distance="euclidean", seed=4)
    assert 0.2 < expected < 0.95
    assert scores["normalized_mutual_information"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, distance",
    [
        ("euclidean", lambda q, x: np.sqrt(((q - x) ** 2).sum())),
        ("squared_euclidean", lambda q, x: ((q - x) ** 2).sum()),
        ("manhattan", lambda q, x: np.abs(q - x).sum()),
        (
            "cosine",
            lambda q, x: 1 - (q * x).sum() / np.sqrt((q**2).sum() * (x**2).sum()),
        ),
    ],
)
def test_silhouette_is_its_definition(name, distance):
    items, labels = clusters(3, 30, 3, 0.7)
    labels[0] = 9
    found = clustering_scores(items, labels, distance=name)["silhouette"]
    assert found == pytest.approx(silhouette(items, labels, distance), abs=1e-5)


def test_seed_decides_and_a_sample_stands_for_all():
    items, labels = clusters(4, 300, 3, 0.7)
    once = clustering_scores(items, labels, silhouette_size=150)
    assert clustering_scores(items, labels, silhouette_size=150) == once
    whole = clustering_scores(items, labels)
    assert once["silhouette"] == pytest.approx(whole["silhouette"], abs=0.1)
    assert once["silhouette"] != whole["silhouette"]


def test_edges_of_clustering():
    items, labels = clusters(5, 12, 3, 0.5)
    one = clustering_scores(items, np.zeros(12, int))
    assert len(one) == 3 and np.isnan(list(one.values())).all()
    alone = clustering_scores([[1.0]], ["a"], n_clusters=1)
    assert len(alone) == 3 and np.isnan(list(alone.values())).all()
    each = clustering_scores(items, np.arange(12))
    assert each["silhouette"] == 0.0
    given = [*labels[:10], None, None]
    known = clustering_scores(items[:10], labels[:10])
    assert clustering_scores(items, given) == known
    same = clustering_scores(np.ones((12, 2)), labels)
    assert same["adjusted_mutual_information"] == 0.0


@pytest.mark.parametrize(
    "arguments, options, words",
    [
        ([[[np.nan]], [1]], {}, "NaN"),
        ([[[1.0]], [1, 2]], {}, "`labels` must hold one label"),
        ([[[1.0]], [None]], {}, "`labels` must name the class"),
        ([[[1.0], [2.0]], [1, 2]], {"distance": "snr"}, "for clustering"),
        ([[[1.0], [2.0]], [1, 2]], {"n_clusters": 3}, "`n_clusters` must be"),
        ([[[1.0], [2.0]], [1, 2]], {"n_starts": 0}, "`n_starts` must be"),
        ([[[1.0], [2.0]], [1, 2]], {"silhouette_size": True}, "`silhouette_size`"),
        ([[[1.0], [2.0]], [1, 2]], {"silhouette_size": 2}, "of at least 3"),
        ([[[1.0], [2.0]], [1, 2]], {"seed": -1}, "`seed` must be"),
        (
            [np.arange(50.0)[:, None] + 1, [1] * 49 + [2]],
            {"silhouette_size": 3, "distance": "euclidean"},
            "are all of one class",
        ),
    ],
)
def test_bad_input_of_clustering_is_named(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        clustering_scores(*arguments, **options)


@pytest.mark.parametrize("k", [1, 4])
def test_hubness_is_its_definition(k):
    items = np.random.default_rng(6).normal(size=(50, 8)).astype("float32")
    counts = np.zeros(50)
    for i in range(50):
        gaps = ((items - items[i]) ** 2).sum(axis=1)
        gaps[i] = np.inf
        counts[np.argsort(gaps)[:k]] += 1
    found = hubness(items, k, distance="euclidean")
    cubes = ((counts - k) ** 3).mean()
    assert found == {
        "skewness": pytest.approx(cubes / counts.std() ** 3),
        "anti_hub_share": (counts == 0).mean(),
        "hub_share": counts.max() / (50 * k),  # 1 % of 50 is one item
        "largest": counts.max(),
    }


def test_many_dimensions_make_hubs():
    random = np.random.default_rng(7)
    flat = hubness(random.normal(size=(500, 2)), distance="euclidean")
    deep = hubness(random.normal(size=(500, 200)), distance="euclidean")
    assert abs(flat["skewness"]) < 1 < deep["skewness"]
    assert flat["anti_hub_share"] < deep["anti_hub_share"]


def test_pair_is_found_evenly():
    found = hubness([[0.0], [1.0]], k=10, distance="euclidean")
    assert found["skewness"] == found["anti_hub_share"] == 0.0
    assert found["largest"] == 1.0


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([[[1.0]]], "`embeddings` must be at least two"),
        ([[[1.0], [2.0]], 0], "`k` must be"),
        ([[[1.0], [np.inf]]], "NaN, infinity"),
    ],
)
def test_bad_input_of_hubness_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        hubness(*arguments)
