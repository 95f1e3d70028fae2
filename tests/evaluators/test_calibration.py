import json
import logging
import math
import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorflow_similarity._core import calibration_parts
from tensorflow_similarity.classification_metrics import (
    ClassificationMetric,
    make_classification_metric,
)
from tensorflow_similarity.evaluators import (
    calibrate,
    calibrate_distances,
    calibrate_lookups,
    match,
    match_lookups,
)
from tensorflow_similarity.evaluators.calibration import _neighbours
from tensorflow_similarity.evaluators.calibration_table import lines
from tensorflow_similarity.evaluators.threshold_intervals import wilson_interval
from tensorflow_similarity.evaluators.threshold_targets import as_targets
from tensorflow_similarity.matchers import MatchNearest
from tensorflow_similarity.types import Lookup, Lookups

DISTANCES = [0.1, 0.2, 0.3, 0.4, 0.5]
MATCHES = [True, True, False, True, False]


def drawn(n, seed, share=0.5):
    """Distances of right and wrong queries, overlapping."""
    rng = np.random.default_rng(seed)
    matches = rng.random(n) < share
    return rng.normal(np.where(matches, 0.3, 0.6), 0.1), matches


def test_every_distinct_distance_is_a_threshold_by_hand():
    results = calibrate_distances([0.2, 0.1, 0.2, 0.4, np.inf], [1, 1, 0, 1, 0])
    thresholds = results.thresholds
    assert thresholds["distance"].tolist() == [0.1, 0.2, 0.4]
    assert thresholds["precision"].tolist() == [1.0, 2 / 3, 3 / 4]
    assert thresholds["recall"].tolist() == [1 / 3, 2 / 3, 1.0]
    np.testing.assert_allclose(thresholds["f1"], [2 / 4, 4 / 6, 6 / 7])
    assert thresholds["value"].tolist() == thresholds["f1"].tolist()
    assert results.cutpoints == {
        "optimal": {
            "name": "optimal",
            "value": 6 / 7,
            "distance": 0.4,
            "f1": 6 / 7,
            "precision": 3 / 4,
            "recall": 1.0,
        }
    }
    kinds = {type(v) for v in results.cutpoints["optimal"].values()}
    assert kinds == {str, float}


def loop(distances, matches, metric, target):
    """Cutpoints from the definition, one threshold at a time."""
    thresholds = sorted({d for d in distances if math.isfinite(d)})
    values = []
    for t in thresholds:
        near = [d <= t and math.isfinite(d) for d in distances]
        pairs = list(zip(near, matches, strict=True))
        tp, fp = pairs.count((True, True)), pairs.count((True, False))
        fn, tn = pairs.count((False, True)), pairs.count((False, False))
        values.append(
            {
                "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
                "precision": tp / (tp + fp),
                "recall": tp / (tp + fn) if tp + fn else 0.0,
                "fpr": fp / (fp + tn) if fp + tn else 0.0,
            }[metric]
        )
    best = min(values) if metric == "fpr" else max(values)
    optimal = [t for t, v in zip(thresholds, values, strict=True) if v == best][-1]
    if not any(matches):  # so that nothing is to be accepted
        optimal = -math.inf
    good = [
        t
        for t, v in zip(thresholds, values, strict=True)
        if (v <= target if metric == "fpr" else v >= target)
    ]
    last = metric in ("fpr", "precision")
    return values, optimal, (good[-1 if last else 0] if good else None)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=25),
    st.sampled_from(["f1", "precision", "recall", "fpr"]),
    st.integers(0, 8),
)
def test_calibration_agrees_with_a_loop(rows, metric, eighths):
    distances = [math.inf if i == 6 else i / 4 for i, _ in rows]
    matches = [right and i < 6 for i, right in rows]
    if not any(map(math.isfinite, distances)):
        return
    results = calibrate_distances(
        distances, matches, {"t": eighths / 8}, metric, n_resamples=0
    )
    values, optimal, target = loop(distances, matches, metric, eighths / 8)
    assert results.thresholds["value"].tolist() == values
    assert results.cutpoints["optimal"]["distance"] == optimal
    assert results.cutpoints.get("t", {}).get("distance") == target
    assert results.achieved["t"]["reached"] == (target is not None)


