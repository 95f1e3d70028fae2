import collections

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorflow_similarity import matchers
from tensorflow_similarity.matchers import (
    ClassificationMatch,
    MatchDistanceWeightedVote,
    MatchMajorityVote,
    MatchNearest,
    make_classification_matcher,
)
from tensorflow_similarity.types import NO_LABEL

ALL = [MatchNearest, MatchMajorityVote, MatchDistanceWeightedVote]
INF = np.inf


def derive(matcher, labels, distances):
    found, near = matcher.match(np.array(labels), np.array(distances))
    return found.tolist(), near.tolist()


def test_nearest_gives_the_first_neighbour():
    rows = [[3, 4], [5, 4]], [[0.1, 0.2], [0.3, 0.3]]
    assert derive(MatchNearest(), *rows) == ([3, 5], [0.1, 0.3])


def test_majority_has_the_distance_of_the_winners_nearest():
    # Of all k the mean would be 0.3, the nearest of all 0.1.
    assert derive(MatchMajorityVote(), [[7, 3, 3]], [[0.1, 0.2, 0.6]]) == ([3], [0.2])


def test_a_tie_goes_to_the_nearest():
    rows = [[7, 3, 3, 7]], [[0.1, 0.2, 0.3, 0.4]]
    assert derive(MatchMajorityVote(), *rows) == ([7], [0.1])
    equal = [[9, 2]], [[0.5, 0.5]]
    assert derive(MatchDistanceWeightedVote(), *equal) == ([9], [0.5])


def test_padding_never_votes():
    labels = [[7, NO_LABEL, NO_LABEL], [NO_LABEL] * 3]
    distances = [[0.1, INF, INF], [INF] * 3]
    for kind in (MatchMajorityVote, MatchDistanceWeightedVote):
        assert derive(kind(), labels, distances) == ([7, NO_LABEL], [0.1, INF])
    # Nor where the padding carries a label of its own, as TF Similarity had it.
    padded = [[7, 0x7FFFFFFF, 0x7FFFFFFF]], [[0.1, INF, INF]]
    assert derive(MatchMajorityVote(), *padded) == ([7], [0.1])


def test_neighbours_without_a_label_do_not_vote():
    labels = np.array([[None, None, "b"], ["a", "b", "b"]], object)
    rows = labels, [[0.1, 0.2, 0.3]] * 2
    assert derive(MatchMajorityVote(), *rows) == (["b", "b"], [0.3, 0.2])
    assert derive(MatchNearest(), *rows) == ([None, "a"], [INF, 0.1])


def test_weighted_vote_weighs_as_dudani_does():
    rows = [[7, 3, 3, 5]], [[0.1, 0.8, 0.9, 1.0]]
    assert derive(MatchDistanceWeightedVote(), *rows) == ([7], [0.1])
    # 3 weighs 8/9 + 7/9 against 1, and below zero as above.
    rows = [[7, 3, 3, 5]], [[-1.0, -0.9, -0.8, -0.1]]
    assert derive(MatchDistanceWeightedVote(), *rows) == ([3], [-0.9])


def test_minus_one_is_a_class_like_any_other():
    rows = [[-1, -1, 3]], [[0.1, 0.2, 0.3]]
    assert derive(MatchMajorityVote(), *rows) == ([-1], [0.1])


def loop(kind, labels, distances):
    """The rule read once more, one query at a time."""
    found = []
    for row, far in zip(labels, distances, strict=True):
        pairs = [(d, x) for d, x in zip(far, row, strict=True) if np.isfinite(d)]
        if not pairs:
            found.append((NO_LABEL, INF))
            continue
        first, last = pairs[0][0], pairs[-1][0]
        votes = collections.defaultdict(float)
        for d, x in pairs:
            weight = 1.0
            if kind is MatchDistanceWeightedVote and last > first:
                weight = (last - d) / (last - first)
            votes[x] += weight
        best = max(round(v, 9) for v in votes.values())
        winner = next((x, d) for d, x in pairs if round(votes[x], 9) == best)
        found.append(pairs[0][::-1] if kind is MatchNearest else winner)
    return found


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 7), st.integers(1, 4)
)
def test_matchers_agree_with_a_loop(seed, n, k, n_classes):
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=(n, k))
    # Few values: ties and copies.
    distances = np.sort(rng.integers(4, size=(n, k)) / 4, axis=1)
    hidden = np.arange(k) >= rng.integers(0, k + 1, size=(n, 1))
    labels[hidden], distances[hidden] = NO_LABEL, INF
    for kind in ALL:
        found = derive(kind(), labels, distances)
        assert list(zip(*found, strict=True)) == loop(kind, labels, distances)


def test_rows_out_of_order_are_ordered():
    rows = [[1, 2]], [[0.4, 0.2]]
    assert derive(MatchNearest(), *rows) == ([2], [0.2])


