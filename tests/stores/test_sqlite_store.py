"""A store on disk: what changed is there when it is opened again."""

import json
import os
import sqlite3
import threading

import numpy as np
import pytest

from tensorflow_similarity import stores
from tensorflow_similarity._core import vectors
from tensorflow_similarity.stores import (
    CachedStore,
    MemoryStore,
    SQLiteStore,
    kept_rows,
    records,
    row_files,
    store_folder,
)
from tests.store_model import Model, differs, perform


@pytest.fixture
def small(monkeypatch):
    """Blocks of 16 rows, and everything else that happens rarely happens often."""
    monkeypatch.setattr(vectors, "_BLOCK_BYTES", 512)
    monkeypatch.setattr(store_folder, "_MERGED_AT", 6)
    monkeypatch.setattr(kept_rows, "_MAPPINGS", 3)
    monkeypatch.setattr(store_folder, "_SMALL", 1000)
    monkeypatch.setattr(row_files, "_PIECE", 5000)
    for module in (store_folder, records):
        monkeypatch.setattr(module, "ROWS_A_RECORD", 50)


def rows(n, dim=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def filled(path, n=40, **kwargs):
    store = SQLiteStore(path, **kwargs)
    store.batch_add(rows(n), [f"label {i % 3}" for i in range(n)], list(range(n)))
    return store


def files_of(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


# Every change is there when the store is opened again.


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("with_ids", [True, False])
def test_random_operations_agree_with_a_dictionary(small, tmp_path, with_ids, durable):
    rng, model = np.random.default_rng(with_ids), Model(with_ids)
    store = SQLiteStore(tmp_path / "a", durable=durable)
    for step in range(80 if durable else 160):
        if step % 23 == 22:
            store.close()
            assert differs(store, model) is None
            store = SQLiteStore(tmp_path / "a", durable=durable)
        if step % 31 == 30:
            reader = SQLiteStore(tmp_path / "a", read_only=True)
            assert differs(reader, model) is None
        do = model.plan(rng)
        perform(store, do)
        model.apply(do)
        if step % 7 == 0:
            assert differs(store, model) is None, (step, do)
    store.close()


def test_each_change_survives(small, tmp_path):
    def again():
        nonlocal store
        store.close()
        store = SQLiteStore(tmp_path / "a")
        return store.snapshot()

    store = SQLiteStore(tmp_path / "a")
    store.batch_add(np.zeros((0, 8)))
    assert again().vectors.dim == 8
    keys = store.batch_add(rows(40), range(40), ids=[f"i{i}" for i in range(40)])
    lineage = again().lineage
    store.batch_add(rows(2, seed=1), [100, 101], ids=["i3", "new"])
    assert len(again().vectors.alive_rows()) == 41
    store.remove(keys[5:9])
    store.relabel(keys[10:12], [7, None])
    facts = again()
    assert facts.lineage == lineage and facts.vectors.n_dead == 5
    assert store.batch_get(keys[10:12])[1] == [7, None]
    assert facts.rows_of_ids(np.array(["i3", "i6", "i9"], object)).tolist() == [
        *(40, -1, 9)
    ]
    store.replace_embeddings(rows(37, dim=5, seed=2))
    facts = again()
    assert facts.lineage != lineage and facts.vectors.dim == 5
    np.testing.assert_array_equal(
        facts.vectors.take(facts.vectors.alive_rows()), rows(37, dim=5, seed=2)
    )
    lineage, present = facts.lineage, set(facts.keys[facts.vectors.alive_rows()])
    assert store.vacuum() == 5
    facts = again()
    assert facts.lineage != lineage and facts.vectors.size == 37
    assert set(facts.keys) == present and store.vacuum() == 0
    next_key = facts.next_key
    store.reset()
    facts = again()
    assert len(store) == 0 and facts.vectors.dim == 0 and facts.next_key == next_key
    assert store.add([1.0, 2.0], "text", {"a": 1}) == next_key
    other = MemoryStore()
    other.remove(other.batch_add(rows(20, dim=3), range(20), rows(20))[:4])
    other.save(tmp_path / "other")
    store.load(tmp_path / "other")
    facts = again()
    assert len(store) == 16 and facts.next_key == next_key + 1
    assert facts.lineage == other.snapshot().lineage and facts.vectors.size == 20
    np.testing.assert_array_equal(store.get(7)[2], rows(20)[7])


def test_removed_items_are_in_no_file_after_vacuum(tmp_path):
    with SQLiteStore(tmp_path) as store:
        secret = np.array([[1.2345678, -8.7654321, 3.1415926]], np.float32)
        store.batch_add(rows(2, dim=3), ["a", "b"], data=["x", "y"])
        key = store.batch_add(secret, ["secret label"], ["secret data"])
        store.batch_add(rows(1, dim=3), ["c"], data=["z"])
        store.remove(key)
        told = secret.tobytes(), b"secret label", b"secret data"
        for gone in (False, True):
            raw = b"".join(files_of(tmp_path).values())
            assert [text in raw for text in told] == [not gone] * 3
            store.vacuum()
        assert store.snapshot().at(np.arange(3)).data == ["x", "y", "z"]


def test_results_stay_right_after_their_items_left(tmp_path):
    store = filled(tmp_path)
    before, expected = store.snapshot(), store.batch_get(range(40))
    store.remove(range(20))
    store.vacuum()
    store.reset()
    store.close()
    details = before.at(np.arange(40))
    np.testing.assert_array_equal(details.embeddings, expected[0])
    assert details.data == expected[2]


def test_blocks_share_mappings_and_are_not_in_memory(small, tmp_path):
    store = SQLiteStore(tmp_path, durable=False)
    for i in range(60):
        store.batch_add(rows(8, seed=i))
    opened = len(os.listdir("/proc/self/fd"))
    parts = store.snapshot().vectors.parts
    assert [part.in_memory for part in parts] == [False] * 30
    for i in range(60, 300):
        store.batch_add(rows(8, seed=i))
    assert len(os.listdir("/proc/self/fd")) <= opened + 4
    np.testing.assert_array_equal(
        store.batch_get(range(2400))[0],
        np.concatenate([rows(8, seed=i) for i in range(300)]),
    )


def test_changes_one_by_one_are_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(store_folder, "_MERGED_AT", 16)
    store = SQLiteStore(tmp_path, durable=False)
    for i in range(300):
        store.add(rows(1)[0], i, data=i)
        if i % 3 == 0 and i // 2 % 10 != 4:
            store.relabel([i // 2], [1000 + i])
        if i % 10 == 9:
            store.remove([i - 5])
    expected = store.to_data_frame()
    store.close()
    connection = sqlite3.connect(tmp_path / "store.sqlite")
    assert connection.execute("SELECT count(*) FROM log").fetchone()[0] < 30
    connection.close()
    found = SQLiteStore(tmp_path, read_only=True).to_data_frame()
    for name in ("labels", "data"):
        assert found[name].tolist() == expected[name].tolist()


def test_a_failing_merge_does_not_fail_the_change(tmp_path, monkeypatch):
    monkeypatch.setattr(store_folder, "_MERGED_AT", 4)
    store = SQLiteStore(tmp_path)
    monkeypatch.setattr(store_folder, "merged", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        for _ in range(9):
            store.add([1.0, 2.0])

    def full(*_):
        raise OSError("full")

    store.close()
    store = SQLiteStore(tmp_path)
    n = len(store)
    monkeypatch.setattr(store_folder, "merged", full)
    store.batch_add(rows(2, dim=2))
    for _ in range(9):
        store.add([1.0, 2.0])
    assert len(store) == n + 11
    store.close()
    assert len(SQLiteStore(tmp_path)) == n + 11


# Who may write, who may read.


def in_child(work):
    """Runs `work` in a forked process; what it returns, as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            text = str(work())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode()[:60_000])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        text = file.read().decode()
    os.waitpid(child, 0)
    return text


@pytest.mark.parametrize("kind", [SQLiteStore, CachedStore])
def test_a_saved_index_reads_a_store_that_another_writes(tmp_path, kind):
    store = kind(path=tmp_path)
    store.batch_add(rows(4), ["a", "b", "c", "d"])
    config = store.get_config()
    reader = kind.from_config(config)
    assert len(reader) == len(store) and reader.get_config() == config
    assert reader.get(0)[1] == store.get(0)[1]
    assert reader.read_only and not store.read_only
    with pytest.raises(RuntimeError, match="only be read.*store.close.*load again"):
        reader.add(rows(1)[0])
    # The constructor still refuses, also after a config was read.
    with pytest.raises(RuntimeError, match="open for writing already"):
        kind(path=tmp_path)
    store.close()
    # What the reader saved is no reason to be read-only for ever.
    with kind.from_config(reader.get_config()) as again:
        assert not again.read_only
        assert again.add(rows(1)[0]) == len(reader)


def test_a_second_writer_is_refused(tmp_path):
    store = filled(tmp_path)
    with pytest.raises(RuntimeError, match="open for writing already.*read_only=True"):
        SQLiteStore(tmp_path)
    assert "open for writing already" in in_child(lambda: SQLiteStore(tmp_path))
    store.close()
    with SQLiteStore(tmp_path) as again:
        assert len(again) == 40
    with pytest.raises(RuntimeError, match="was closed.*Open it again"):
        again.add(rows(1)[0])
    assert len(again) == 40 and again.get(3)[2] == 3
    again.close()
    del store
    SQLiteStore(tmp_path).close()


def test_a_store_that_is_forgotten_lets_others_write(tmp_path):
    store = filled(tmp_path)
    del store
    assert len(SQLiteStore(tmp_path)) == 40


def test_readers_see_what_was_there_when_they_opened(small, tmp_path):
    store = filled(tmp_path)
    reader = SQLiteStore(tmp_path, read_only=True)
    store.batch_add(rows(30, seed=1), ["new"] * 30)
    store.remove(range(10))
    store.vacuum()
    assert len(reader) == 40 and reader.get(5)[1:] == ("label 2", 5)
    assert len(SQLiteStore(tmp_path, read_only=True)) == 60
    child = in_child(lambda: len(SQLiteStore(tmp_path, read_only=True)))
    assert child == "60"
    for change in (
        lambda: reader.add(rows(1)[0]),
        lambda: reader.remove([3]),
        reader.vacuum,
        reader.reset,
    ):
        with pytest.raises(RuntimeError, match="opened with `read_only=True`"):
            change()
    reader.flush()
    reader.close()
    assert len(reader) == 40


def test_a_reader_writes_nothing(tmp_path):
    filled(tmp_path).close()
    before = files_of(tmp_path)
    reader = SQLiteStore(tmp_path, read_only=True)
    assert reader.get(3)[2] == 3
    reader.close()
    assert files_of(tmp_path) == before
    assert set(before) == {
        *("store.sqlite", "vectors-0.f32", "data-0.bin", "writer.lock")
    }


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="asks for root")
def test_a_read_only_folder_is_read_and_not_written(tmp_path_factory):
    import shutil
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)
        store = filled(folder / "a")

        def as_nobody(work):
            def act():
                os.setuid(65534)
                return work()

            return in_child(act)

        def read():
            store = SQLiteStore(folder / "a", read_only=True)
            return len(store), store.get(3)[2]

        assert as_nobody(read) == "(40, 3)"  # while another one writes
        store.close()
        assert as_nobody(read) == "(40, 3)"
        refused = as_nobody(lambda: SQLiteStore(folder / "a"))
        assert "PermissionError" in refused and "`read_only=True` reads" in refused
        refused = as_nobody(lambda: SQLiteStore(folder / "new"))
        assert "PermissionError" in refused

        # After a writer was ended, and the folder copied without what it shared.
        def end():
            store = filled(folder / "b")
            os._exit(store.remove([3]) - 1)

        in_child(end)
        (folder / "b" / "store.sqlite-shm").unlink()
        refused = as_nobody(lambda: SQLiteStore(folder / "b", read_only=True))
        assert "PermissionError" in refused and "once for writing" in refused
        SQLiteStore(folder / "b").close()
        assert as_nobody(lambda: len(SQLiteStore(folder / "b", read_only=True))) == "39"
    finally:
        shutil.rmtree(folder)


def test_forks_read_on_and_only_the_parent_writes(tmp_path):
    store = filled(tmp_path)

    def act():
        found = store.get(3)[1:], len(store)
        try:
            store.add(rows(1)[0])
        except RuntimeError as error:
            assert "forked" in str(error)
            store.close()
            return found
        return "written"

    assert in_child(act) == "(('label 0', 3), 40)"
    store.add(rows(1)[0], "after", "after")
    # A child that lives on does not keep the folder locked.
    child = os.fork()
    if not child:
        import time

        time.sleep(60)
        os._exit(0)
    store.close()
    with SQLiteStore(tmp_path) as again:
        assert again.get(40)[1:] == ("after", "after")
    os.kill(child, 9)
    os.waitpid(child, 0)


def test_a_fork_does_not_wait_for_a_thread_that_writes(tmp_path):
    store = filled(tmp_path)
    with store._writing:
        thread_like = []

        def act():
            thread = threading.Thread(target=lambda: thread_like.append(attempt()))
            thread.start()
            thread.join(20)
            store.close()
            return thread_like

        def attempt():
            try:
                store.add(rows(1)[0])
            except RuntimeError as error:
                return "forked" in str(error)

        assert in_child(act) == "[True]"


def test_threads_read_while_one_writes(small, tmp_path):
    store = SQLiteStore(tmp_path, durable=False)
    store.batch_add(rows(30), data=list(range(30)))
    truth, wrong, done = {}, [], threading.Event()
    truth.update(zip(range(30), rows(30), strict=True))

    def read():
        while not done.is_set():
            snapshot = store.snapshot()
            alive = snapshot.vectors.alive_rows()
            try:
                details = snapshot.at(alive)
            except Exception as error:
                wrong.append(error)
                return
            for i, key in enumerate(snapshot.keys[alive].tolist()):
                if details.data[i] != key or not np.array_equal(
                    details.embeddings[i], truth[key]
                ):
                    wrong.append(key)
                    return

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    rng = np.random.default_rng(0)
    try:
        for i in range(40):
            new, first = rows(9, seed=i), store.snapshot().next_key
            truth.update(zip(range(first, first + 9), new, strict=True))
            store.batch_add(new, data=list(range(first, first + 9)))
            alive = store.snapshot().keys[store.snapshot().vectors.alive_rows()]
            store.remove(rng.choice(alive, 6, False))
            if i % 9 == 0:
                store.vacuum()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong


def test_threads_may_take_turns_to_write(tmp_path):
    store = SQLiteStore(tmp_path, durable=False)
    store.batch_add(rows(1))
    threads = [
        threading.Thread(
            target=lambda i=i: [store.batch_add(rows(3, seed=i)) for _ in range(20)]
        )
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert SQLiteStore(tmp_path).snapshot().keys.tolist() == list(range(241))


# What goes wrong leaves everything as it was.


class _Full:
    """Lets so many bytes be written, then says that the disk is full."""

    def __init__(self, monkeypatch, n):
        self.left, self.write = n, os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, number, content, at):
        if not self.left:
            raise OSError(28, "No space left on device")
        n = min(len(content), self.left)
        self.left -= n
        return self.write(number, content[:n], at)


@pytest.mark.parametrize("room", [0, 100, 1000, 2000])
def test_a_full_disk_leaves_everything_as_it_was(small, tmp_path, monkeypatch, room):
    store = filled(tmp_path)
    before, expected = files_of(tmp_path), store.to_data_frame()
    new = rows(50, seed=1)
    for change in (
        lambda: store.batch_add(new, ["x"] * 50, [b"x" * 40] * 50),
        lambda: store.replace_embeddings(rows(40, dim=300)),
        lambda: store.load(tmp_path.parent / "other"),
    ):
        other = MemoryStore()
        other.batch_add(rows(100))
        other.save(tmp_path.parent / "other")
        with monkeypatch.context() as patch:
            _Full(patch, room)
            with pytest.raises(OSError, match="No space left.*nothing was changed"):
                change()
        assert files_of(tmp_path) == before
        found = store.to_data_frame()
        assert found["data"].tolist() == expected["data"].tolist()
    assert store.batch_add(new, data=[b"y"] * 50)[0] == 40
    store.close()
    again = SQLiteStore(tmp_path)
    assert len(again) == 90 and again.get(89)[2] == b"y"
    np.testing.assert_array_equal(again.batch_get(range(40, 90))[0], new)


def test_a_log_without_room_leaves_everything_as_it_was(small, tmp_path):
    store = filled(tmp_path)
    connection = store._folder._log._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    labels = [f"a label of its own {i}" * 50 for i in range(50)]
    with pytest.raises(OSError, match="disk is full; nothing was changed"):
        store.batch_add(rows(50, seed=1), labels, labels)
    assert len(store) == 40
    assert (tmp_path / "vectors-0.f32").stat().st_size == 40 * 8 * 4
    connection.execute("PRAGMA max_page_count=100000")
    store.batch_add(rows(50, seed=1), labels, labels)
    store.close()
    assert SQLiteStore(tmp_path).get(89)[1:] == (labels[-1], labels[-1])


def test_an_interruption_after_the_commit_is_not_papered_over(tmp_path, monkeypatch):
    store = filled(tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept_rows.KeptRows, "in_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.add(rows(1)[0])
    with pytest.raises(RuntimeError, match="was interrupted.*open it again"):
        store.add(rows(1)[0])
    assert len(store) == 40
    store.close()
    again = SQLiteStore(tmp_path)
    assert len(again) == 41
    with monkeypatch.context() as patch:
        patch.setattr(store_folder, "rows_added", interrupted)
        with pytest.raises(KeyboardInterrupt):
            again.add(rows(1)[0])
    assert again.add(rows(1)[0]) == 41


def test_what_only_the_log_had_is_written_again(tmp_path):
    filled(tmp_path).close()  # few enough to stand in the log, too
    for name in ("vectors-0.f32", "data-0.bin"):
        with open(tmp_path / name, "r+b") as file:
            file.truncate(7)
    with pytest.raises(ValueError, match="damaged.*once for writing mends it"):
        SQLiteStore(tmp_path, read_only=True)
    store = SQLiteStore(tmp_path)
    np.testing.assert_array_equal(store.batch_get(range(40))[0], rows(40))
    assert store.batch_get(range(40))[2] == list(range(40))


# Folders that are something else.


def test_folders_that_are_not_ours_are_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no store.sqlite"):
        SQLiteStore(tmp_path / "nowhere", read_only=True)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to_mother.txt").write_text("Dear mother")
    with pytest.raises(FileExistsError, match="no store.*to_mother"):
        SQLiteStore(tmp_path / "letters")
    with pytest.raises(FileExistsError, match="is a file"):
        SQLiteStore(tmp_path / "letters" / "to_mother.txt")
    assert files_of(tmp_path / "letters") == {"to_mother.txt": b"Dear mother"}
    for name, content in (("text", b"plain text" * 500), ("other", None)):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "store.sqlite"
        if content:
            file.write_bytes(content)
        else:
            connection = sqlite3.connect(file)
            connection.execute("CREATE TABLE mine (a)")
            connection.close()
        before = file.read_bytes()
        for read_only in (True, False):
            with pytest.raises(ValueError, match="not written by this|not a database"):
                SQLiteStore(tmp_path / name, read_only=read_only)
        assert file.read_bytes() == before


def test_files_of_others_are_never_removed(tmp_path):
    store = filled(tmp_path)
    names = ["notes.txt", "vectors-old.f32", "vectors.f32", "data-1.bin.bak"]
    for name in names:
        (tmp_path / name).write_text("mine")
    store.remove([1])
    store.vacuum()
    store.reset()
    store.close()
    SQLiteStore(tmp_path).close()
    assert {name: (tmp_path / name).read_text() for name in names} == dict.fromkeys(
        names, "mine"
    )


def test_a_newer_format_is_refused(tmp_path):
    filled(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "store.sqlite")
    connection.execute("PRAGMA user_version=2")
    connection.close()
    for read_only in (True, False):
        with pytest.raises(ValueError, match="format 2.*up to 1.*Install a newer"):
            SQLiteStore(tmp_path, read_only=read_only)


def test_blocks_of_another_height_are_refused(tmp_path, monkeypatch):
    filled(tmp_path).close()
    monkeypatch.setattr(vectors, "_BLOCK_BYTES", 512)
    with pytest.raises(ValueError, match="blocks of 65536 rows.*Install"):
        SQLiteStore(tmp_path)


def test_missing_files_are_named(tmp_path):
    filled(tmp_path).close()
    for name in ("vectors-0.f32", "data-0.bin", "store.sqlite"):
        (tmp_path / name).rename(tmp_path / "away")
        with pytest.raises(ValueError, match=f"damaged.*{name}.*missing"):
            SQLiteStore(tmp_path)
        (tmp_path / "away").rename(tmp_path / name)
    (tmp_path / "store.sqlite").write_bytes(b"")
    with pytest.raises(ValueError, match="damaged.*is empty"):
        SQLiteStore(tmp_path)


# Names and configurations.


def test_configuration_goes_through_keras_and_json(tmp_path):
    store = filled(tmp_path, durable=False, name="mine")
    store.close()
    config = json.loads(json.dumps(stores.serialize(store)))
    again = stores.get(config)
    assert type(again) is SQLiteStore and len(again) == 40
    assert again.get_config() == {
        "name": "mine",
        "verbose": 0,
        "path": str(tmp_path),
        "read_only": False,
        "durable": False,
    }
    assert again.persistent


def test_a_path_holds_where_the_program_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = filled("here")
    assert store.get_config()["path"] == str(tmp_path.resolve() / "here")
    monkeypatch.chdir("/")
    store.remove([1])
    store.vacuum()
    assert (tmp_path / "here" / "vectors-1.f32").is_file()


def test_saving_into_its_own_folder_keeps_and_elsewhere_copies(tmp_path):
    store = filled(tmp_path / "a", durable=False)
    store.save(tmp_path / "a")
    assert store.load(tmp_path / "a") == 40
    store.save(tmp_path / "copy")
    memory = MemoryStore()
    assert memory.load(tmp_path / "copy") == 40
    assert memory.get(3)[1:] == store.get(3)[1:]


def test_the_old_name_and_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache0.dat").write_bytes(b"a pickle")
    (tmp_path / "train.py").write_text("mine")
    store = CachedStore(1000, num_items=3)
    assert store.name == "cached" and len(store) == 0 and store.persistent
    store.add([1.0, 2.0], 1, "x")
    store.close()
    assert CachedStore.from_config(store.get_config()).get(0)[1:] == (1, "x")
    assert (tmp_path / "cache0.dat").read_bytes() == b"a pickle"
    other = stores.get("cached", path=tmp_path / "other")
    assert isinstance(other, CachedStore) and isinstance(other, SQLiteStore)
    with pytest.raises(ValueError, match="pickles.*never read.*from your data"):
        other.load(tmp_path)
    assert isinstance(stores.get("sqlite", path=tmp_path / "third"), SQLiteStore)
