"""Open-set identification against loops over queries and thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.evaluators import evaluate_open_set
from tensorflow_similarity.types import NO_LABEL, Lookup, Lookups

INDEXED = [0, 1, 2, 3]


def lists(seed, n=60, k=5, levels=None):
    """Neighbours as (distance, label), nearest first, and the labels of queries."""
    generator = np.random.default_rng(seed)
    asked = generator.integers(0, 6, n).tolist()
    asked[:2] = 0, 5
    answers = []
    for label in asked:
        labels = generator.integers(0, 4, k)
        labels[: generator.integers(0, k)] = min(label, 3)
        distances = np.sort(generator.gamma(2.0 + (label > 3), size=k))
        if levels:
            distances = np.round(distances * levels) / levels
        n_found = generator.integers(0, k + 1) if generator.random() < 0.2 else k
        answers.append(
            list(zip(distances.tolist(), labels.tolist(), strict=True))[:n_found]
        )
    return answers, asked


def as_lookups(answers, k):
    shape = (len(answers), k)
    distances, labels = np.full(shape, np.inf, np.float32), np.full(shape, NO_LABEL)
    for i, row in enumerate(answers):
        for j, (distance, label) in enumerate(row):
            distances[i, j], labels[i, j] = distance, label
    return Lookups(ids=np.zeros(shape, int), distances=distances, labels=labels)


def reference(answers, asked, known, far, rank):
    """DIR at a FAR, the OSCR curve's area and the AUROC, from the definitions."""
    answers = [[(float(np.float32(d)), c) for d, c in row] for row in answers]
    nearest = [row[0][0] if row else np.inf for row in answers]
    k_queries = [i for i, is_known in enumerate(known) if is_known]
    u_queries = [i for i, is_known in enumerate(known) if not is_known]
    best = None
    for t in sorted({-np.inf, np.inf, *nearest}):
        if sum(nearest[i] <= t for i in u_queries) / len(u_queries) <= far:
            best = t
    hits = 0
    for i in k_queries:
        ranked = []
        for _, label in answers[i]:
            if label not in ranked:
                ranked.append(label)
        at = [d for d, label in answers[i] if label == asked[i]]
        hits += asked[i] in ranked[:rank] and at[0] <= best
    area = auroc = 0.0
    for i in k_queries:
        for j in u_queries:
            won = (nearest[i] < nearest[j]) + 0.5 * (nearest[i] == nearest[j])
            auroc += won
            area += won * bool(answers[i] and answers[i][0][1] == asked[i])
    n_pairs = len(k_queries) * len(u_queries)
    return hits / len(k_queries), area / n_pairs, auroc / n_pairs


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_definitions(seed, levels):
    answers, asked = lists(seed, levels=levels)
    found = evaluate_open_set(as_lookups(answers, 5), asked, indexed_labels=INDEXED)
    known = [label in INDEXED for label in asked]
    for far in (1.0, 0.5, 0.1):
        for rank in (1, 2, 5):
            expected = reference(answers, asked, known, far, rank)
            assert found.dir_at_far(far, rank) == pytest.approx(expected[0])
    assert found.oscr_area == pytest.approx(expected[1])
    assert found.auroc == pytest.approx(expected[2])
    assert (found.n_known, found.n_unknown) == (sum(known), 60 - sum(known))


