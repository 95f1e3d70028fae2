"""What a store keeps on a Redis server, beside other writers and other programs."""

import contextlib
import json
import multiprocessing
import secrets
import threading
import time

import numpy as np
import pytest

from tensorflow_similarity import stores
from tensorflow_similarity.stores import MemoryStore, RedisStore, redis_address
from tensorflow_similarity.stores.redis_address import PASSWORD_VARIABLE, Address
from tensorflow_similarity.types.lookup import equal_data
from tests import redis_server

redis = pytest.importorskip("redis")


def rows(n, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.fixture
def prefix():
    return f"test:{secrets.token_hex(4)}"


@pytest.fixture
def opened(redis_socket, prefix):
    """A function that opens one more store on the same items."""
    made = []

    def open_one(**kwargs):
        made.append(RedisStore(url=f"unix://{redis_socket}", prefix=prefix, **kwargs))
        return made[-1]

    yield open_one
    for store in made:
        store.close()


@pytest.fixture
def client(redis_socket):
    with redis.Redis(unix_socket_path=redis_socket) as client:
        yield client


@pytest.fixture
def keys(client, prefix):
    """A function that says which keys the store has, by kind."""
    return lambda: sorted(
        key.decode().removeprefix(f"{prefix}:").partition(":")[0]
        for key in client.keys(f"{prefix}:*")
    )


def facts(store):
    """Everything that a store says about its items, to be compared."""
    snapshot = store.snapshot()
    alive = snapshot.vectors.alive_rows()
    details = snapshot.at(alive)
    embeddings, data = details.embeddings, details.data
    return {
        "embeddings": embeddings.tolist(),
        "data": data,
        "keys": snapshot.keys[alive].tolist(),
        "labels": snapshot.labels[alive].tolist(),
        "ids": snapshot.ids[alive].tolist(),
        "metadata": snapshot.metadata.records(alive),
        "next_key": snapshot.next_key,
    }


def agree(*many):
    """Whether stores say the same, in the same rows and of the same lineage."""
    first, *others = many
    return all(
        equal_data(facts(first), facts(other))
        and first.snapshot().lineage == other.snapshot().lineage
        and np.array_equal(
            first.snapshot().vectors.alive_rows(), other.snapshot().vectors.alive_rows()
        )
        for other in others
    )


def test_an_item_comes_back(opened):
    store = opened()
    key = store.add([1, 2, 3], label=7, data={"page": np.arange(3)})
    for subject in (store, opened()):
        embedding, label, data = subject.get(key)
        assert embedding.tolist() == [1, 2, 3] and label == 7
        assert data["page"].tolist() == [0, 1, 2]
    assert store.persistent and stores.get(store) is store


CHANGES = {
    "add": lambda s: s.batch_add(
        rows(5, s.snapshot().vectors.dim or 4), list("abcde"), data=list("vwxyz")
    ),
    "remove": lambda s: s.remove([1, 3, 99]),
    "relabel": lambda s: s.relabel([0, 2], ["new", None]),
    "embed": lambda s: s.replace_embeddings(rows(len(s), dim=5, seed=2)),
    "vacuum": lambda s: s.vacuum(),
    "reset": lambda s: s.reset(),
}


@pytest.mark.parametrize("second", CHANGES)
@pytest.mark.parametrize("first", CHANGES)
def test_each_change_is_what_it_is_in_memory(first, second, opened):
    memory, writer, reader = MemoryStore(), opened(), opened()
    for store in (memory, writer):
        store.batch_add(rows(6), list("ABCDE") + [None], data=rows(6, seed=7))
        store.remove([4])
    reader.refresh()
    for name in (first, second):
        for store in (memory, writer):
            if name != "relabel" or store.snapshot().rows_of(np.arange(3))[0] >= 0:
                CHANGES[name](store)
        assert equal_data(facts(writer), facts(memory)), name
        reader.refresh()
        assert agree(writer, reader, opened())


def test_the_lineage_changes_only_when_rows_do(opened):
    writer, reader = opened(), opened()
    writer.batch_add(rows(5), range(5))
    first = writer.snapshot().lineage
    writer.remove([2])
    writer.relabel([3], [7])
    for change in (None, writer.vacuum, lambda: writer.replace_embeddings(rows(4))):
        seen = {writer.snapshot().lineage}
        if change is not None:
            change()
            assert writer.snapshot().lineage not in seen
        else:
            assert seen == {first}
        reader.refresh()
        assert agree(writer, reader)


@pytest.mark.parametrize(
    "ids", [list("pqrst"), [5, -4, 3, 2**60, 1]], ids=["str", "int"]
)
def test_own_ids_and_metadata_are_upserted_and_shared(ids, opened):
    memory, first, second = MemoryStore(), opened(), opened()
    columns = {"page": [1, None, 3, 4, 5], "open": [True, None, False, True, True]}
    more = {"page": [9, 8], "where": ["x", None], "weight": [0.5, 1]}
    for store in (memory, first):
        store.batch_add(rows(5), range(5), ids=ids, metadata=columns)
    for store in (memory, second):
        store.batch_add(rows(2, seed=1), [7, 8], ids=ids[1:3], metadata=more)
        store.vacuum()
        store.batch_add(rows(1, seed=2), [9], ids=ids[:1])
    first.refresh()
    assert equal_data(facts(first), facts(memory)) and agree(first, second, opened())
    with pytest.raises(ValueError, match="Give each new item one"):
        opened().add([1, 2, 3])


DATA = {
    "pictures": rows(4, dim=12).reshape(4, 2, 3, 2),
    "ragged": [np.zeros(2, "<i2"), np.ones((2, 1), ">f8"), np.zeros(0), None],
    "numbers": np.array([1.5, -0.0, np.nan, np.inf]),
    "texts": ["a", "", "ü猫\0", None],
    "bytes": [b"", b"\0\1\xff", b"plain", b"\n"],
    "nested": [{"a": {1: [None, (1, b"2")]}}, [], ((),), {"x": np.eye(2)}],
    "scalars": [np.float64(1.5), np.int8(-3), 2**70, True],
    "none": [None] * 4,
}


@pytest.mark.parametrize("kind", DATA)
def test_user_data_come_back_exactly(kind, opened, tmp_path):
    writer = opened()
    writer.batch_add(rows(4), data=DATA[kind])
    writer.batch_add(rows(1))
    kept = writer.batch_add(rows(4), data=DATA[kind])
    writer.remove([0, 2])
    writer.vacuum()
    for store in (writer, opened()):
        assert str(store.batch_get(kept)[2]) == str(list(DATA[kind]))
        types = [type(item) for item in store.batch_get(kept)[2]]
        assert types == [type(item) for item in DATA[kind]]
        assert str(store.get(3)[2]) == str(DATA[kind][3]) and store.get(4)[2] is None
    writer.save(tmp_path / "a")
    memory = MemoryStore()
    assert memory.load(tmp_path / "a") == len(writer)
    assert str(facts(memory)) == str(facts(writer))


def test_user_data_of_many_items_take_one_turn(opened):
    store = opened()
    for i in range(60):
        store.add([i, 0, 0], data={"i": i})
    turns, fetch = [], store._server.fetch
    store._server.fetch = lambda places: turns.append(len(places)) or fetch(places)
    assert [item["i"] for item in store.batch_get(range(10, 60))[2]] == [*range(10, 60)]
    assert turns == [50]


def test_long_batches_go_in_lots(opened, keys, monkeypatch):
    from tensorflow_similarity.stores import redis_records, redis_server

    monkeypatch.setattr(redis_records, "_LOT_BYTES", 256)
    monkeypatch.setattr(redis_server, "_INLINE_BYTES", 200)
    monkeypatch.setattr(redis_server, "ITEMS_A_TURN", 7)
    monkeypatch.setattr(redis_server, "_BYTES_A_TURN", 100)
    memory, writer, reader = MemoryStore(), opened(), opened()
    for store in (memory, writer):
        store.batch_add(
            rows(200),
            [None if i % 3 else f"label {i}" for i in range(200)],
            data=[{"i": i} for i in range(200)],
            ids=[f"id {i}" for i in range(200)],
            metadata={"i": range(200), "text": [f"text {i}" for i in range(200)]},
        )
        store.remove(range(0, 150, 2))
        store.relabel(range(1, 151, 2), ["odd"] * 75)
    reader.refresh()
    assert equal_data(facts(writer), facts(memory)) and agree(writer, reader, opened())
    n_lots = keys().count("lot")
    assert n_lots > 10
    for store in (memory, writer):
        store.vacuum()
    reader.refresh()
    assert equal_data(facts(writer), facts(memory)) and agree(writer, reader, opened())
    assert 3 < keys().count("lot") < n_lots and keys().count("log") == 1
    writer.reset()
    assert keys() == ["head", "log"]


def test_vacuum_really_erases(opened, client, keys, prefix):
    store = opened()
    store.batch_add(rows(3), ["a", "secret label", "c"], data=["x", "secret data", "z"])
    store.batch_add(rows(1), ["secret too"], data=["more secret data"])
    store.add([0, 0, 0], "d", data="stays")

    def everything():
        dumped = b""
        for key in client.keys(f"{prefix}:*"):
            kind = client.type(key)
            if kind == b"list":
                dumped += b"".join(client.lrange(key, 0, -1))
            elif kind == b"hash":
                dumped += b"".join(client.hvals(key))
            else:
                dumped += client.get(key)
        return dumped

    store.remove([1, 3])
    assert everything().count(b"secret") == 4
    assert store.vacuum() == 2
    assert b"secret" not in everything() and b"stays" in everything()
    assert keys() == ["data", "data", "head", "log"]
    assert store.batch_get([0, 2, 4])[2] == ["x", "z", "stays"]


def test_an_interrupted_erasure_is_finished_later(opened, keys, monkeypatch):
    from tensorflow_similarity.stores.redis_log import RedisLog

    store = opened()
    store.batch_add(rows(5), range(5), data=list("abcde"))
    with monkeypatch.context() as interrupted:
        erase, calls = RedisLog.erase, []

        def once(log):
            calls.append(log)
            if len(calls) == 2:
                raise KeyboardInterrupt
            erase(log)

        interrupted.setattr(RedisLog, "erase", once)
        with pytest.raises(KeyboardInterrupt):
            store.reset()
    assert "erase" in keys() and "data" in keys()
    again = opened()
    assert len(again) == 0 and again.vacuum() == 0
    assert keys() == ["head", "log"]
    assert len(store) == 0 and not store.refresh() and store.add([1, 2, 3]) == 5


def test_an_interrupt_between_server_and_memory_loses_nothing(opened, monkeypatch):
    store = opened()
    store.add([1, 2, 3])

    def interrupted(taken):
        store._taken = taken
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.add([4, 5, 6], data="kept")
    monkeypatch.undo()
    assert store.add([7, 8, 9]) == 2 and store.get(1)[2] == "kept"
    assert agree(store, opened())


def test_keys_go_on_after_a_reset_and_in_another_process(opened):
    store = opened()
    assert store.batch_add(rows(3)).tolist() == [0, 1, 2]
    store.reset()
    assert opened().batch_add(rows(2, dim=7)).tolist() == [3, 4]
    store.remove([4])
    assert store.add(rows(1, dim=7)[0]) == 5


def test_other_programs_keys_stay(opened, client, prefix):
    others = {f"{prefix}": b"1", f"{prefix}x:head": b"2", "num_items": b"3", "0": b"4"}
    others |= {f"{prefix}:mine": b"5", "lot:1": b"6", "data:1": b"7"}
    client.mset(others)
    before = set(client.keys("*"))
    store, other = (
        opened(),
        RedisStore(url=opened()._where["url"], prefix=f"{prefix}:b"),
    )
    other.batch_add(rows(2), data=["other", "index"])
    mine = set(client.keys("*")) - before
    store.batch_add(rows(5000, dim=64), data=list(range(5000)))
    store.remove(range(100))
    store.vacuum()
    store.replace_embeddings(rows(4900))
    store.reset()
    assert {key: client.get(key) for key in others} == others
    assert mine <= set(client.keys("*")) and other.get(1)[2] == "index"
    other.close()
    client.delete(*others)


def test_wrong_input_changes_nothing_and_leaves_nothing(opened, keys):
    store = opened()
    store.batch_add(rows(2), [1, 2], data=["a", "b"], metadata={"page": [1, 2]})
    before, present = facts(store), keys()
    many = [{"page": "x"}] * 20_000
    for error, wrong in (
        (TypeError, lambda: store.batch_add(rows(20_000, 3), metadata=many)),
        (TypeError, lambda: store.batch_add(rows(2), ["a", "b"])),
        (ValueError, lambda: store.batch_add(rows(2, dim=4))),
        (KeyError, lambda: store.relabel([7], [1])),
        (ValueError, lambda: store.replace_embeddings(rows(3))),
    ):
        with pytest.raises(error):
            wrong()
    assert facts(store) == before and keys() == present
    assert store.remove([9]) == 0 and store.vacuum() == 0 and keys() == present


# Several writers.

# Python 3.12 warns of threads, of which TensorFlow has some; they are not used here.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_a_writer_takes_over_what_others_did_before(opened):
    first, second = opened(), opened()
    assert first.add([1, 2, 3], "a") == 0
    assert second.add([4, 5, 6], "b") == 1
    assert first.remove([1]) == 1
    with pytest.raises(KeyError, match="no item with key"):
        second.relabel([1], ["c"])
    with pytest.raises(TypeError, match="of one kind in one index"):
        second.add([7, 8, 9], 5)
    with pytest.raises(ValueError, match="items that are on the server now"):
        first.replace_embeddings(rows(2))
    second.vacuum()
    assert first.add([7, 8, 9], "d") == 2 and second.refresh()
    assert not second.refresh()
    assert agree(first, second)


def test_a_change_that_is_overtaken_is_made_again(opened, keys):
    first, second, third = opened(), opened(), opened()
    first.batch_add(rows(4), range(4))
    for change in (
        lambda: first.batch_add(rows(3, seed=1), range(3), data=list("abc")),
        lambda: first.remove([0, 1]),
        lambda: first.relabel([2, 3], [7, 8]),
        lambda: first.vacuum(),
    ):
        append, tries = first._log._transaction, []

        def late(*args, append=append, tries=tries):
            tries.append(args)
            if len(tries) == 1:
                second.add([9, 9, 9], 9, data="other")
            return append(*args)

        first._log._transaction = late
        change()
        first._log._transaction = append
        assert len(tries) == 2
    third.refresh()
    second.refresh()
    assert agree(first, second, third)
    assert len(third) == 9
    assert keys().count("data") == 5 and "lot" not in keys() and "erase" not in keys()


def test_giving_up_says_so(opened, keys, monkeypatch):
    from tensorflow_similarity.stores import redis_store
    from tensorflow_similarity.stores.redis_log import Overtaken

    store = opened()
    store.add([1, 2, 3])
    before = keys()
    monkeypatch.setattr(redis_store, "_TRIES", 3)
    monkeypatch.setattr(redis_store, "_PAUSE", 0.0)

    def never(*args):
        raise Overtaken

    store._log._transaction = never
    with pytest.raises(RuntimeError, match="Other writers changed.*each of 3 tries"):
        store.batch_add(rows(5000, dim=3), data=list(range(5000)))
    assert keys() == before and len(store) == 1


def test_threads_with_a_store_each_write_at_once(opened):
    n_threads, n_turns = 4, 15
    seen, errors = [], []

    def write(number):
        try:
            store = opened()
            for turn in range(n_turns):
                keys = store.batch_add(
                    rows(3, seed=turn),
                    [number] * 3,
                    data=[(number, turn, i) for i in "abc"],
                )
                seen.extend(keys.tolist())
                if turn % 5 == 4:
                    assert store.remove(keys[:1]) == 1
                if turn == 7 and number == 0:
                    store.vacuum()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=write, args=(i,)) for i in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(seen) == list(range(n_threads * n_turns * 3))
    first, second = opened(), opened()
    assert agree(first, second) and len(first) == len(seen) - n_threads * 3
    found = facts(first)
    assert found["keys"] == sorted(found["keys"])
    assert [item[0] for item in found["data"]] == found["labels"]


