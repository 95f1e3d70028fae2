"""`evaluate_retrieval` beside what pytorch-metric-learning says of the same problems.

`tests/evaluators/peer_retrieval.py` wrote the figures in the peer's own environment and
says why the problems leave no room for the two places where definitions differ.
"""

import json
from pathlib import Path

import pytest

from tensorflow_similarity.evaluators import evaluate_retrieval, retrieval_ranking
from tests.evaluators.peer_retrieval import problem

HERE = Path(__file__).parent
FIGURES = json.loads((HERE / "peer_figures.json").read_text("utf-8"))["problems"]


def test_problems_are_of_every_kind():
    made = [problem(int(seed)) for seed in FIGURES]
    assert len(made) == 20
    outs = [leaves_out for *_, leaves_out in made]
    assert 5 < sum(outs) < 15
    assert any(len(items) != len(queries) for items, _, queries, _, _ in made)


@pytest.mark.parametrize("shallow", [128, 0])
@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("seed", FIGURES)
def test_agrees_with_the_peer(seed, average, shallow, monkeypatch):
    monkeypatch.setattr(retrieval_ranking, "_SHALLOW", shallow)
    items, labels, queries, asked, leaves_out = problem(int(seed))
    arguments = (items, labels) if leaves_out else (items, labels, queries, asked)
    found = evaluate_retrieval(
        *arguments, distance="euclidean", k=1, average=average, whole_ranking=True
    )
    for name, value in FIGURES[seed][average].items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
