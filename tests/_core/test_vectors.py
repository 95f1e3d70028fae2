"""Rows in blocks, seen through views that never change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity._core import vectors as module
from tensorflow_similarity._core.vectors import Vectors, rows_per_block


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 64)


@pytest.mark.parametrize("dim", [0, 1, 3, 64, 100, 4096, 10**6])
def test_blocks_hold_a_power_of_two_within_their_bytes(dim):
    height = rows_per_block(dim)
    assert height & (height - 1) == 0 and height >= 16
    assert height == 16 or 4 * dim * height <= module._BLOCK_BYTES


STEP = st.tuples(st.integers(0, 9), st.booleans(), st.integers(0, 40))


@settings(deadline=None)
@given(st.lists(STEP, max_size=14), st.integers(0, 2**31))
def test_any_tree_of_changes_keeps_every_view(steps, seed):
    """Each step appends to, or removes from, one of the views made so far."""
    generator = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", 64)
        views = [(Vectors(2), np.zeros((0, 2), np.float32), np.zeros(0, bool))]
        for parent, remove, n in steps:
            view, rows, dead = views[parent % len(views)]
            if remove:
                alive = np.flatnonzero(~dead)
                gone = generator.permutation(alive)[:n]
                dead = dead.copy()
                dead[gone] = True
                views.append((view.remove(gone), rows, dead))
            else:
                new = generator.normal(size=(n, 2)).astype(np.float32)
                rows = np.concatenate([rows, new])
                dead = np.concatenate([dead, np.zeros(n, bool)])
                views.append((view.append(new), rows, dead))
        for view, rows, dead in views:
            check(view, rows, dead)


def check(view, rows, dead):
    assert (view.size, view.n_dead) == (len(rows), dead.sum())
    assert view.n_alive == len(rows) - dead.sum()
    np.testing.assert_array_equal(view.alive_rows(), np.flatnonzero(~dead))
    np.testing.assert_array_equal(view.take(np.arange(view.size)), rows)
    for start in (0, len(rows) // 2, len(rows)):
        parts = view.blocks(start)
        firsts = [first for first, _, _ in parts]
        assert firsts == sorted(firsts) and (not parts or firsts[0] == start)
        joined = [part for _, part, _ in parts]
        if joined:
            np.testing.assert_array_equal(np.concatenate(joined), rows[start:])
            squares = np.concatenate([square for _, _, square in parts])
            expected = (rows[start:].astype(float) ** 2).sum(axis=1)
            np.testing.assert_allclose(squares, expected, rtol=1e-6)
        else:
            assert start == len(rows)


def test_rows_are_taken_in_any_order_and_shape(small_blocks):
    rows = np.arange(200, dtype=np.float32).reshape(100, 2)
    view = Vectors(2).append(rows)
    wanted = np.array([[99, 0, 17], [16, 15, 99]])
    np.testing.assert_array_equal(view.take(wanted), rows[wanted])
    taken = view.take(np.arange(3))
    taken[:] = 0
    assert view.take(np.arange(3)).any()


def test_appending_shares_full_blocks(small_blocks):
    view = Vectors(2).append(np.ones((40, 2), np.float32))
    later = view.append(np.ones((40, 2), np.float32))
    assert all(a is b for a, b in zip(view.parts, later.parts, strict=False))
    branch = view.append(np.zeros((40, 2), np.float32))
    assert branch.parts[2] is not view.parts[2]
    assert branch.parts[0] is view.parts[0]
    assert view.nbytes == 3 * 16 * (2 + 1) * 4


def test_rows_given_are_copied():
    rows = np.ones((3, 2), np.float32)
    view = Vectors(2).append(rows)
    rows[:] = 0
    assert view.take(np.arange(3)).all()