@pytest.mark.parametrize("with_ids", [False, True])
def test_random_changes_by_two_writers_are_as_in_memory(with_ids, opened):
    generator = np.random.default_rng(11 + with_ids)
    memory, writers = MemoryStore(), [opened(), opened()]
    for step in range(150):
        n, seed = int(generator.integers(1, 5)), int(generator.integers(99))
        alive = facts(memory)["keys"]
        some = generator.permutation(alive)[: max(len(alive) // 6, 1)]
        ids = generator.permutation(25)[:n] if with_ids else None
        change = generator.choice(["add"] * 6 + ["remove", "relabel", "vacuum"] * 2)
        if step % 40 == 39:
            change = generator.choice(["embed", "reset"])
        for store in (memory, writers[generator.integers(2)]):
            if change == "add":
                data = [
                    [None, "x", {"a": step}, rows(1)][(seed + i) % 4] for i in range(n)
                ]
                columns = {
                    "step": [step] * n,
                    f"c{seed % 3}": ["x", None, "y", "z"][:n],
                }
                store.batch_add(rows(n, seed=seed), [seed] * n, data, ids, columns)
            elif change == "remove":
                store.remove(some)
            elif change == "relabel" and len(alive):
                store.relabel(some, [step] * len(some))
            elif change == "embed":
                store.replace_embeddings(rows(len(alive), seed=seed))
            elif change == "vacuum":
                store.vacuum()
            elif change == "reset":
                store.reset()
        if step % 10 == 9:
            for writer in writers:
                writer.refresh()
            assert str(facts(writers[0])) == str(facts(memory))
            assert agree(*writers, opened())


def test_one_store_serves_several_threads(opened):
    store, errors = opened(), []

    def work():
        try:
            for i in range(10):
                key = store.add([i, i, i], i, data=i)
                assert store.get(key)[2] == i
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(store) == 40 and agree(store, opened())


def _write(url, prefix, number, start):
    store = RedisStore(url=url, prefix=prefix)
    start.wait()
    for turn in range(40):
        ids = [f"{number} {turn}", "shared"] if turn % 2 else [f"{number} {turn}"]
        n = len(ids)
        data = [(number, turn)] * n
        store.batch_add(np.full((n, 4), turn), [number] * n, data, ids)


@forks
def test_two_processes_write_at_once(opened, redis_socket, prefix):
    context = multiprocessing.get_context("fork")
    start, url = context.Barrier(2), f"unix://{redis_socket}"
    writers = [
        context.Process(target=_write, args=(url, prefix, number, start))
        for number in (1, 2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    store = opened()
    found = facts(store)
    assert len(store) == 2 * 40 + 1 and store.snapshot().next_key == 2 * (40 + 20)
    expected = {f"{i} {turn}" for i in (1, 2) for turn in range(40)} | {"shared"}
    assert set(found["ids"]) == expected
    for name, data, label in zip(
        found["ids"], found["data"], found["labels"], strict=True
    ):
        assert data[0] == label and name in ("shared", " ".join(map(str, data)))


def _read_in_child(store, key, answers):
    answers.put(store.get(key)[2])
    store.add([7, 7, 7], data="child")


@forks
def test_a_forked_process_has_connections_of_its_own(opened):
    store = opened()
    key = store.add([1, 2, 3], data="parent")
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_read_in_child, args=(store, key, answers))
    child.start()
    assert answers.get(timeout=20) == "parent"
    child.join()
    assert child.exitcode == 0 and store.refresh() and store.get(key + 1)[2] == "child"


# What goes wrong on the way and on the server.


def test_a_lost_connection_is_made_again(opened, client):
    store = opened()
    key = store.add([1, 2, 3], data="x")
    for _ in range(3):
        client.client_kill_filter(_type="normal", skipme=True)
        assert store.get(key)[2] == "x"
        client.client_kill_filter(_type="normal", skipme=True)
        store.add([4, 5, 6])
    assert len(store) == 4 and agree(store, opened())


@pytest.mark.parametrize("kind", ["added", "removed", "vacuumed"])
def test_an_answer_that_is_lost_does_not_make_a_change_twice(kind, opened, client):
    store = opened()
    store.batch_add(rows(4), range(4))
    store.remove([0])
    transaction = store._log._transaction

    def cut(*args):
        transaction(*args)
        raise redis.WatchError("A ConnectionError occurred while watching")

    store._log._transaction = cut
    if kind == "added":
        assert store.batch_add(rows(2), [5, 6], data=["a", "b"]).tolist() == [4, 5]
        assert store.get(5)[2] == "b"
    elif kind == "removed":
        assert store.remove([1, 2]) == 2
    else:
        assert store.vacuum() == 1
    assert len(store) == {"added": 5, "removed": 1, "vacuumed": 3}[kind]
    assert agree(store, opened())


def test_an_unknown_end_keeps_what_was_put_there(opened):
    store = opened()
    store.add([1, 2, 3])
    transaction, said = store._log._transaction, store._log._was_written

    def cut(*args):
        transaction(*args)
        raise redis.ConnectionError("gone")

    def gone(*args):
        raise redis.ConnectionError("still gone")

    store._log._transaction, store._log._was_written = cut, gone
    with pytest.raises(ConnectionError, match=r"`refresh\(\)` tells whether it was"):
        store.add([4, 5, 6], data="kept")
    store._log._transaction, store._log._was_written = transaction, said
    assert len(store) == 1 and store.refresh() and store.get(1)[2] == "kept"


def test_a_server_that_restarts_keeps_the_items(tmp_path, prefix):
    with redis_server.started(tmp_path, "--appendonly", "yes") as server:
        store = RedisStore(port=server.port, prefix=prefix)
        keys = store.batch_add(rows(5), range(5), data=list("abcde"))
        server.stop()
        with pytest.raises(
            ConnectionError, match=f"127|localhost:{server.port}.*refresh"
        ):
            store.add([1, 2, 3])
        assert len(store) == 5
        server.start()
        assert store.get(keys[4])[2] == "e" and store.add([1, 2, 3]) == 5
        again = RedisStore(port=server.port, prefix=prefix)
        assert agree(store, again)
        again.close()
        store.close()


def test_a_server_that_lost_everything_is_noticed(opened, client, prefix):
    store = opened()
    store.batch_add(rows(3))
    client.delete(*client.keys(f"{prefix}:*"))
    for use in (store.refresh, lambda: store.add([1, 2, 3]), store.reset):
        with pytest.raises(RuntimeError, match="no longer holds what was read under"):
            use()
    assert len(store) == 3 and len(opened()) == 0
    other = opened()
    other.batch_add(rows(5))
    store.refresh()
    assert agree(store, other)


def test_a_server_with_another_history_is_noticed(opened, client, prefix):
    store = opened()
    store.add([1, 2, 3])
    before = {key: client.dump(key) for key in client.keys(f"{prefix}:*")}
    store.add([4, 5, 6])
    for key, dumped in before.items():
        client.restore(key, 0, dumped, replace=True)
    with pytest.raises(RuntimeError, match="restored from a copy"):
        store.refresh()
    other = opened()
    for _ in range(2):
        other.add([7, 8, 9])
    with pytest.raises(RuntimeError, match="restored from a copy"):
        store.refresh()
    assert len(other) == 3


@pytest.mark.parametrize("present", ["text", "list", "hash"])
def test_a_prefix_of_another_program_is_refused(present, opened, client, prefix):
    write = {
        "text": lambda key: client.set(key, "mine"),
        "list": lambda key: client.rpush(key, "mine"),
        "hash": lambda key: client.hset(key, "written_by", "me"),
    }
    write[present](f"{prefix}:head")
    before = client.dump(f"{prefix}:head")
    with pytest.raises(ValueError, match=r"not written by this.*another `prefix`"):
        opened()
    assert client.dump(f"{prefix}:head") == before


def test_a_newer_format_and_damage_are_named(opened, client, prefix):
    store = opened()
    store.batch_add(rows(2), data=["a", "b"])
    head = f"{prefix}:head"
    client.hset(head, "format", 2)
    with pytest.raises(ValueError, match="has format 2.*formats up to 1.*newer"):
        opened()
    client.hset(head, "format", "one")
    with pytest.raises(ValueError, match="head' on the Redis server.* is damaged"):
        opened()
    client.hset(head, "format", 1)
    (log,) = client.keys(f"{prefix}:log:*")
    (data,) = client.keys(f"{prefix}:data:*")
    entry, item = client.lindex(log, 0), client.hget(data, 0)
    for broken in (entry[:-1], entry[:-1] + b"x", b"", b"x" + entry[1:]):
        client.lset(log, 0, broken)
        with pytest.raises(
            ValueError, match=r"log:.*\[0\]' on the Redis server is dam"
        ):
            opened()
    client.lset(log, 0, entry)
    client.hset(data, 0, item[:-1] + b"?")
    with pytest.raises(ValueError, match=r"data:.*\[0\]' on the Redis server is damag"):
        opened().get(0)
    assert opened().get(1)[2] == "b"
    client.delete(data)
    with pytest.raises(RuntimeError, match="no longer on the Redis server.*refresh"):
        opened().get(1)


def test_missing_lots_are_named(opened, client, prefix):
    opened().batch_add(rows(2000, dim=64))
    (lot,) = client.keys(f"{prefix}:lot:*")
    client.delete(lot)
    with pytest.raises(ValueError, match=r"lot:.*is missing.*noeviction"):
        opened()


def test_a_server_that_evicts_is_noticed_before_anything_changes(
    opened, client, prefix
):
    store = opened()
    drop = store._server.put_data

    def evicted(name, items, put):
        drop(name, items, put)
        client.delete(f"{prefix}:{name}")

    store._server.put_data = evicted
    with pytest.raises(RuntimeError, match="dropped what was just put.*noeviction"):
        store.add([1, 2, 3], data="x")
    assert len(store) == 0 and not client.keys(f"{prefix}:*")


def test_a_full_server_refuses_and_nothing_changes(tmp_path, prefix):
    with redis_server.started(tmp_path) as server:
        store = RedisStore(port=server.port, prefix=prefix)
        store.add([1, 2, 3], data="x")
        with redis.Redis(port=server.port) as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(
                RuntimeError, match="refused.*maxmemory.*Nothing was cha"
            ):
                store.batch_add(rows(3), data=["a", "b", "c"])
            client.config_set("maxmemory", 0)
        assert len(store) == 1 and store.add([4, 5, 6]) == 1
        store.close()


def test_a_server_that_is_not_there_is_said(prefix):
    with pytest.raises(ConnectionError, match=r"redis://localhost:1/0.*`host`, `port`"):
        RedisStore(port=1, prefix=prefix)


def test_passwords_open_and_are_never_shown(tmp_path, prefix, monkeypatch):
    monkeypatch.setattr(redis_address, "_LONGEST_PAUSE", 0.001)
    with redis_server.started(tmp_path, "--requirepass", "s3cret") as server:
        monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
        settings = {"port": server.port, "prefix": prefix}
        for wrong in (None, "wrong secret"):
            with pytest.raises(PermissionError, match=PASSWORD_VARIABLE) as error:
                RedisStore(password=wrong, **settings)
            assert "secret" not in str(error.value)
        first = RedisStore(password="s3cret", **settings)
        first.add([1, 2, 3])
        url = f"redis://:s3cret@127.0.0.1:{server.port}/0"
        second = RedisStore(url=url, prefix=prefix)
        made = [first, second]
        for store in (first, second):
            saved = json.dumps(stores.serialize(store))
            assert "s3cret" not in saved
            with pytest.raises(PermissionError):
                stores.get(json.loads(saved))
            monkeypatch.setenv(PASSWORD_VARIABLE, "s3cret")
            made.append(stores.get(json.loads(saved)))
            assert len(made[-1]) == 1 and type(made[-1]) is RedisStore
            monkeypatch.delenv(PASSWORD_VARIABLE)
        for store in made:
            store.close()


# Addresses, without a server.


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("redis://host:7/3", "redis://host:7/3", None),
        ("rediss://me:a%40b@host:7", "rediss://me@host:7", "a@b"),
        ("redis://:pw@[::1]:7/0", "redis://[::1]:7/0", "pw"),
        (
            "redis://host?password=pw&socket_timeout=5",
            "redis://host?socket_timeout=5",
            "pw",
        ),
        ("unix:///tmp/s?db=2", "unix:///tmp/s?db=2", None),
        ("unix://me:p%3Aw@/tmp/s", "unix://me@/tmp/s", "p:w"),
        ("redis://me@host", "redis://me@host", None),
    ],
)
def test_urls_lose_their_password(url, shown, password, monkeypatch):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    address = Address.from_url(url, None, None)
    assert (address.url, address.password) == (shown, password)
    assert password is None or password not in repr(address)
    monkeypatch.setenv(PASSWORD_VARIABLE, "environment")
    address = Address.from_url(url, None, None)
    assert address.password == (password or "environment")
    assert Address.from_url(url, None, "given").password == (password or "given")


def test_addresses_become_clients(monkeypatch):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    address = Address.of("::1", 7, 3, "me@home", "p:w", ssl=True)
    assert address.url == "rediss://me%40home@[::1]:7/3"
    for one in (address, Address.from_url("rediss://[::1]:7/3", "me@home", "p:w")):
        pool = one.client().connection_pool
        settings = pool.connection_kwargs
        assert pool.connection_class is redis.SSLConnection
        assert (settings["host"], settings["port"], settings["db"]) == ("::1", 7, 3)
        assert (settings["username"], settings["password"]) == ("me@home", "p:w")
    url = "rediss://host:7/3?ssl_ca_certs=/etc/ca.pem&ssl_cert_reqs=required"
    settings = Address.from_url(url, None, None).client().connection_pool
    assert settings.connection_kwargs["ssl_ca_certs"] == "/etc/ca.pem"
    plain = Address.of("h", 1, 0, None, None, False).client().connection_pool
    assert plain.connection_class is redis.Connection


@pytest.mark.parametrize(
    "url", ["http://me:secret@host", "host:6379", "", "me:secret@host", 5, b"redis://h"]
)
def test_what_is_no_url_is_refused_without_its_password(url):
    with pytest.raises(ValueError, match="`url` must begin with 'redis://'") as error:
        RedisStore(url=url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("wrong", ["", None, 5])
def test_a_prefix_is_asked(wrong):
    with pytest.raises(ValueError, match="`prefix` must be a string, not empty"):
        RedisStore(prefix=wrong)


def test_a_long_log_is_written_anew_by_vacuum(opened, client, prefix, monkeypatch):
    from tensorflow_similarity.stores import redis_store

    monkeypatch.setattr(redis_store, "_LONG_LOG", 5)
    store = opened()
    for i in range(8):
        store.add([i, i, i], i, data=i)
    before, lineage = facts(store), store.snapshot().lineage
    assert store.vacuum() == 0
    (log,) = client.keys(f"{prefix}:log:*")
    assert client.llen(log) == 1
    assert facts(store) == before and store.snapshot().lineage == lineage
    assert agree(store, opened())


def test_a_folder_is_read_in_place_of_what_is_there(opened, tmp_path, keys):
    memory = MemoryStore()
    memory.batch_add(rows(6), list("abcdef"), data=rows(6), ids=range(6))
    memory.remove([2])
    memory.save(tmp_path / "a")
    store = opened()
    store.batch_add(rows(9, dim=2), data=list(range(9)))
    assert store.load(tmp_path / "a") == 5
    found = facts(store)
    assert found.pop("next_key") == 9
    assert equal_data(
        found, {k: v for k, v in facts(memory).items() if k != "next_key"}
    )
    assert agree(store, opened()) and keys() == ["data", "head", "log"]


def test_configuration_names_the_place_and_holds_no_items(opened, redis_socket, prefix):
    store = opened(name="mine")
    store.add([1, 2, 3])
    config = store.get_config()
    assert config == {
        **{"name": "mine", "verbose": 0, "prefix": prefix},
        "url": f"unix://{redis_socket}",
    }
    again = stores.get(json.loads(json.dumps(stores.serialize(store))))
    assert len(again) == 1 and again.get_config() == config
    again.close()


def _write_until_killed(url, prefix, pipe):
    store = RedisStore(url=url, prefix=prefix)
    for turn in range(10_000):
        keys = store.batch_add(rows(40), data=[turn] * 40).tolist()
        pipe.send(keys)
        if turn % 3 == 2:
            store.remove(keys[:20])
            store.vacuum()
            pipe.send([-1 - key for key in keys[:20]])


@forks
def test_a_killed_writer_loses_nothing_acknowledged(
    opened, redis_socket, client, prefix
):
    context = multiprocessing.get_context("fork")
    generator, there = np.random.default_rng(2), set()
    for _ in range(12):
        receive, send = context.Pipe(duplex=False)
        url = f"unix://{redis_socket}"
        writer = context.Process(target=_write_until_killed, args=(url, prefix, send))
        writer.start()
        send.close()
        said = [receive.recv()]
        time.sleep(generator.uniform(0, 0.05))
        writer.kill()
        writer.join()
        with contextlib.suppress(EOFError):
            while True:
                said.append(receive.recv())
        receive.close()
        there |= {key for keys in said for key in keys if key >= 0}
        gone = {-1 - key for keys in said for key in keys if key < 0}
        there -= gone
        # What was removed without having been said to be.
        maybe = set([keys for keys in said if keys[0] >= 0][-1][:20])
        store = opened()
        found = facts(store)
        assert len(set(found["keys"])) == len(found["keys"])
        assert not set(found["keys"]) & gone and there - set(found["keys"]) <= maybe
        assert None not in found["data"]
        there = set(found["keys"])
    # Of what was never said to be there, or no longer, nothing stays for ever.
    store.vacuum()
    names = {f"{prefix}:head", f"{prefix}:log:{store._taken.position.generation}"}
    names |= {f"{prefix}:{lot}" for lot in store._taken.lots}
    for _, _, chunk in store.snapshot().items.chunks():
        names |= {f"{prefix}:{name}" for name in chunk.names}
    for key in client.keys(f"{prefix}:*"):
        assert key.decode() in names or client.ttl(key) > 0, key