def test_distance_rounding_rounds():
    results = calibrate_distances(
        [0.11, 0.14, 0.31], [1, 1, 0], distance_rounding=1, n_resamples=0
    )
    assert results.thresholds["distance"].tolist() == [0.1, 0.3]
    # And `match` compares on the same grid: 0.14 is at the threshold.
    assert results.cutpoints["optimal"]["distance"] == 0.1
    assert match_lookups([[Lookup(1, 0.14, 7)]], results) == [7]
    assert match_lookups([[Lookup(1, 0.16, 7)]], results) == [-1]


@pytest.mark.parametrize(
    ("words", "distance"),
    [("fpr<=0.5", 0.4), ("precision >= 0.6", 0.5), ("recall ≥ 0.6", 0.2), ("f1", 0.4)],
)
def test_words_choose_the_useful_end(words, distance):
    repeated = np.repeat(DISTANCES, 100), np.repeat(MATCHES, 100)
    results = calibrate_distances(*repeated, words, n_resamples=0)
    name = words.replace(" ", "")
    assert results.cutpoints[name]["distance"] == distance
    metric = results.achieved[name]["metric"]
    assert results.cutpoints[name]["value"] == results.cutpoints[name][metric]


def test_achieved_says_value_and_of_how_many():
    repeated = np.repeat(DISTANCES, 100), np.repeat(MATCHES, 100)
    targets = {"few": "fpr<=0.5", "sure": "precision>=0.7", "found": 0.9}
    results = calibrate_distances(*repeated, targets, "recall", n_new=50)
    few, sure, found = (results.achieved[name] for name in targets)
    assert (few["value"], few["n"], few["metric"]) == (0.5, 200.0, "fpr")
    assert (sure["value"], sure["n"]) == (0.75, 400.0)
    assert (found["value"], found["n"], found["metric"]) == (1.0, 300.0, "recall")
    for entry in (few, sure, found):
        assert entry["low"] <= entry["value"] <= entry["high"]
        assert entry["n_new"] == 50 and entry["supported"]


def test_intervals_are_seeded_and_narrow_with_more_queries():
    def width(n, **options):
        distances, matches = drawn(n, seed=1)
        options = {"n_resamples": 200, **options}
        entry = calibrate_distances(distances, matches, "fpr<=0.1", **options)
        entry = entry.achieved["fpr<=0.1"]
        return entry["high"] - entry["low"]

    assert width(1000) == width(1000)
    assert width(1000) != width(1000, seed=1)
    assert width(4000) < 0.7 * width(1000)
    assert width(1000, n_new=100) > 1.5 * width(1000)
    assert width(1000, confidence=0.5) < 0.6 * width(1000)


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.5])
def test_intervals_of_many_queries_are_those_of_theory(rate):
    distances, matches = drawn(300_000, seed=7)
    results = calibrate_distances(distances, matches, {"t": rate}, "fpr")
    entry = results.achieved["t"]
    # Two samples vary, that of the threshold and the new one.
    half = 1.96 * np.sqrt(2 * rate * (1 - rate) / entry["n"])
    assert entry["low"] == pytest.approx(rate - half, abs=0.2 * half)
    assert entry["high"] == pytest.approx(rate + half, abs=0.2 * half)


@pytest.mark.parametrize(
    "words",
    [
        "fpr<=0.05",
        *(
            pytest.param(words, marks=pytest.mark.slow)
            for words in ("precision>=0.9", "recall>=0.8", "f1")
        ),
    ],
)
def test_intervals_hold_on_other_queries(words):
    inside = 0
    for seed in range(50):
        distances, matches = drawn(400, seed=seed)
        results = calibrate_distances(
            distances, matches, words, extra_metrics=(), n_resamples=100
        )
        entry = results.achieved[words]
        limit = results.cutpoints[words]["distance"]
        others, right = drawn(400, seed=1000 + seed)
        near = others <= limit
        tp, fp = np.sum(near & right), np.sum(near & ~right)
        counts = (tp, fp, np.sum(~near & ~right), np.sum(~near & right))
        counts = [np.array([float(c)]) for c in counts] + [400]
        value = make_classification_metric(entry["metric"]).compute(*counts)[0]
        inside += entry["low"] <= value <= entry["high"]
    # 95 % of 50 are 47.5; fewer than 43 come in one of fifty such tests.
    assert inside >= 43