def test_blocks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=(50, 5))
    distances = np.sort(rng.random((50, 5)), axis=1)
    whole = derive(MatchMajorityVote(), labels, distances)
    from tensorflow_similarity.matchers import votes

    monkeypatch.setattr(votes, "_BLOCK_NEIGHBOURS", 15)
    assert derive(MatchMajorityVote(), labels, distances) == whole


def test_counts_by_hand():
    matcher = MatchNearest()
    matcher.compile(distance_thresholds=[0.35, 0.1])  # sorted
    labels = np.array(["a", "b", "a", None], object)
    neighbours = np.array([["a"], ["b"], ["b"], ["a"]], object)
    matcher.compute_count(labels, neighbours, [[0.1], [0.4], [0.3], [0.2]])
    assert matcher.distance_thresholds.tolist() == [0.1, 0.35]
    assert matcher.tp.tolist() == [1.0, 1.0]
    assert matcher.fn.tolist() == [1.0, 1.0]
    assert matcher.fp.tolist() == [0.0, 2.0]
    assert matcher.tn.tolist() == [2.0, 0.0]
    assert matcher.count == 4


def test_without_thresholds_every_query_with_a_neighbour_is_accepted():
    matcher = MatchNearest()
    matcher.compile()
    matcher.compute_count([1, 1], [[1], [NO_LABEL]], [[1e9], [INF]])
    assert matcher.tp.tolist() == [1.0]
    assert matcher.tn.tolist() == [1.0]


def test_custom_matcher_may_answer_in_one_axis():
    class Last(ClassificationMatch):
        def derive_match(self, lookup_labels, lookup_distances):
            return lookup_labels[:, -1], lookup_distances[:, -1]

    assert derive(Last(), [[1, 2]], [[0.1, 0.2]]) == ([2], [0.2])


@pytest.mark.parametrize("kind", ALL)
def test_matchers_are_known_by_name(kind):
    canonical = kind().canonical_name
    for name in (canonical, canonical.removeprefix("match_"), canonical.upper()):
        assert type(make_classification_matcher(name)) is kind
    mine = kind("mine")
    assert make_classification_matcher(mine) is mine
    again = matchers.deserialize(matchers.serialize(mine))
    assert type(again) is kind and again.name == "mine"


@keras.saving.register_keras_serializable(package="tests")
class Own(ClassificationMatch):
    def __init__(self, name="own", power=2):
        super().__init__(name, "own_match")
        self.power = power

    def derive_match(self, lookup_labels, lookup_distances):
        return lookup_labels[:, :1], lookup_distances[:, :1]

    def get_config(self):
        return {**super().get_config(), "power": self.power}


def test_matcher_of_ones_own_comes_back():
    again = matchers.deserialize(matchers.serialize(Own(power=3)))
    assert type(again) is Own and again.power == 3


def bad_shapes():
    class Wrong(ClassificationMatch):
        def derive_match(self, lookup_labels, lookup_distances):
            return lookup_labels, lookup_distances

    Wrong().match([[1, 2]], [[0.1, 0.2]])


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: make_classification_matcher("typo"), ValueError, "match_nearest"),
        (lambda: make_classification_matcher(3), TypeError, "`matcher` must be a name"),
        (lambda: MatchNearest().tp, AttributeError, "compute_count"),
        (lambda: MatchNearest().count, AttributeError, "compute_count"),
        (lambda: MatchNearest().match([1], [0.1]), ValueError, r"\(n_queries, k\)"),
        (
            lambda: MatchNearest().match([[1]], [[0.1, 0.2]]),
            ValueError,
            r"shape \(1, 2\)",
        ),
        (lambda: MatchNearest().match([[1]], [[np.nan]]), ValueError, "NaN in 1 of 1"),
        (lambda: MatchNearest().match([[1]], [["x"]]), ValueError, "must be numbers"),
        (
            lambda: MatchNearest().judge([1, 2], [[1]], [[0.1]]),
            ValueError,
            "`query_labels` must hold one label for each",
        ),
        (
            lambda: MatchNearest().judge(["a"], [[1]], [[0.1]]),
            TypeError,
            "queries are strings",
        ),
        (lambda: MatchNearest().compile([np.nan]), ValueError, "none of them NaN"),
        (lambda: MatchNearest().compile([[0.1]]), ValueError, "one or more numbers"),
        (bad_shapes, ValueError, "`derive_match` of Wrong"),
        (
            lambda: matchers.deserialize({"class_name": "No", "config": {}}),
            ValueError,
            "a matcher that Keras knows",
        ),
        (
            lambda: matchers.deserialize(
                keras.saving.serialize_keras_object(keras.layers.Dense(1))
            ),
            ValueError,
            "a description of Dense",
        ),
    ],
)
def test_wrong_use_is_said(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
