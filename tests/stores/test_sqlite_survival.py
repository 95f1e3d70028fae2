"""A store on disk when its process is killed, or its files are changed."""

import os
import shutil
import signal
import time

import numpy as np
import pytest

from tensorflow_similarity._core import vectors
from tensorflow_similarity.stores import SQLiteStore, records, store_folder
from tests.store_model import Model, differs, perform


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Blocks of 16 rows, and merges after few changes."""
    monkeypatch.setattr(vectors, "_BLOCK_BYTES", 512)
    monkeypatch.setattr(store_folder, "_MERGED_AT", 6)
    monkeypatch.setattr(store_folder, "_SMALL", 1000)
    for module in (store_folder, records):
        monkeypatch.setattr(module, "ROWS_A_RECORD", 50)


def change_for_ever(folder, model, seed, pipe):
    """Random operations, each one told when it is done."""
    try:
        rng = np.random.default_rng(seed)
        store = SQLiteStore(folder, durable=bool(seed % 2))
        while True:
            do = model.plan(rng)
            perform(store, do)
            os.write(pipe, b".")
            model.apply(do)
    except BaseException as error:
        os.write(pipe, repr(error).encode())
    finally:
        os._exit(1)


def survives(folder, kills, delay):
    """Ends a writing process again and again; the store must be where it was."""
    model, delays = Model(with_ids=True), np.random.default_rng(5)
    told = 0
    for seed in range(kills):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            change_for_ever(folder, model, seed, writing)
        os.close(writing)
        time.sleep(delays.uniform(0, delay))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with open(reading, "rb") as file:
            done = file.read()
        assert done == b"." * len(done), done
        told += len(done)
        rng = np.random.default_rng(seed)
        for _ in done:
            model.apply(model.plan(rng))
        # One more may have been kept and not told; half of one never.
        further = model.copy()
        further.apply(further.plan(rng))
        reader = SQLiteStore(folder, read_only=True) if seed % 3 == 0 else None
        with SQLiteStore(folder) as store:
            wrong = differs(store, model)
            if wrong is not None:
                assert differs(store, further) is None, (seed, wrong)
                model = further
            if reader is not None:
                assert differs(reader, model) is None
    return told


def test_a_killed_writer_loses_nothing_that_it_told(tmp_path):
    # The first child may be gone before it has made the folder.
    SQLiteStore(tmp_path / "a").close()
    assert survives(tmp_path / "a", 15, 0.1) > 15


@pytest.mark.slow
def test_two_hundred_kills(tmp_path):
    SQLiteStore(tmp_path / "a").close()
    assert survives(tmp_path / "a", 200, 0.3) > 200


def test_a_writer_killed_while_it_begins(tmp_path):
    for i in range(12):
        child = os.fork()
        if not child:
            SQLiteStore(tmp_path / str(i)).add([1.0, 2.0])
            os._exit(0)
        time.sleep(0.002 * i)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with SQLiteStore(tmp_path / str(i)) as store:
            assert len(store) in (0, 1)


def closed_store(folder):
    """A closed store in which everything has happened, and what it holds."""
    rng, model = np.random.default_rng(3), Model(with_ids=True)
    with SQLiteStore(folder, durable=False) as store:
        for _ in range(120):
            do = model.plan(rng)
            if do["name"] != "reset":
                perform(store, do)
                model.apply(do)
        assert store.snapshot().vectors.dead is not None
        assert len(store.snapshot().vectors.parts) > 3
    return model


def hurt(file, rng):
    """Flips a byte, or cuts the file."""
    content = bytearray(file.read_bytes())
    if not content:
        return
    at = int(rng.integers(len(content)))
    if rng.random() < 0.2:
        content = content[:at]
    else:
        content[at] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)


def endures(tmp_path, trials):
    """Hurts each file in turn; the store says so, or holds what it held."""
    model = closed_store(tmp_path / "sound")
    names = sorted(file.name for file in (tmp_path / "sound").iterdir())
    rng, refused = np.random.default_rng(8), 0
    for trial in range(trials):
        folder = tmp_path / str(trial)
        shutil.copytree(tmp_path / "sound", folder)
        hurt(folder / names[trial % len(names)], rng)
        try:
            if trial % 3 == 0:
                assert differs(SQLiteStore(folder, read_only=True), model) is None
                continue
            expected = model.copy()
            for step in range(2):
                with SQLiteStore(folder, durable=False) as store:
                    assert differs(store, expected) is None, (trial, step)
                    do = {"name": "vacuum"} if step else expected.plan(rng)
                    perform(store, do)
                    expected.apply(do)
        except ValueError as error:
            assert "damaged" in str(error) or "format" in str(error)
            refused += 1
        finally:
            shutil.rmtree(folder)
    return refused


def test_changed_files_are_noticed_or_do_no_harm(tmp_path):
    assert endures(tmp_path, 60) > 20


@pytest.mark.slow
def test_five_hundred_changed_files(tmp_path):
    assert endures(tmp_path, 500) > 200
