"""Planted faults are found, and the numbers are those of their definitions."""

import time
from math import exp, log, sqrt

import numpy as np
import pytest

from tensorflow_similarity import distances
from tensorflow_similarity.evaluators import embedding_health, health_spread


def clusters(seed, n=300, n_classes=6, dim=8, spread=0.3):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centres = generator.normal(size=(n_classes, dim))
    return centres[labels] + spread * generator.normal(size=(n, dim)), labels


def test_healthy_embeddings_have_no_warning():
    rows, labels = clusters(0, spread=0.15)
    found = embedding_health(rows, labels)
    assert found.warnings == []
    words = "None of these checks found anything."
    assert words in str(found) and words in found._repr_html_()
    assert found.near_duplicates == found.suspect_labels == found.zero == []
    assert found.numbers["n_classes"] == 6
    assert found.numbers["smallest_class"] == found.numbers["largest_class"] == 50


def test_numbers_agree_with_loops():
    rows, labels = clusters(1, n=40, n_classes=4)
    rows[5] = 0.0
    found = embedding_health(rows, labels).numbers
    unit = [row / sqrt((row**2).sum()) for i, row in enumerate(rows) if i != 5]
    given = [label for i, label in enumerate(labels) if i != 5]
    pairs = [(i, j) for i in range(39) for j in range(i)]
    squares = {(i, j): ((unit[i] - unit[j]) ** 2).sum() for i, j in pairs}
    expected = log(sum(exp(-2 * squares[pair]) for pair in pairs) / len(pairs))
    assert found["uniformity"] == pytest.approx(expected, abs=1e-5)
    same = [squares[i, j] for i, j in pairs if given[i] == given[j]]
    assert found["alignment"] == pytest.approx(sum(same) / len(same), abs=1e-5)
    values = np.linalg.svd(rows, compute_uv=False)
    shares = values / values.sum()
    expected = exp(-sum(share * log(share) for share in shares))
    assert found["effective_rank"] == pytest.approx(expected, rel=1e-5)
    all_unit = np.array([*unit[:5], np.zeros(8), *unit[5:]])
    expected = all_unit.std(axis=0).mean() * sqrt(8)
    assert found["relative_std"] == pytest.approx(expected, rel=1e-5)


def test_uniformity_of_drawn_pairs_is_near_that_of_all(monkeypatch):
    rows, _ = clusters(2, n=800)
    whole = embedding_health(rows).numbers["uniformity"]
    monkeypatch.setattr(health_spread, "_ALL_PAIRS", 100)
    monkeypatch.setattr(health_spread, "_DRAWN_PAIRS", 200_000)
    drawn = embedding_health(rows, seed=1).numbers["uniformity"]
    assert drawn == pytest.approx(whole, abs=0.02)
    assert drawn != whole
    assert drawn == embedding_health(rows, seed=1).numbers["uniformity"]
    assert drawn != embedding_health(rows, seed=2).numbers["uniformity"]


def test_flipped_labels_are_listed_the_surest_first():
    rows, labels = clusters(3, n=1000, n_classes=5)
    flipped = np.random.default_rng(0).choice(1000, 30, replace=False)
    given = labels.copy()
    given[flipped] = (labels[flipped] + 1) % 5
    ids = [f"item {i}" for i in range(1000)]
    found = embedding_health(rows, given, ids=ids)
    listed = {item.id for item in found.suspect_labels}
    planted = {f"item {i}" for i in flipped}
    assert planted <= listed
    assert len(listed - planted) <= 5
    by_id = {item.id: item for item in found.suspect_labels}
    for i in flipped:
        assert by_id[f"item {i}"].suggested == labels[i]
        assert by_id[f"item {i}"].label == given[i]
    shares = [item.share for item in found.suspect_labels]
    assert shares == sorted(shares, reverse=True) and min(shares) >= 0.7
    assert "the surest first" in found.faults["n_suspect_labels"]


def test_votes_are_counted_as_defined():
    # Class 1 has five items: an item of it is voted on by four neighbours. Item 4 lies
    # among class 0; of its four nearest all are of class 0.
    rows = [[0.0], [1.0], [2.0], [3.0], [1.4], [100.0], [101.0], [102.0], [103.0]]
    labels = ["a", "a", "a", "a", "b", "b", "b", "b", "b"]
    found = embedding_health(rows, labels, distance="euclidean", k=8)
    assert [item.id for item in found.suspect_labels] == [4]
    item = found.suspect_labels[0]
    assert (item.label, item.suggested, item.share, item.own_share) == ("b", "a", 1, 0)


