"""Own ids, metadata, filters, groups, and what an index tells about itself."""

import numpy as np
import pytest

from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.search import NMSLibSearch


def rows(n, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


COLOURS = np.array(["red", "green", "blue"])


def filled(n=60, graph=False, **kwargs):
    """Item i: id "i", label i % 4, colour i % 3, price i."""
    indexer = Indexer(4, "euclidean", **kwargs)
    indexer.batch_add(
        rows(n),
        np.arange(n) % 4,
        data=[f"item {i}" for i in range(n)],
        ids=[str(i) for i in range(n)],
        metadata={"colour": COLOURS[np.arange(n) % 3], "price": np.arange(n)},
    )
    if graph:
        indexer.build(force=True)
    return indexer


def ranking(queries, allowed, n=60):
    """Allowed ids by distance, from all distances in float64."""
    everything = rows(n).astype(float)
    found = []
    for query in queries.astype(float):
        order = np.argsort(np.sqrt(((everything - query) ** 2).sum(axis=1)))
        found.append([str(i) for i in order if allowed(i)])
    return found


def test_items_are_known_by_the_users_ids():
    indexer = filled()
    item = indexer.get("7")
    assert (item.id, item.label, item.data) == ("7", 3, "item 7")
    assert item.metadata == {"colour": "green", "price": 7}
    np.testing.assert_array_equal(item.embedding, rows(60)[7])
    found = indexer.single_lookup(rows(60)[7:8], k=3)
    assert found[0].id == "7" and found[0].metadata == {"colour": "green", "price": 7}
    lookups = indexer.batch_lookup(rows(60)[:5], k=2)
    assert lookups.ids[:, 0].tolist() == ["0", "1", "2", "3", "4"]
    assert lookups[3][0].data == "item 3" and lookups[3][0].id == "3"
    assert "7" in indexer and "77" not in indexer
    assert [item.id for item in indexer] == [str(i) for i in range(60)]
    with pytest.raises(KeyError, match=r"no item with the id \['77'\]"):
        indexer.get("77")
    with pytest.raises(TypeError, match="must be strings, as the ids of this index"):
        indexer.get(7)


@pytest.mark.parametrize("graph", [False, True])
def test_an_id_that_comes_again_replaces_its_item(graph):
    indexer = filled(graph=graph)
    old = indexer.batch_lookup(rows(60)[:3], k=1)
    new = rows(2, seed=9) + 20
    added = indexer.batch_add(new, [9, 9], ids=["1", "new"], metadata={"price": [0, 1]})
    assert added.tolist() == ["1", "new"] and len(indexer) == 61
    assert indexer.get("1").label == 9 and indexer.get("1").data is None
    assert indexer.get("1").metadata == {"price": 0}
    assert indexer.single_lookup(new[:1], k=1)[0].id == "1"
    lookups = indexer.batch_lookup(rows(60), k=61)
    assert [sorted(set(row)) for row in lookups.ids.tolist()] == [
        sorted([*map(str, range(60)), "new"])
    ] * 60
    # Results drawn before tell what was.
    assert old[1][0].id == "1" and old[1][0].label == 1 and old[1][0].data == "item 1"


def test_ids_are_for_all_items_or_for_none():
    indexer = filled(6)
    with pytest.raises(ValueError, match="have `ids` that are strings. Give each new"):
        indexer.batch_add(rows(1))
    with pytest.raises(TypeError, match="one type in one index. It holds strings; rec"):
        indexer.batch_add(rows(1), ids=[3])
    with pytest.raises(ValueError, match="distinct in one call"):
        indexer.batch_add(rows(2), ids=["x", "x"])
    with pytest.raises(TypeError, match="'price' holds integers. Received: strings"):
        indexer.batch_add(rows(1), ids=["x"], metadata={"price": ["high"]})
    with pytest.raises(ValueError, match="`labels`"):
        indexer.batch_add(rows(1), [1, 2], ids=["x"])
    assert len(indexer) == 6 and "x" not in indexer
    indexer.remove([str(i) for i in range(6)])
    assert indexer.batch_add(rows(2)).tolist() == [6, 7]
    with pytest.raises(ValueError, match="numbers its items itself"):
        indexer.batch_add(rows(1), ids=["x"])
    assert indexer.add(rows(1), 3) == 8 and indexer.get(8).label == 3


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(
    ("where", "allowed"),
    [
        ({"colour": "red"}, lambda i: i % 3 == 0),
        ({"price": {">=": 10, "<": 14}}, lambda i: 10 <= i < 14),
        ({"label": [1, 2], "colour": "blue"}, lambda i: i % 4 in (1, 2) and i % 3 == 2),
        (
            {"or": [{"id": "5"}, {"not": {"price": {"<": 55}}}]},
            lambda i: i in (5, *range(55, 60)),
        ),
        ({"price": {">": 100}}, lambda i: False),
    ],
    ids=range(5),
)
def test_filters_come_before_ranking(where, allowed, graph):
    indexer = filled(graph=graph)
    queries = rows(7, seed=4)
    expected = ranking(queries, allowed)
    lookups = indexer.batch_lookup(queries, k=5, where=where)
    assert [[one.id for one in found] for found in lookups] == [
        names[:5] for names in expected
    ]
    single = indexer.single_lookup(queries[:1], k=5, where=where)
    assert [one.id for one in single] == expected[0][:5]
    if graph:  # of so few the graph finds all
        lookups = indexer.batch_lookup(queries, k=5, where=where, exact=False)
        assert [[one.id for one in found] for found in lookups] == [
            names[:5] for names in expected
        ]


def test_one_of_each_group():
    indexer = filled()
    queries = rows(6, seed=4)
    for name, of in (("label", lambda i: i % 4), ("colour", lambda i: i % 3)):
        lookups = indexer.batch_lookup(queries, k=3, group_by=name)
        for found, names in zip(lookups, ranking(queries, lambda i: True), strict=True):
            firsts = dict.fromkeys(of(int(i)) for i in names)
            expected = [next(i for i in names if of(int(i)) == g) for g in firsts]
            assert [one.id for one in found] == expected[:3]
    assert len(indexer.batch_lookup(queries, k=9, group_by="colour")[0]) == 3
    indexer.add(queries[:1], id="alone", metadata={})
    assert indexer.single_lookup(queries[:1], k=9, group_by="colour")[0].id == "alone"
    with pytest.raises(ValueError, match=r"`group_by` must be one of \['label', 'col"):
        indexer.batch_lookup(queries, group_by="size")


def test_nothing_beyond_the_largest_distance():
    indexer = filled()
    queries = rows(6, seed=4)
    all_of_them = indexer.batch_lookup(queries, k=60)
    limit = float(np.median(all_of_them.distances))
    lookups = indexer.batch_lookup(queries, k=60, max_distance=limit)
    for found, everything in zip(lookups, all_of_them, strict=True):
        near = [one.id for one in everything if one.distance <= limit]
        assert [one.id for one in found] == near
    assert (lookups.found == (all_of_them.distances <= limit)).all()
    assert np.isinf(lookups.distances[~lookups.found]).all()
    assert lookups.ids[~lookups.found].tolist() == [None] * int((~lookups.found).sum())
    assert indexer.single_lookup(queries[:1], max_distance=-1.0) == []
    with pytest.raises(ValueError, match="`max_distance` must be a number"):
        indexer.batch_lookup(queries, max_distance=float("nan"))


@pytest.mark.parametrize("graph", [False, True])
def test_more_like_this_leaves_itself_out(graph):
    indexer = filled(graph=graph)
    expected = ranking(rows(60)[[7, 20]], lambda i: True)
    lookups = indexer.lookup_ids(["7", "20"], k=4)
    assert [[one.id for one in found] for found in lookups] == [
        [i for i in names if i != own][:4]
        for names, own in zip(expected, ("7", "20"), strict=True)
    ]
    assert len(indexer.lookup_ids("7", k=99)[0]) == 59
    red = indexer.lookup_ids("7", k=99, where={"colour": "red"})[0]
    assert [one.id for one in red] == ranking(rows(60)[7:8], lambda i: i % 3 == 0)[0]
    copies = indexer.batch_add(rows(60)[[7, 7]], ids=["a", "b"])
    assert {one.id for one in indexer.lookup_ids("7", k=2)[0]} == set(copies.tolist())
    groups = indexer.lookup_ids("7", k=9, group_by="label")[0]
    assert "7" not in [one.id for one in groups] and len(groups) == 6
    with pytest.raises(KeyError, match="nobody"):
        indexer.lookup_ids("nobody")


def test_other_labels():
    indexer = filled()
    before = indexer.batch_lookup(rows(60)[:3], k=1)
    indexer.relabel(["1", "2"], [8, None])
    assert [indexer.get(i).label for i in "0123"] == [0, 8, None, 3]
    assert before[1][0].label == 1
    with pytest.raises(KeyError, match="nobody"):
        indexer.relabel(["0", "nobody"], [1, 1])
    with pytest.raises(TypeError, match="of one kind"):
        indexer.relabel(["0"], ["cat"])
    with pytest.raises(ValueError, match="one label for each"):
        indexer.relabel(["0"], [1, 2])
    assert indexer.get("0").label == 0
    everything = [str(i) for i in range(60)]
    indexer.relabel(everything, [f"class {i}" for i in everything])
    assert indexer.get("5").label == "class 5"


@pytest.mark.parametrize("graph", [False, True])
def test_vacuum_erases(graph, tmp_path):
    indexer = filled(graph=graph)
    before = indexer.batch_lookup(rows(60), k=60)
    gone = [str(i) for i in range(0, 60, 2)]
    indexer.remove(gone)
    expected = indexer.batch_lookup(rows(60), k=30).ids.tolist()
    assert indexer.vacuum() == 30 and indexer.vacuum() == 0
    assert indexer.is_built() == graph
    assert indexer._snapshot.facts.vectors.size == len(indexer) == 30
    assert indexer.batch_lookup(rows(60), k=30).ids.tolist() == expected
    assert indexer.get("7").metadata == {"colour": "green", "price": 7}
    assert indexer.get("7").data == "item 7" and "8" not in indexer
    assert before[8][0].data == "item 8"  # drawn before, told from what was
    indexer.save(tmp_path / "a")
    assert Indexer.load(tmp_path / "a").get("7").data == "item 7"
    indexer.remove([str(i) for i in range(60)])
    assert indexer.vacuum() == 30 and len(indexer) == 0
    indexer.add(rows(1), id="x")


def test_two_indexes_become_one():
    indexer, other = filled(20), filled(40)
    other.relabel(["3"], [77])
    added = indexer.merge(other)
    assert len(added) == len(indexer) == 40 and indexer.get("3").label == 77
    assert indexer.get("35").metadata == {"colour": "blue", "price": 35}
    assert indexer.get("35").data == "item 35" and len(other) == 40
    assert len(indexer.merge(Indexer(4, "euclidean"))) == 0
    with pytest.raises(ValueError, match="same distance and width.*'cosine' and 4"):
        indexer.merge(Indexer(4, "cosine"))
    with pytest.raises(ValueError, match="'euclidean' and 3"):
        indexer.merge(Indexer(3, "euclidean"))
    plain = Indexer(4, "euclidean")
    plain.batch_add(rows(3))
    with pytest.raises(ValueError, match="`ids`"):
        indexer.merge(plain)
    assert len(plain.merge(plain)) == 3 and len(plain) == 6


def test_recall_is_measured_against_all_items():
    assert filled().recall_check() == 1.0
    with pytest.raises(RuntimeError, match="index is empty"):
        Indexer(4).recall_check()
    weak = NMSLibSearch(
        "euclidean",
        16,
        index_params={"M": 4, "efConstruction": 8},
        query_params={"efSearch": 1},
    )
    indexer = Indexer(16, "euclidean", search=weak)
    x = rows(3000, 16)
    indexer.batch_add(x)
    indexer.build(force=True)
    recall = indexer.recall_check(n=300, k=5)
    true = np.argsort(((x[:, None] - x[None, :300]) ** 2).sum(-1), axis=0)[:5].T
    found = indexer.batch_lookup(x[:300], k=5).ids
    share = np.mean([len({*a} & {*b}) / 5 for a, b in zip(true, found, strict=True)])
    assert 0.2 < recall < 0.98 and abs(recall - share) < 0.1


@pytest.mark.parametrize("exact", [False, True])
def test_near_duplicates_are_found_as_pairs(exact):
    x = rows(200)
    x[50] = x[3] + 1e-4
    x[150:190] = x[9]
    indexer = Indexer(4, "euclidean")
    ids = indexer.batch_add(x)
    first, second, distances = indexer.find_duplicates(1e-3, exact=exact)
    clones = [9, *range(150, 190)]
    expected = {(a, b) for a in clones for b in clones if a < b} | {(3, 50)}
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert len(first) == len(expected) and (np.diff(distances) >= 0).all()
    assert ids[3] == 3 and distances[-1] == pytest.approx(2e-4, rel=0.01)
    assert len(indexer.find_duplicates(-1.0)[0]) == 0


@pytest.mark.parametrize("mapped", [False, True])
def test_everything_comes_back_from_files(mapped, tmp_path):
    indexer = filled(graph=True)
    indexer.remove(["4", "5"])
    indexer.batch_add(rows(2, seed=5), ids=["6", "tail"], metadata={"price": [1, 2]})
    indexer.save(tmp_path / "a")
    loaded = Indexer.load(tmp_path / "a", mapped=mapped)
    assert (loaded.nbytes() < indexer.nbytes()) == mapped
    for subject in (loaded, indexer):
        assert len(subject) == 59 and subject.is_built()
        assert subject.get("tail").metadata == {"price": 2}
        assert subject.get("7").metadata == {"colour": "green", "price": 7}
        found = subject.batch_lookup(rows(60), k=59, where={"price": {"<": 30}})
        assert "4" not in found.ids and (found.found.sum(axis=1) == 29).all()
    a, b = (i.batch_lookup(rows(9, seed=3), k=5) for i in (loaded, indexer))
    assert a.ids.tolist() == b.ids.tolist() and a == b
    loaded.batch_add(rows(3, seed=6), ids=["6", "x", "y"])
    assert len(loaded) == 61 and indexer.get("6").metadata == {"price": 1}
    loaded.save(tmp_path / "a")
    assert len(Indexer.load(tmp_path / "a", mapped=mapped)) == 61


def test_a_mapped_vector_is_checked_when_it_is_used(tmp_path):
    filled().save(tmp_path / "a")
    (file,) = (tmp_path / "a").rglob("*.f32")
    raw = bytearray(file.read_bytes())
    raw[100] ^= 1
    file.write_bytes(raw)
    loaded = Indexer.load(tmp_path / "a", mapped=True)
    for _ in range(2):
        with pytest.raises(ValueError, match="is damaged: 60 vectors from byte 0"):
            loaded.batch_lookup(rows(1))
    with pytest.raises(ValueError, match="is damaged"):
        Indexer.load(tmp_path / "a", mapped=False)


def test_an_index_with_pictures_answers_as_fast_in_arrays(monkeypatch):
    from tensorflow_similarity.stores import StoreSnapshot

    indexer = Indexer(4)
    indexer.batch_add(rows(30), data=np.zeros((30, 8, 8)))
    looked = []
    monkeypatch.setattr(StoreSnapshot, "at", lambda *a: looked.append(a))
    lookups = indexer.batch_lookup(rows(100, seed=1), k=10)
    assert lookups.ids.shape == (100, 10) and not looked


def test_format_2_is_read():
    from pathlib import Path

    indexer = Indexer.load(Path(__file__).parent / "formats" / "2")
    assert [item.id for item in indexer] == ["x", "z", "w"]
    first, third, last = indexer
    assert (first.label, third.label, last.label) == ("a", "c", "d")
    assert first.data == {"page": 1} and last.data == "last"
    assert third.data.tolist() == [0, 1, 2] and third.metadata == {"price": 3}
    assert first.metadata == {"price": 1, "kind": "k"} and last.metadata == {}
    assert third.embedding.tolist() == [0, 0, 3]
    indexer.add([[1, 1, 1]], "e", id="y", metadata={"price": 2})
    assert len(indexer) == 4 and indexer.single_lookup([[1, 1, 1]], k=1)[0].id == "y"


def test_format_1_is_read():
    from pathlib import Path

    indexer = Indexer.load(Path(__file__).parent / "formats" / "1")
    assert len(indexer) == 3 and indexer.distance.name == "euclidean"
    items = {item.id: item for item in indexer}
    assert [items[i].label for i in (0, 2, 3)] == ["a", "c", "d"]
    assert items[0].data == {"page": 1} and items[3].data == "last"
    assert items[2].data.tolist() == [0, 1, 2]
    assert items[2].embedding.tolist() == [0, 0, 3]
    assert [one.id for one in indexer.single_lookup([[0, 0, 3.1]], k=2)] == [2, 0]
    assert indexer.add([[1, 1, 1]], "e") == 4


def test_what_fails_half_way_leaves_the_index_as_it_was(monkeypatch):
    from tensorflow_similarity.indexer import changing

    monkeypatch.setattr(changing, "_LOT", 16)
    indexer, other = filled(20, graph=True), Indexer(4, "euclidean")
    before = indexer.batch_lookup(rows(20), k=20)
    names = [str(i) for i in range(10, 60)]
    other.batch_add(rows(20, seed=3), ids=names[:20])
    other.batch_add(rows(30), ids=names[20:], metadata={"price": ["high"] * 30})
    with pytest.raises(TypeError, match="'price' holds integers. Received: strings"):
        indexer.merge(other)
    assert len(indexer) == 20 and "35" not in indexer
    assert indexer.get("15").label == 3 and indexer.get("15").data == "item 15"
    assert indexer.batch_lookup(rows(20), k=20) == before
    pa = pytest.importorskip("pyarrow")
    good = filled(5).to_arrow()
    bad = pa.table({"id": ["x"], "embedding": [[1.0, 2.0, 3.0, 4.0]], "price": ["low"]})

    class Batches:
        def __iter__(self):
            yield from changing.arrow.from_arrow(good)
            yield from changing.arrow.from_arrow(bad)

    with monkeypatch.context() as patch:
        batches = list(Batches())
        patch.setattr(changing.arrow, "from_arrow", lambda source: iter(batches))
        with pytest.raises(TypeError, match="'price' holds integers"):
            indexer.add_arrow(good)
    assert len(indexer) == 20 and indexer.batch_lookup(rows(20), k=20) == before
    assert indexer.add_arrow(good) == 5 and len(indexer) == 20
    assert indexer.get("3").metadata == {"colour": "red", "price": 3}


def test_a_table_goes_out_and_comes_back(tmp_path):
    pytest.importorskip("pyarrow")
    indexer = filled(30)
    indexer.to_parquet(tmp_path / "items.parquet")
    again = Indexer(4, "euclidean")
    assert again.add_arrow(tmp_path / "items.parquet") == 30
    queries = rows(9, seed=2)
    assert again.batch_lookup(queries, k=5) == indexer.batch_lookup(queries, k=5)
    assert [vars(a).keys() for a in again] == [vars(b).keys() for b in indexer]
    assert again.get("7").metadata == indexer.get("7").metadata


def test_another_programs_changes_are_taken_over():
    """A store that renumbers its rows behind the index's back."""
    from tensorflow_similarity.stores import MemoryStore

    store = MemoryStore()
    indexer = Indexer(4, "euclidean", kv_store=store)
    indexer.batch_add(rows(40))
    indexer.build(force=True)
    store.remove(range(10))
    store.vacuum()
    store.batch_add(rows(3, seed=8))
    indexer.refresh()
    assert len(indexer) == 33
    found = indexer.batch_lookup(np.concatenate([rows(40)[10:], rows(3, seed=8)]), k=1)
    assert found.ids.ravel().tolist() == list(range(10, 43))


def test_ids_are_asked_for_as_they_were_given():
    indexer = Indexer(4)
    indexer.batch_add(rows(4), ids=["a", "a\0", "1", ""])
    assert indexer.get("a\0").id == "a\0" and indexer.remove(["a\0"]) == 1
    assert "a" in indexer and "a\0" not in indexer
    with pytest.raises(TypeError, match="all of one type"):
        indexer.remove([1, "a"])
    assert indexer.remove({"1", ""}) == 2 and len(indexer) == 1
    with pytest.raises(TypeError, match="`ids` must be integers of 64 bits or strings"):
        indexer.batch_add(rows(2), ids=[1, "b"])
    with pytest.raises(ValueError, match=r"`ids` must hold one id for each of the 2"):
        indexer.batch_add(rows(2), ids=["b"])
    assert len(indexer.batch_add(rows(0), ids=[])) == 0
    for wrong in (np.array([True, False]), np.array([1.0, 2.0])):
        with pytest.raises(TypeError, match="`ids` must be integers or strings"):
            Indexer(4).batch_add(rows(2), ids=wrong)


def test_a_repeated_id_does_not_change_the_kind_of_labels():
    indexer = filled(2)
    with pytest.raises(TypeError, match="of one kind"):
        indexer.relabel(["0", "0"], ["a", "b"])
    assert [item.label for item in indexer] == [0, 1]
    indexer.remove(["0", "1"])
    indexer.batch_add(rows(1), ["cat"], ids=["0"])
    assert indexer.get("0").label == "cat"


def test_labels_of_removed_items_bind_no_more():
    indexer = Indexer(4)
    indexer.batch_add(rows(2), [1, None])
    indexer.remove([0])
    indexer.batch_add(rows(1), ["cat"])
    assert [item.label for item in indexer] == [None, "cat"]


def test_without_a_structure_the_items_are_there(monkeypatch, caplog):
    indexer = filled(30)
    fails = lambda *_: (_ for _ in ()).throw(OSError(28, "no space"))  # noqa: E731
    monkeypatch.setattr(indexer.search, "_build", fails)
    monkeypatch.setattr(indexer.search, "_wants_structure", lambda n: True)
    indexer.batch_add(rows(1) + 50, ids=["new"])
    assert "no structure could be built" in caplog.text and len(indexer) == 31
    assert indexer.single_lookup(rows(1) + 50, k=1)[0].id == "new"
    with pytest.raises(OSError, match="no space"):
        indexer.build()


def test_groups_are_told_a_lot_at_a_time(monkeypatch):
    from tensorflow_similarity.indexer import nearest

    monkeypatch.setattr(nearest, "_ANSWERS_AT_A_TIME", 100)
    indexer = filled()
    indexer.relabel([str(i) for i in range(60)], [f"c{i % 3}" for i in range(60)])
    found = indexer.batch_lookup(rows(20, seed=4), k=10**9, group_by="label")
    assert found.ids.shape == (20, 3)
    assert all({one.label for one in row} == {"c0", "c1", "c2"} for row in found)


def test_a_frame_has_ids_and_metadata():
    frame = filled(5).to_data_frame()
    assert frame.index.tolist() == list("01234")
    assert frame["price"].tolist() == [0, 1, 2, 3, 4]
    assert frame["colour"].tolist()[:2] == ["red", "green"]


def test_an_index_moved_aside_by_a_killed_program_is_found(tmp_path):
    import os

    filled(5).save(tmp_path / "a")
    os.replace(tmp_path / "a", tmp_path / ".a.12345678.old")
    assert len(Indexer.load(tmp_path / "a")) == 5
    os.replace(tmp_path / "a", tmp_path / ".a.12345678.old")
    filled(6).save(tmp_path / "a")
    assert len(Indexer.load(tmp_path / "a")) == 6
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_store_that_is_not_there_is_said(tmp_path, monkeypatch):
    from tensorflow_similarity.stores import SQLiteStore

    monkeypatch.chdir(tmp_path)
    with SQLiteStore("db") as store:
        indexer = Indexer(4, kv_store=store)
        indexer.batch_add(rows(5))
        indexer.save("idx")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = Indexer.load("../idx")
    assert len(loaded) == 5
    loaded.store.close()
    (tmp_path / "db").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="5 items in the store at .*db"):
        Indexer.load("../idx")
    assert not (tmp_path / "db").exists()