def test_worked_by_hand():
    # Known: a right at 1, b right at 3, c wrong at 2 and right, as second class, at 4.
    # Unknown: at 2.5 and at 5.
    #   t      1    2   2.5   3    5
    #   FAR    0    0   1/2  1/2   1
    #   CCR   1/3  1/3  1/3  2/3  2/3
    answers = [
        [(1, 0), (9, 1), (9, 2)],
        [(3, 1), (9, 1), (9, 0)],
        [(2, 1), (3, 1), (4, 2)],
        [(2.5, 0), (9, 0), (9, 0)],
        [(5, 2), (9, 0), (9, 0)],
    ]
    lookups = as_lookups(answers, 3)
    found = evaluate_open_set(lookups, [0, 1, 2, 7, 8], indexed_labels=[2, 1, 0, 0])
    assert found.thresholds.tolist() == [-np.inf, 1, 2, 2.5, 3, 5, np.inf]
    np.testing.assert_allclose(found.far, [0, 0, 0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(found.ccr, np.array([0, 1, 1, 1, 2, 2, 2]) / 3)
    assert found.dir_at_far(0.5) == pytest.approx(2 / 3)
    assert found.threshold_at_far(0.5) == 3
    assert found.dir_at_far(1.0) == pytest.approx(2 / 3)
    assert found.dir_at_far(1.0, rank=2) == 1.0
    assert found.dir_at_far(0.5, rank=2) == pytest.approx(2 / 3)
    # a and c are nearer than both unknown ones, b than one of them.
    assert found.auroc == pytest.approx(5 / 6)
    assert found.oscr_area == pytest.approx(3 / 6)
    assert found.closed_set_accuracy == pytest.approx(2 / 3)


def test_equals_the_roc_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    answers, asked = lists(7)
    answers = [row or [(50.0, 0)] for row in answers]
    found = evaluate_open_set(as_lookups(answers, 5), asked, indexed_labels=INDEXED)
    known = [label in INDEXED for label in asked]
    nearest = [-np.float32(row[0][0]) for row in answers]
    assert found.auroc == pytest.approx(roc_auc_score(known, nearest))


def test_plain_lists_and_flags_and_strings_do_as_well():
    answers, asked = lists(8)
    expected = evaluate_open_set(as_lookups(answers, 5), asked, indexed_labels=INDEXED)
    plain = [
        [
            Lookup(rank=j + 1, distance=float(np.float32(distance)), label=str(label))
            for j, (distance, label) in enumerate(row)
        ]
        for row in answers
    ]
    known = np.array([label in INDEXED for label in asked])
    found = evaluate_open_set(plain, [str(label) for label in asked], known=known)
    assert found.summary() == expected.summary()


def test_neighbours_without_a_label_are_passed_over():
    labels = np.array([[NO_LABEL, 1, 2], [NO_LABEL, 2, 2]])
    distances = np.array([[0.1, 0.5, 0.6], [0.1, 0.7, 0.8]])
    lookups = Lookups(ids=labels, distances=distances, labels=labels)
    found = evaluate_open_set(lookups, [1, None], known=np.array([True, True]))
    assert found.known_distances.tolist() == [0.5]
    assert found.unknown_distances.tolist() == [0.7]
    assert found.dir_at_far(1.0) == 1.0


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_everything_is_a_share(data):
    n, k = data.draw(st.integers(2, 8)), data.draw(st.integers(1, 3))
    row = st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=0, max_size=k
    )
    answers = [sorted(r) for r in data.draw(st.lists(row, min_size=n, max_size=n))]
    asked = data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    asked[:2] = 0, 4
    lookups = as_lookups(answers, k)
    found = evaluate_open_set(lookups, asked, indexed_labels=[0, 1, 2])
    known = [label < 3 for label in asked]
    expected = reference(answers, asked, known, 1.0, 1)
    assert found.dir_at_far(1.0) == pytest.approx(expected[0])
    assert found.oscr_area == pytest.approx(expected[1])
    for value in (found.auroc, found.oscr_area, *found.far, *found.ccr):
        assert 0.0 <= value <= 1.0
    assert found.oscr_area <= found.auroc + 1e-12


def test_summary_and_refusals_of_rates_and_ranks():
    answers, asked = lists(9)
    found = evaluate_open_set(as_lookups(answers, 5), asked, indexed_labels=INDEXED)
    names = found.summary()
    assert names["dir_at_far_0.1"] == found.dir_at_far(0.1)
    assert "dir_at_far_0.01" not in names
    assert "auroc=" in repr(found)
    with pytest.raises(ValueError, match=r"0.001 cannot be .* unknown queries"):
        found.dir_at_far(0.001)
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        found.dir_at_far(0.0)
    with pytest.raises(ValueError, match="`rank` must be at most 5"):
        found.dir_at_far(0.5, rank=6)
    with pytest.raises(ValueError, match="`k` must be an integer of at least 1"):
        found.dir_at_far(0.5, rank=0)


@pytest.mark.parametrize(
    ("labels", "arguments", "error", "message"),
    [
        ([0, 5], {}, ValueError, "Received neither"),
        (
            [0, 5],
            {"indexed_labels": [0], "known": np.array([True, False])},
            ValueError,
            "Received both",
        ),
        ([0], {"indexed_labels": [0]}, ValueError, "`query_labels` must hold one"),
        (["a", "b"], {"indexed_labels": ["a"]}, TypeError, "must be of one kind"),
        ([0, 1], {"indexed_labels": [0, 1]}, ValueError, "2 known and 0 unknown"),
        ([0, 1], {"indexed_labels": [3]}, ValueError, "0 known and 2 unknown"),
        ([0, 5], {"known": [1, 0]}, TypeError, "`known` must be booleans"),
        ([0, 5], {"known": [True]}, ValueError, r"one boolean for each query, .*\(2,"),
    ],
)
def test_bad_arguments_are_refused(labels, arguments, error, message):
    lookups = as_lookups([[(0.1, 0)], [(0.2, 0)]], 1)
    with pytest.raises(error, match=message):
        evaluate_open_set(lookups, labels, **arguments)


def test_bad_lookups_are_refused():
    with pytest.raises(ValueError, match="at least one query with one neighbour"):
        evaluate_open_set([[], []], [0, 1], indexed_labels=[0])
    lookups = as_lookups([[(0.1, 0)], [(float("nan"), 0)]], 1)
    with pytest.raises(ValueError, match="NaN, first for query 1"):
        evaluate_open_set(lookups, [0, 1], indexed_labels=[0])


def test_lookups_and_labels_of_another_shape_are_refused():
    with pytest.raises(TypeError, match="`lookups` must be `Lookups`"):
        evaluate_open_set([[0.1]], [4], indexed_labels=[4])
    lookups = Lookups(np.array([[0]]), np.array([[0.1]]), np.array([[4]]))
    with pytest.raises(ValueError, match="`indexed_labels` must be the labels"):
        evaluate_open_set(lookups, [4], indexed_labels=4)