def test_small_classes_and_items_without_a_label_are_not_doubted():
    rows, labels = clusters(4, n=200, n_classes=2)
    given = [f"class {label}" for label in labels]
    given[0] = None
    given[2] = given[4] = "two"
    given[6] = "one"
    found = embedding_health(rows, given)
    assert not {0, 2, 4, 6} & {item.id for item in found.suspect_labels}
    assert found.singletons == ["one"]
    assert found.numbers["n_unlabelled"] == 1
    assert "1 classes have one item" in found.faults["n_singletons"]


def test_duplicates_across_labels_are_listed_and_those_within_are_not():
    rows, labels = clusters(5)
    rows[10], rows[45] = rows[21], rows[200] * (1 + 1e-6)
    rows[12] = rows[18]  # of one class
    found = embedding_health(rows, labels, distance="euclidean")
    pairs = {(pair.id, pair.other_id) for pair in found.near_duplicates}
    assert pairs == {(10, 21), (45, 200)}
    first = found.near_duplicates[0]
    assert first.distance == 0.0
    assert (first.label, first.other_label) == (labels[10], labels[21])
    assert "4 items have one of another label" in str(found)


def test_a_duplicate_behind_many_of_the_own_class_is_found():
    rows, labels = clusters(6, n=120, n_classes=2)
    labels = np.array([0] * 60 + [1] * 60)
    rows[:60] = rows[0]
    rows[119] = rows[0]
    found = embedding_health(rows, labels, k=5, near_duplicate_distance=1e-9)
    assert len(found.near_duplicates) == 60
    assert {pair.other_id for pair in found.near_duplicates} == {119}


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
def test_near_duplicates_are_within_a_tenth_of_the_way_to_a_neighbour(distance):
    rows, labels = clusters(7)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = embedding_health(unit, labels, distance=distance)
    ways = np.linalg.norm(unit[:, None] - unit, axis=-1)
    np.fill_diagonal(ways, np.inf)
    limit = 0.1 * np.median(ways.min(axis=1))
    value = found.numbers["near_duplicate_distance"]
    way = {"cosine": sqrt(2 * value), "squared_euclidean": sqrt(value)}
    assert way.get(distance, value) == pytest.approx(limit, rel=1e-4)


def test_a_flat_dimension_is_listed():
    rows, labels = clusters(8)
    rows[:, 3] = 0.5 + 1e-6 * rows[:, 3]
    found = embedding_health(rows, labels)
    assert found.flat_dimensions == [3]
    assert "1 dimensions vary less" in found.faults["n_flat_dimensions"]


def test_a_collapse_to_a_point_is_said():
    rows, labels = clusters(9)
    found = embedding_health(1.0 + 1e-3 * rows, labels)
    assert {"relative_std", "uniformity", "effective_rank"} <= found.faults.keys()
    assert "Collapse" in str(found)


def test_a_collapse_to_a_line_is_said():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(200, 1)) * generator.normal(size=(1, 16))
    found = embedding_health(rows)
    assert found.numbers["effective_rank"] == pytest.approx(1.0, abs=1e-3)
    assert "fill 1 of 16 dimensions" in found.faults["effective_rank"]


def test_all_rows_equal_is_a_report_and_no_error():
    found = embedding_health(np.ones((50, 4)), np.arange(50) % 5)
    assert found.numbers["share_of_repeats"] == pytest.approx(49 / 50)
    assert found.numbers["relative_std"] == pytest.approx(0.0, abs=1e-6)
    assert {"share_of_repeats", "relative_std"} <= found.faults.keys()
    assert found.near_duplicates
    zeros = embedding_health(np.zeros((5, 4)), [1, 1, 2, 2, None])
    assert zeros.numbers["effective_rank"] == 0.0
    assert "uniformity" not in zeros.numbers
    assert "n_zero" in zeros.faults


def test_rows_that_are_not_finite_or_zero_are_named():
    rows, labels = clusters(10)
    clean = embedding_health(np.delete(rows, [4, 9], axis=0), np.delete(labels, [4, 9]))
    rows[4, 0], rows[9, 1] = np.nan, np.inf
    ids = np.arange(300) + 1000
    found = embedding_health(rows, labels, ids=ids)
    assert found.not_finite == [1004, 1009]
    assert "2 rows hold NaN" in found.faults["n_not_finite"]
    assert found.numbers["uniformity"] == clean.numbers["uniformity"]
    rows[17] = 0.0
    assert embedding_health(rows, labels, ids=ids).zero == [1017]