def test_a_structure_of_other_rows_is_not_used(tmp_path):
    import shutil

    from tensorflow_similarity.stores import SQLiteStore

    def added(seed):
        with SQLiteStore(tmp_path / "db") as store:
            indexer = Indexer(4, "euclidean", kv_store=store)
            indexer.batch_add(rows(300, seed=seed))
            indexer.build(force=True)
            if seed == 1:
                indexer.save(tmp_path / "idx")

    with SQLiteStore(tmp_path / "db") as store:
        Indexer(4, "euclidean", kv_store=store).batch_add(rows(5))
    shutil.copytree(tmp_path / "db", tmp_path / "copy")
    added(1)
    shutil.rmtree(tmp_path / "db")
    shutil.copytree(tmp_path / "copy", tmp_path / "db")
    added(2)
    loaded = Indexer.load(tmp_path / "idx")
    found = loaded.batch_lookup(rows(300, seed=2), k=1)
    assert found.ids.ravel().tolist() == list(range(5, 305))
    loaded.store.close()


def test_what_fails_half_way_is_taken_back_without_writing_all(tmp_path):
    from tensorflow_similarity.stores import SQLiteStore
    from tensorflow_similarity.stores.changes import Loaded

    with SQLiteStore(tmp_path / "db") as store:
        indexer = Indexer(4, kv_store=store)
        indexer.batch_add(rows(50), ids=range(50))
        record, seen = store._record, []
        store._record = lambda c, after: seen.append(type(c)) or record(c, after)
        with pytest.raises(RuntimeError), indexer._all_or_nothing():
            indexer.batch_add(rows(20, seed=2), ids=range(100, 120))
            raise RuntimeError
        assert len(indexer) == 50 and Loaded not in seen
    with SQLiteStore(tmp_path / "db", read_only=True) as store:
        assert len(store) == 50


