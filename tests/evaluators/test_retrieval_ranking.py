"""The nearest items in order, by cutting and sorting all distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.evaluators import evaluate_retrieval, retrieval_ranking
from tensorflow_similarity.evaluators.retrieval_ranking import nearest_positions


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nearest_are_a_stable_sort(data):
    width = data.draw(st.integers(1, 12))
    value = st.sampled_from([-2.5, -1.0, -0.0, 0.0, 1e-30, 0.5, 3.0, float("inf")])
    row = st.lists(value, min_size=width, max_size=width)
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    depth = data.draw(st.integers(1, width))
    distances = np.array(rows, "float32")
    expected = np.argsort(distances, axis=1, kind="stable")[:, :depth]
    np.testing.assert_array_equal(nearest_positions(distances, depth), expected)


def test_nearest_of_many_are_a_sort():
    distances = np.random.default_rng(0).random((5, 5000)).astype("float32")
    expected = np.argsort(distances, axis=1, kind="stable")[:, :700]
    np.testing.assert_array_equal(nearest_positions(distances, 700), expected)


def test_collapsed_embeddings_rank_by_position():
    # All at one place: 300 others, the first 150 of the other class.
    items, labels = np.full((300, 7), 0.3), np.arange(300) // 150
    found = evaluate_retrieval(items, labels, k=1)
    assert found["r_precision"] == pytest.approx(0.5)
    assert found["precision_at_1"] == 0.5
    assert found["mean_reciprocal_rank"] == pytest.approx((1 + 1 / 151) / 2, abs=1e-3)


def test_blocks_shrink_with_the_items():
    assert retrieval_ranking.queries_per_block(1000) == 512
    assert retrieval_ranking.queries_per_block(60_000) == 139
    assert retrieval_ranking.queries_per_block(10**9) == 32


def test_works_without_threadpoolctl(monkeypatch):
    items = np.random.default_rng(1).normal(size=(600, 4))
    labels = np.arange(600) % 2
    expected = evaluate_retrieval(items, labels)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(retrieval_ranking.importlib, "import_module", missing)
    assert evaluate_retrieval(items, labels) == expected


def test_error_of_a_block_is_raised():
    def relevance(block):
        if len(block) < 600:
            raise ZeroDivisionError("mine")
        return np.ones((len(block), 600))

    items = np.random.default_rng(2).normal(size=(600, 4))
    with pytest.raises(ZeroDivisionError, match="mine"):
        evaluate_retrieval(items, relevance=relevance, batch_size=50)
