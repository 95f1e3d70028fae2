"""Metric objects over what an index answered."""

import numpy as np
import pytest

from tensorflow_similarity.evaluators import evaluate_lookups
from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.retrieval_metrics import NDCG, PrecisionAtK, RecallAtK
from tensorflow_similarity.types import NO_LABEL, Lookup, Lookups

pytestmark = pytest.mark.backend_smoke


def answer(labels):
    index = Indexer(embedding_size=1, distance="euclidean", search="linear")
    index.batch_add([[0.0], [1.0], [3.0]], labels=labels)
    return index.batch_lookup([[0.1], [2.9]], k=3)


@pytest.mark.parametrize("labels", [[7, 8, 7], ["a", "b", "a"], [7, None, 7]])
def test_arrays_and_lists_of_lookups_say_the_same(labels):
    lookups = answer(labels)
    metrics = [RecallAtK(k=1), PrecisionAtK(k=3)]
    queries = [labels[0], labels[0]]
    found = evaluate_lookups(lookups, queries, metrics)
    assert found == {"recall@1": 1.0, "precision@3": pytest.approx(2 / 3)}
    assert evaluate_lookups(list(lookups), queries, metrics) == found
    assert all(isinstance(value, float) for value in found.values())


def test_missing_neighbours_match_nothing():
    # Their label happens to be that of the query.
    lookups = Lookups(
        ids=np.array([[3, -1]]),
        distances=np.array([[0.5, np.inf]], np.float32),
        labels=np.array([[NO_LABEL, 7]]),
    )
    assert evaluate_lookups(lookups, [7], RecallAtK(k=2)) == {"recall@2": 0.0}
    ragged = [[Lookup(1, 0.1, 7)], []]
    assert evaluate_lookups(ragged, [7, 7], RecallAtK(k=1)) == {"recall@1": 0.5}


def test_grades_in_place_of_matches():
    found = evaluate_lookups(
        answer([7, 8, 7]), [7, 7], NDCG(k=1), relevance=[[1, 0, 2], [4, 0, 2]]
    )
    assert found == {"graded_ndcg@1": pytest.approx((1 / 2 + 4 / 4) / 2)}


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ([[7], RecallAtK(k=1)], ValueError, "`query_labels` must hold one label"),
        ([[7, 7], RecallAtK(k=4)], ValueError, "needs at least k=4"),
        ([[7, 7], ["recall"]], TypeError, "`metrics` must be retrieval metrics"),
        ([[7, 7], None], TypeError, "`metrics` must be .* Received: None"),
        ([[7, 7], [RecallAtK(), RecallAtK()]], ValueError, "distinct names"),
        ([["a", "b"], RecallAtK(k=1)], TypeError, "of one kind"),
    ],
)
def test_bad_input_is_named(arguments, error, words):
    with pytest.raises(error, match=words):
        evaluate_lookups(answer([7, 8, 7]), *arguments)