def test_no_failure_seen_is_not_no_failure():
    distances = np.concatenate([np.full(500, 0.1), np.linspace(0.5, 0.9, 500)])
    results = calibrate_distances(distances, np.arange(1000) < 500, "fpr<=0.01")
    entry = results.achieved["fpr<=0.01"]
    assert results.cutpoints["optimal"]["distance"] == 0.1
    assert entry["high"] > 3 / 500
    best = calibrate_distances(distances, np.arange(1000) < 500, "fpr")
    assert best.achieved["fpr"]["value"] == 0.0
    assert best.achieved["fpr"]["high"] >= wilson_interval(0.0, 500, 0.95)[1]


def test_wilson_by_hand():
    # z = 1.96, n = 100, 0 of them: z^2 / (n + z^2).
    low, high = wilson_interval(0.0, 100, 0.95)
    assert low == 0.0 and high == pytest.approx(3.8415 / 103.8415, rel=1e-4)


def test_a_mapping_says_what_it_could_not_do(caplog):
    with caplog.at_level(logging.WARNING):
        results = calibrate_distances(
            DISTANCES, MATCHES, {"high": 0.99, "low": 0.5}, "precision"
        )
    assert results.achieved["high"]["reached"]
    assert not results.achieved["high"]["supported"]
    assert "'high' (precision>=0.99) is not supported" in caplog.text
    results = calibrate_distances(DISTANCES[::-1], MATCHES, {"high": 0.9}, "precision")
    assert "high" not in results.cutpoints
    assert results.achieved["high"]["value"] == 0.6
    with pytest.raises(ValueError, match="'high'.* is not reached .*best is"):
        results.cutpoint("high")


def test_targets_may_name_words():
    metric = make_classification_metric("f1")
    (target,) = as_targets({"strict": " precision >= 0.9 "}, metric)
    assert target.name == "strict" and target.metric.name == "precision"
    assert target.n_needed() == 30
    assert as_targets("fpr<=0.001", metric)[0].n_needed() == 3000
    assert as_targets("f1", metric)[0].n_needed() == 1


def test_own_metric_calibrates():
    class Accepted(ClassificationMetric):
        def __init__(self, name="accepted"):
            super().__init__(name, "accepted")

        def compute(self, tp, fp, tn, fn, count):
            return (tp + fp) / count

    results = calibrate_distances(DISTANCES, MATCHES, {"half": 0.5}, Accepted(), [])
    assert results.cutpoints["half"]["distance"] == 0.3
    assert results.cutpoints["optimal"]["accepted"] == 1.0
    assert results.achieved["half"]["low"] <= 0.6 <= results.achieved["half"]["high"]


def test_labels_with_enough_queries_get_cutpoints_of_their_own():
    # "a" lies near, "b" far; of "c" there are too few.
    near, is_near = drawn(400, seed=2)
    far, is_far = drawn(400, seed=3)
    distances = np.concatenate([near, far + 1, [0.1] * 8])
    matches = np.concatenate([is_near, is_far, [True] * 8])
    labels = ["a"] * 400 + ["b"] * 400 + ["c"] * 8
    results = calibrate_distances(
        distances, matches, "fpr<=0.1", matched_labels=labels, n_resamples=0
    )
    for name in ("optimal", "fpr<=0.1"):
        alone = calibrate_distances(near, is_near, "fpr<=0.1", n_resamples=0)
        own = results.class_cutpoints[name]
        assert own["a"]["own"] and own["b"]["own"] and not own["c"]["own"]
        assert own["a"]["distance"] == alone.cutpoints[name]["distance"]
        assert own["c"]["distance"] == results.cutpoints[name]["distance"]
        assert [own[label]["n"] for label in "abc"] == [400, 400, 8]
    between = results.class_cutpoints["optimal"]["a"]["distance"] + 0.3
    asked = [[Lookup(1, between, label)] for label in "abc"]
    assert match_lookups(asked, results, no_match_label="no") == ["no", "b", "c"]


def embedded(seed=0, n=60):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = 3 * np.eye(4)[labels]
    return (centres + rng.normal(size=(n, 4))).astype("float32"), labels