@pytest.mark.parametrize(
    ("n", "seed"), [(40, 1), pytest.param(500, 2, marks=pytest.mark.slow)]
)
def test_random_damage_is_an_error_or_harmless(n, seed, tmp_path):
    """Flips and cuts anywhere: said, or the answers are those of before."""
    indexer = filled(200, graph=True)
    indexer.remove([str(i) for i in range(0, 40, 3)])
    indexer.batch_add(rows(30, seed=5), ids=[f"t{i}" for i in range(30)])
    indexer.save(tmp_path / "a")
    queries = rows(20, seed=6)
    before = indexer.batch_lookup(queries, k=10, exact=True)
    everything = sorted(file for file in (tmp_path / "a").rglob("*") if file.is_file())
    rng, refused = np.random.default_rng(seed), 0
    for i in range(n):
        file = everything[i % len(everything)]
        raw = file.read_bytes()
        at = int(rng.integers(len(raw)))
        if rng.random() < 0.5:
            file.write_bytes(raw[:at])
        else:
            bit = bytes([raw[at] ^ (1 << int(rng.integers(8)))])
            file.write_bytes(raw[:at] + bit + raw[at + 1 :])
        try:
            loaded = Indexer.load(tmp_path / "a", mapped=bool(rng.random() < 0.5))
            assert loaded.batch_lookup(queries, k=10, exact=True) == before
        except (ValueError, FileNotFoundError):
            refused += 1
        file.write_bytes(raw)
    assert refused > 0.9 * n
    assert (
        Indexer.load(tmp_path / "a").batch_lookup(queries, k=10, exact=True) == before
    )
