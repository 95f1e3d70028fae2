"""What `search="auto"` picks, says, keeps and reads again."""

import importlib.util
import json
import logging
import sys

import numpy as np
import pytest

from tensorflow_similarity import distances, search
from tensorflow_similarity.search import AutoSearch, LinearSearch, auto_search

FIND_SPEC = importlib.util.find_spec


def rows_of(n, dim=8, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def installed(monkeypatch):
    """Says which engines are installed; those asked for must be."""

    def say(*names):
        def find_spec(name, *args):
            if name not in ("scann", "nmslib", "faiss"):
                return FIND_SPEC(name, *args)
            return FIND_SPEC("json") if name in names else None

        for name in names:
            pytest.importorskip(name)
        monkeypatch.setattr(importlib.util, "find_spec", find_spec)

    return say


def made(name, rows, force=True, **kwargs):
    subject = AutoSearch(name, dim=rows.shape[1], **kwargs)
    subject.batch_add(rows, np.arange(len(rows)), build=False)
    return subject.build(force=force)


def said(subject):
    return subject.describe([part.structure for part in subject._state.segments])


@pytest.mark.parametrize(
    ("here", "name", "many", "expected"),
    [
        (["scann", "nmslib", "faiss"], "cosine", True, "scann for 400 rows"),
        (["scann", "nmslib", "faiss"], "euclidean", True, "scann for 400 rows"),
        (["scann", "nmslib", "faiss"], "cosine", False, "nmslib for 400 rows"),
        (["scann", "nmslib", "faiss"], "manhattan", True, "nmslib for 400 rows"),
        (["nmslib"], "cosine", True, "nmslib for 400 rows"),
        (["faiss"], "manhattan", True, "faiss for 400 rows"),
        (["scann", "faiss"], "cosine", False, "faiss for 400 rows"),
        (["scann"], "cosine", False, "exact"),
        (["nmslib"], "snr", True, "exact"),
        ([], "cosine", True, "exact"),
    ],
)
def test_picks_by_size_distance_and_what_is_there(
    here, name, many, expected, installed, monkeypatch
):
    installed(*here)
    monkeypatch.setattr(auto_search, "_MANY_ROWS", 300 if many else 500)
    rows = rows_of(400)
    subject = made(name, rows)
    assert said(subject) == expected
    assert subject.is_built() == (expected != "exact")
    ids, found = subject.batch_lookup(rows[:20], 5)
    linear = LinearSearch(name, dim=8)
    linear.batch_add(rows, np.arange(400))
    true, values = linear.batch_lookup(rows[:20], 5)
    assert (ids == true).mean() > 0.9
    np.testing.assert_allclose(found[ids == true], values[ids == true], atol=1e-5)


def test_scann_is_for_rows_of_one_length(installed, monkeypatch):
    installed("scann", "nmslib")
    monkeypatch.setattr(auto_search, "_MANY_ROWS", 300)
    rows = rows_of(400) * np.linspace(1, 2, 400, dtype=np.float32)[:, None]
    assert said(made("euclidean", rows)) == "nmslib for 400 rows"
    assert said(made("cosine", rows)) == "scann for 400 rows"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert said(made("cosine", rows)) == "nmslib for 400 rows"


def test_small_indexes_are_searched_exactly(installed):
    subject = made("cosine", rows_of(400), force=False)
    assert not subject.is_built() and said(subject) == "exact"
    installed("nmslib")
    assert AutoSearch("cosine", dim=64)._wants_structure(31_250)
    assert not AutoSearch("cosine", dim=64)._wants_structure(31_249)
    assert not AutoSearch("snr", dim=64)._wants_structure(10**7)


def test_several_structures_are_told_together():
    picked = [auto_search._Picked("nmslib", n, None) for n in (40_000, 2_000)]
    picked.insert(0, auto_search._Picked("scann", 1_000_000, None))
    text = AutoSearch("cosine", dim=4).describe(picked)
    assert text == "scann for 1,000,000 rows, nmslib for 42,000"


@pytest.mark.parametrize("name", ["scann", "nmslib", "faiss"])
def test_a_saved_search_answers_alike(name, installed, monkeypatch, tmp_path):
    installed(name)
    monkeypatch.setattr(auto_search, "_MANY_ROWS", 300)
    rows = rows_of(400)
    subject = made("cosine", rows)
    subject.save(tmp_path / "a")
    loaded = AutoSearch("cosine", dim=8)
    loaded.load(tmp_path / "a")
    assert said(loaded) == f"{name} for 400 rows"
    pairs = zip(
        loaded.batch_lookup(rows, 5), subject.batch_lookup(rows, 5), strict=True
    )
    for now, then in pairs:
        np.testing.assert_array_equal(now, then)


def test_a_structure_of_a_missing_engine_is_left_out(
    installed, monkeypatch, tmp_path, caplog
):
    installed("scann")
    monkeypatch.setattr(auto_search, "_MANY_ROWS", 300)
    made("cosine", rows_of(400)).save(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "scann", None)
    loaded = AutoSearch("cosine", dim=8)
    with caplog.at_level(logging.WARNING):
        loaded.load(tmp_path / "a")
    assert "pip install tensorflow_similarity[scann]" in caplog.text
    assert not loaded.is_built()
    assert loaded.batch_lookup(rows_of(400), 1)[0].ravel().tolist() == list(range(400))


def test_an_engine_that_is_not_known_is_refused(tmp_path):
    (tmp_path / "engine.json").write_text('{"engine": "annoy"}')
    with pytest.raises(ValueError, match="names an engine 'annoy' that is not known"):
        AutoSearch("cosine", dim=8)._load(tmp_path, 9)


def test_configuration_goes_through_keras_and_json():
    subject = search.get("auto", "l2", 3)
    again = search.get(json.loads(json.dumps(search.serialize(subject))))
    assert type(again) is AutoSearch and again.get_config() == subject.get_config()


def test_a_distance_of_the_user_own_is_searched_exactly():
    class Halved(distances.CosineDistance):
        def call(self, query, key):
            return super().call(query, key) / 2

    assert not made(Halved(), rows_of(50)).is_built()