def test_plain_embeddings_calibrate_and_match():
    items, labels = embedded()
    queries, asked = embedded(1)
    asked[:6] = 9  # of no indexed class
    queries[:6] += 200
    results = calibrate(
        items, labels, queries, asked, distance="euclidean", k=3,
        matcher="match_majority_vote", thresholds_targets={"some": 0.5},
    )  # fmt: skip
    found = match(items, labels, queries, results, distance="euclidean")
    assert found[:6] == [-1] * 6
    assert all(type(label) is int for label in found)
    every = match(items, labels, queries, results, "all", 99, distance="euclidean")
    assert set(every) == {"optimal", "some"} and 99 in every["optimal"]
    # By hand, from the three nearest.
    gaps = np.linalg.norm(queries[:, None] - items[None], axis=2)
    for row, label in zip(gaps, every["some"], strict=True):
        order = row.argsort()[:3]
        votes = labels[order].tolist()
        winner = max(votes, key=lambda v: (votes.count(v), -votes.index(v)))
        near = min(d for d, v in zip(row[order], votes, strict=True) if v == winner)
        limit = results.cutpoints["some"]["distance"]
        if abs(near - limit) > 1e-5:
            assert label == (winner if near < limit else 99)


def test_items_are_left_out_of_their_own_answers():
    items, labels = embedded()
    items[1] = items[0]  # a copy, of another class, is no self-match
    results = calibrate(items, labels, distance="euclidean")
    gaps = np.linalg.norm(items[:, None] - items[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    expected = np.unique(gaps.min(axis=1))
    found = results.thresholds["distance"]
    assert found[0] == 0.0 and found.max() == pytest.approx(expected.max(), rel=1e-5)
    nearest = labels[gaps.argmin(axis=1)] == labels
    recall = results.thresholds["recall"]
    assert results.thresholds["precision"][-1] == pytest.approx(nearest.mean())
    assert recall[-1] == 1.0


def test_lists_of_lookups_of_unequal_lengths_do():
    rows = [[Lookup(1, 0.1, "a"), Lookup(2, 0.2, "b")], [Lookup(1, 0.3, "b")], []]
    results = calibrate_lookups(["a", "b", "c"], rows)
    assert results.cutpoints["optimal"]["distance"] == pytest.approx(0.3)
    assert match_lookups(rows, results, no_match_label="none") == ["a", "b", "none"]
    assert match_lookups([], results) == []
    assert match_lookups([], results, "all") == {"optimal": []}


def test_parts_come_back():
    distances, matches = drawn(400, seed=4)
    labels = np.arange(400) % 2
    results = calibrate_distances(
        distances, matches, "fpr<=0.1", matched_labels=labels, probability="isotonic"
    )
    again = calibration_parts.from_parts(*calibration_parts.to_parts(results))
    assert again.cutpoints == results.cutpoints
    assert again.achieved == results.achieved
    assert again.class_cutpoints == results.class_cutpoints
    assert again.settings == results.settings
    for name, values in results.thresholds.items():
        np.testing.assert_array_equal(again.thresholds[name], values)
    np.testing.assert_array_equal(
        again.probability(distances), results.probability(distances)
    )
    facts, arrays = calibration_parts.to_parts(results)
    with pytest.raises(ValueError, match="newer than 1"):
        calibration_parts.from_parts({**facts, "format": 2}, arrays)


def test_the_table_says_it_all():
    repeated = np.repeat(DISTANCES, 100), np.repeat(MATCHES, 100)
    labels = np.repeat([1, 1, 1, 2, 2], 100)
    results = calibrate_distances(
        *repeated, {"unreached": 1.1}, matched_labels=labels
    )  # fmt: skip
    text = "\n".join(lines(results, digits=3))
    assert "optimal" in text and "distance 0.4" in text and "f1 0.857" in text
    assert "of 500 others" in text and "2 of 2 labels have their own" in text
    assert "'unreached' (f1>=1.1) is not reached" in text


def test_a_million_distances_take_memory_of_their_number():
    distances, matches = drawn(100_000, seed=6)
    tracemalloc.start()
    calibrate_distances(distances, matches, "fpr<=0.01")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Forty numbers a query, and the blocks of the intervals.
    assert peak < 100_000 * 8 * 40 + 150e6


ONE = [[Lookup(1, 0.1, 1)], [Lookup(1, 0.2, 1)]]


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: calibrate_distances([0.1], [1, 0]), ValueError, "for each of n"),
        (lambda: calibrate_distances([], []), ValueError, "for each of n queries"),
        (lambda: calibrate_distances([np.nan, 1], [1, 0]), ValueError, "NaN in 1 of 2"),
        (lambda: calibrate_distances(["x"], [1]), ValueError, "must be numbers"),
        (lambda: calibrate_distances([0.1], [3]), ValueError, "true or false"),
        (lambda: calibrate_distances([np.inf], [0]), ValueError, "no query has a nei"),
        (
            lambda: calibrate_distances([0.1], [1], calibration_metric="typo"),
            ValueError,
            "Unknown metric 'typo'",
        ),
        (lambda: calibrate_distances([0.1], [1], "typo<=1"), ValueError, "Unknown met"),
        (lambda: calibrate_distances([0.1], [1], "fpr<0.1"), ValueError, "in words is"),
        (lambda: calibrate_distances([0.1], [1], "fpr>=0.1"), ValueError, "'fpr<=0.1'"),
        (lambda: calibrate_distances([0.1], [1], "recall<=1"), ValueError, "when high"),
        (lambda: calibrate_distances([0.1], [1], "fpr<=x"), ValueError, "a number"),
        (lambda: calibrate_distances([0.1], [1], 0.9), TypeError, "must be words"),
        (lambda: calibrate_distances([0.1], [1], {1: 0.9}), TypeError, "as names"),
        (lambda: calibrate_distances([0.1], [1], [0.9]), TypeError, "as names"),
        (
            lambda: calibrate_distances([0.1], [1], {"optimal": 0.9}),
            ValueError,
            "are taken",
        ),
        (lambda: calibrate_distances([0.1], [1], ["f1", "f1"]), ValueError, "of its o"),
        (
            lambda: calibrate_distances(DISTANCES, MATCHES, "fpr<=0.001"),
            ValueError,
            "share of 2 queries here, and it takes at least 3,000",
        ),
        (
            lambda: calibrate_distances(DISTANCES, MATCHES, "recall>=1"),
            ValueError,
            "any number of queries",
        ),
        (
            lambda: calibrate_distances([0.1, 0.2], [0, 1], "precision>=0.9"),
            ValueError,
            "not reached by any threshold: the best is precision=0.5",
        ),
        (
            lambda: calibrate_distances([0.1], [1], n_resamples=-1),
            ValueError,
            "`n_resamples` must be an integer of at least 0",
        ),
        (lambda: calibrate_distances([0.1], [1], n_new=0), ValueError, "`n_new`"),
        (lambda: calibrate_distances([0.1], [1], confidence=95), ValueError, "between"),
        (
            lambda: calibrate_distances([0.1], [1], distance_rounding=0.5),
            ValueError,
            "`distance_rounding`",
        ),
        (
            lambda: calibrate_distances([0.1], [1], distance_rounding=400),
            ValueError,
            "`distance_rounding` must be an integer of at least 0 and at most 15",
        ),
        (lambda: calibrate_distances([0.1], [1], seed="a"), ValueError, "`seed` must"),
        (lambda: calibrate_distances([0.1], [1], seed=-1), ValueError, "`seed` must"),
        (
            lambda: calibrate([[1.0]], [1], foo=3),
            TypeError,
            "`calibrate` takes no argument 'foo'",
        ),
        (
            lambda: calibrate_lookups([1], ONE, matched_labels=[1]),
            TypeError,
            "`per_class=True` makes cutpoints",
        ),
        (
            lambda: match([[1.0]], [1], [[1.0]], None),
            TypeError,
            "must be what `calibrate` returned. Received: NoneType",
        ),
        (
            lambda: match_lookups(
                ONE, calibrate_distances(DISTANCES, MATCHES), ["optimal"]
            ),
            TypeError,
            "`cutpoint` must be the name",
        ),
        (
            lambda: calibrate_distances(
                [0.1], [1], "f1", make_classification_metric("f1", "distance")
            ),
            ValueError,
            "cannot be called 'distance'",
        ),
        (lambda: calibrate_lookups([1, 1], ONE), ValueError, "one label 1,"),
        (lambda: calibrate_lookups([1], ONE), ValueError, "one label for each"),
        (lambda: calibrate_lookups(["a", "b"], ONE), TypeError, "of one kind"),
        (lambda: calibrate_lookups([], []), ValueError, "Received: 0 queries"),
        (lambda: calibrate_lookups([1], "x"), TypeError, "must be `Lookups`"),
        (
            lambda: calibrate_lookups([1], [[Lookup(1, 0.1)]]),
            ValueError,
            "No neighbour has a label",
        ),
        (lambda: calibrate([[1.0]], [1]), ValueError, "nothing to search"),
        (
            lambda: calibrate([[1.0]], [1], [[1.0]]),
            ValueError,
            "belong together",
        ),
        (
            lambda: calibrate([[np.nan]], [1], [[1.0]], [1]),
            ValueError,
            "Received NaN",
        ),
        (
            lambda: match_lookups(
                ONE, calibrate_distances(DISTANCES, MATCHES), "typo"
            ),
            ValueError,
            r"no cutpoint 'typo'. The known ones are \['optimal'\]",
        ),
    ],
)  # fmt: skip
def test_wrong_use_is_said(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_nothing_right_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        results = calibrate_distances([0.1, 0.2], [False, False])
    assert "None of 2 queries" in caplog.text
    assert results.cutpoints["optimal"]["distance"] == -math.inf
    assert results.cutpoints["optimal"]["precision"] == 0.0
    assert not results.achieved["optimal"]["supported"]
    assert not results.achieved["optimal"]["reached"]
    assert match_lookups([[Lookup(1, 0.0, 7)]], results) == [-1]
    with pytest.raises(ValueError, match="None of 2 queries .* 'f1' accepts nothing"):
        calibrate_distances([0.1, 0.2], [False, False], "f1")


def test_a_label_that_cannot_bear_a_target_has_the_common_cutpoint():
    # 60 queries of "a", 30 of them wrong: a rate of 0.02 takes 150 wrong ones.
    near, is_near = drawn(2000, seed=5)
    labels = ["a"] * 60 + ["b"] * 1940
    is_near[:60] = np.arange(60) % 2 == 0
    results = calibrate_distances(
        near, is_near, "fpr<=0.02", matched_labels=labels, n_resamples=0
    )
    own = results.class_cutpoints["fpr<=0.02"]
    assert own["b"]["own"] and not own["a"]["own"]
    assert own["a"]["distance"] == results.cutpoints["fpr<=0.02"]["distance"]
    assert results.class_cutpoints["optimal"]["a"]["own"]


def test_intervals_of_shares_stay_shares():
    for words in ("fpr<=0.5", "recall>=0.5", "precision>=0.5"):
        found = calibrate_distances(*drawn(40, seed=6), words).achieved[words]
        few = calibrate_distances(*drawn(40, seed=6), words, n_new=2).achieved[words]
        for entry in (found, few):
            assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1


def test_a_share_of_nothing_says_nothing():
    # Of one new query often none is wrong: the rate of the others decides.
    found = calibrate_distances(*drawn(60, seed=7), "fpr<=0.3", n_new=1)
    entry = found.achieved["fpr<=0.3"]
    assert np.isfinite([entry["low"], entry["high"]]).all()


def test_signs_need_no_spaces():
    for words in ("fpr≤0.4", "fpr ≤ 0.4", "recall≥0.5"):
        (target,) = as_targets(words, make_classification_metric("f1"))
        assert target.name == words.replace(" ", "")
        assert target.value == float(words[-3:])


def test_settings_are_plain_numbers():
    results = calibrate_lookups(
        [1, 2],
        [[Lookup(1, 0.1, 1)], [Lookup(1, 0.2, 1)]],
        k=np.int64(1),
        n_new=np.int32(7),
        distance_rounding=np.int64(6),
        confidence=np.float32(0.5),
        seed=np.uint8(3),
        n_resamples=np.int64(5),
    )
    facts, _ = calibration_parts.to_parts(results)
    assert json.loads(json.dumps(facts))["settings"]["k"] == 1


def test_match_takes_the_distance_and_the_k_of_the_calibration():
    items, labels = embedded()
    results = calibrate(items, labels, distance="l2", k=1, n_resamples=0)
    queries = items[:9] + np.float32(0.3)
    found = match(items, labels, queries, results)
    assert found == match(items, labels, queries, results, distance="euclidean")
    assert found != [-1] * 9
    with pytest.raises(ValueError, match="holds for the distance 'euclidean'"):
        match(items, labels, queries, results, distance="cosine")
    # Two of three are of another class, but one neighbour was calibrated on.
    rows = [[Lookup(1, 0.0, 1), Lookup(2, 0.1, 2), Lookup(3, 0.1, 2)]]
    vote = "match_majority_vote"
    assert match_lookups(rows, results, matcher=vote) == [1]
    assert match_lookups(rows, results, matcher=vote, k=3) == [2]


def test_queries_without_neighbours_match_nothing():
    results = calibrate_distances(DISTANCES, MATCHES)
    assert match_lookups([[], []], results) == [-1, -1]
    assert match_lookups([[], []], results, "all") == {"optimal": [-1, -1]}
    assert match_lookups([[], [Lookup(1, 0.05, 3)]], results) == [-1, 3]
    for nobody in ([], np.zeros((0, 2))):
        assert match([[0.0, 1.0]], [1], nobody, results) == []


def test_the_closest_neighbours_alone_calibrate():
    rows = [[Lookup(1, 0.1, 1), Lookup(2, 0.2, 2), Lookup(3, 0.2, 2)]] * 2
    found = calibrate_lookups([1, 2], rows, matcher="match_majority_vote", k=1)
    assert found.thresholds["recall"].tolist() == [1.0]
    assert found.thresholds["precision"].tolist() == [0.5]
    assert found.thresholds["distance"].tolist() == pytest.approx([0.1])


def test_an_item_that_copies_push_out_of_its_answer_keeps_its_nearest():
    # Of four equal rows two are found for each, so two do not find themselves.
    found = _neighbours(np.ones((4, 2)), [1, 1, 2, 2], None, None, "cosine", 1)
    assert found.ids.shape == (4, 1) and (found.ids[:, 0] != np.arange(4)).all()


class Unregistered(MatchNearest):
    def __init__(self, name="own", take=2):
        super().__init__(name)
        self.take = take

    def derive_match(self, lookup_labels, lookup_distances):
        labels, distances = super().derive_match(lookup_labels, lookup_distances)
        return labels * self.take, distances


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(Unregistered):
    pass


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Unregistered, "lacks 'take'"), (Forgetful, "lacks 'take'")],
)
def test_a_matcher_of_ones_own_matches_as_it_was_given(kind, words):
    rows = [[Lookup(1, 0.1, 1)], [Lookup(1, 0.2, 1)]]
    results = calibrate_lookups([3, 4], rows, matcher=kind(take=3))
    assert match_lookups(rows, results) == [3, -1]
    with pytest.raises(ValueError, match=f"its matcher could not.*{words}"):
        calibration_parts.to_parts(results)