def test_hubs_are_said():
    # Neighbours of the corners of a simplex are its middle, which stands once.
    rows = np.concatenate([np.eye(60), np.full((1, 60), 1 / 60)])
    found = embedding_health(rows, distance="euclidean", k=1)
    assert found.numbers["share_of_anti_hubs"] > 0.9
    assert {"hubness_skewness", "share_of_anti_hubs"} <= found.faults.keys()


def test_unequal_classes_and_many_doubted_labels_are_said():
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(600, 4))
    labels = np.zeros(600, int)
    labels[::150] = 1
    assert (
        "means over classes" in (embedding_health(rows, labels).faults["largest_class"])
    )
    mixed = generator.integers(0, 5, 600)
    found = embedding_health(rows, mixed, k=3, label_vote=0.6)
    assert "embeddings rather than the labels" in found.faults["n_suspect_labels"]


def test_the_table_shows_numbers_words_and_first_items():
    rows, labels = clusters(11)
    rows[10] = rows[21]
    found = embedding_health(rows, [f"<b{label}>" for label in labels])
    text = str(found)
    assert text.startswith("Embedding health")
    assert "! items with a near-duplicate of another label" in text
    assert "10 ('<b4>') and 21 ('<b3>')" in text
    page = found._repr_html_()
    assert "&lt;b4&gt;" in page and "<b4>" not in page
    assert "items with a near-duplicate of another label" in page
    assert found.to_dict() == found.numbers
    assert found.to_dict() is not found.numbers


def test_without_labels_nothing_is_said_of_them():
    rows, _ = clusters(12)
    found = embedding_health(rows)
    assert not {"n_classes", "alignment", "n_suspect_labels"} & found.numbers.keys()
    assert "uniformity" in found.numbers


def test_more_neighbours_than_items_are_all_there_are():
    found = embedding_health([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [1, 1, 2], k=10)
    assert found.numbers["n_items"] == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"labels": [1]}, ValueError, "one label for each item"),
        ({"labels": [1.5, 2.0, 3.0]}, TypeError, "`labels` must be integers"),
        ({"ids": [1]}, ValueError, "`ids` must hold one"),
        ({"distance": "inner_product"}, ValueError, "0 between equal items"),
        ({"distance": None}, ValueError, "0 between equal items"),
        ({"k": 0}, ValueError, "`k` must be an integer of at least 1"),
        ({"near_duplicate_distance": -1.0}, ValueError, "a distance of at least 0"),
        ({"label_vote": 0.5}, ValueError, "above 0.5 and at most 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        embedding_health([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], **arguments)


def test_too_few_finite_rows_are_refused():
    with pytest.raises(ValueError, match=r"two finite rows. Received: 1 of 2"):
        embedding_health([[1.0, 0.0], [np.nan, 0.0]])


@pytest.mark.slow
def test_ten_thousand_items_take_seconds():
    rows, labels = clusters(13, n=10_000, n_classes=50, dim=64)
    start = time.process_time()
    embedding_health(rows, labels)
    assert time.process_time() - start < 60


def test_every_item_with_a_near_duplicate_is_counted_once():
    rows = np.random.default_rng(3).normal(size=(60, 4))
    rows[:30] = rows[0]
    found = embedding_health(rows, np.arange(60) % 3)
    assert found.numbers["n_near_duplicates"] == 30
    assert any("30 items have one of another label" in one for one in found.warnings)


def test_distances_by_any_name_or_as_objects():
    rows = np.random.default_rng(4).normal(size=(40, 4))
    wanted = embedding_health(rows, distance="euclidean").numbers
    for distance in ("l2", "Euclidean", distances.get("euclidean")):
        assert embedding_health(rows, distance=distance).numbers == wanted


def test_rows_that_cannot_be_measured_are_left_out():
    rows = np.random.default_rng(5).normal(size=(40, 4))
    rows[3], rows[7], rows[9, 1] = 1e18, -1e200, np.nan
    found = embedding_health(rows)
    assert found.not_finite == [3, 7, 9] and found.numbers["n_items"] == 37
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    rows[3], rows[7] = np.inf, 1e18
    with np.errstate(invalid="ignore"):
        assert embedding_health(rows.astype(bfloat16)).not_finite == [3, 7, 9]
    with pytest.raises(ValueError, match="rows of unequal length"):
        embedding_health([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("value", ["0.7", True, np.nan])
def test_numbers_of_another_kind_are_refused(value):
    rows = np.eye(4)
    with pytest.raises(ValueError, match="`label_vote` must be above 0.5"):
        embedding_health(rows, label_vote=value)
    with pytest.raises(ValueError, match="`near_duplicate_distance` must be a dist"):
        embedding_health(rows, near_duplicate_distance=value)