def test_a_metric_that_keras_does_not_know_is_not_saved():
    class Accepted(ClassificationMetric):
        def __init__(self, name="accepted"):
            super().__init__(name, "accepted")

        def compute(self, tp, fp, tn, fn, count):
            return (tp + fp) / count

    results = calibrate_distances(DISTANCES, MATCHES, None, Accepted())
    with pytest.raises(ValueError, match="its metric could not be made again. Keras"):
        calibration_parts.to_parts(results)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_metric_without_a_best_is_named(bad):
    class Lift(ClassificationMetric):
        def compute(self, tp, fp, tn, fn, count):
            return np.where(fp > 0, tp, bad)

    with pytest.raises(ValueError, match="'lift' must compute one finite value"):
        calibrate_distances(DISTANCES, MATCHES, None, Lift("lift"))


def test_missing_neighbours_of_lookups_do_not_count():
    found = np.array([[True], [False], [True]])
    distances = np.array([[0.1], [np.inf], [0.3]], np.float32)
    lookups = Lookups(np.array([[0], [-1], [1]]), distances, np.array([[1], [2], [1]]),
                      found)  # fmt: skip
    results = calibrate_lookups([1, 2, 3], lookups)
    assert results.thresholds["distance"].size == 2
    # The second has no neighbour: not even one of its own class.
    assert results.thresholds["recall"].tolist() == [1.0, 1.0]
