"""An index as an Arrow table or a Parquet file, and back."""

import numpy as np
import pytest

from tensorflow_similarity.indexer import arrow, arrow_writer
from tensorflow_similarity.stores import MemoryStore
from tensorflow_similarity.types.lookup import equal_data

pa = pytest.importorskip("pyarrow", reason="the package pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet")


def rows(n, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def facts(store):
    snapshot = store.snapshot()
    alive = snapshot.vectors.alive_rows()
    details = snapshot.at(alive)
    embeddings, data = details.embeddings, details.data
    return {
        "embeddings": embeddings.tolist(),
        "labels": snapshot.labels[alive].tolist(),
        "metadata": snapshot.metadata.records(alive),
        "data": [(type(item), str(item)) for item in data],
        "ids": snapshot.own_ids and snapshot.ids[alive].tolist(),
    }


def again(batches):
    store = MemoryStore()
    for batch in batches:
        store.batch_add(**batch)
    return store


def both(store, path):
    """The store through a table, and through a file."""
    arrow.to_parquet(store.snapshot(), path / "a.parquet")
    yield again(arrow.from_arrow(arrow.to_arrow(store.snapshot())))
    yield again(arrow.from_parquet(path / "a.parquet"))


DATA = {
    "pictures": rows(24, dim=6).reshape(24, 2, 3),
    "bytes as pictures": np.arange(24 * 4, dtype=np.uint8).reshape(24, 2, 2, 1),
    "flags": np.arange(24 * 3).reshape(24, 3) % 2 == 0,
    "numbers": np.arange(24) / 2,
    "big endian": (np.arange(24) / 2).astype(">f4"),
    "halves": np.arange(24).astype(np.float16),
    "dates": np.array(["2020-01-01", "NaT"] * 12, "M8[D]"),
    "array of texts": np.array(["a", "bcd"] * 12),
    "empty arrays": np.zeros((24, 0, 2)),
    "texts": ["a", "", "ü猫\0", None] * 6,
    "half pairs": ["a", "\ud800", "b", None] * 6,
    "blobs": [b"", b"\0\xff", None] * 8,
    "integers": [1, None, -(2**63), 2**63 - 1] * 6,
    "large integers": [1, 2**63, 0] * 8,
    "floats": [1.5, float("nan"), None, float("-inf")] * 6,
    "flags in a list": [True, False, None] * 8,
    "mixed": [1, 1.5, "a", None] * 6,
    "flags and integers": [1, True] * 12,
    "numpy scalars": [np.float32(1.5), np.int8(3)] * 12,
    "ragged": [np.arange(i % 3) for i in range(24)],
    "alike": [np.arange(3) + i for i in range(24)],
    "alike and none": [np.arange(3), None] * 12,
    "dicts": [{"a": [1, (2, np.eye(2))]}, {}, None] * 8,
    "none": [None] * 24,
    "absent": None,
}
PLAIN = {
    **{"pictures": "fixed_size_list<item: float>[6]", "numbers": "double"},
    **{"flags": "fixed_size_list<item: bool>[3]", "texts": "string"},
    **{"blobs": "binary", "integers": "int64", "floats": "double"},
    **{"flags in a list": "bool", "alike": "fixed_size_list<item: int64>[3]"},
    "bytes as pictures": "fixed_size_list<item: uint8>[4]",
}


@pytest.mark.parametrize("kind", DATA)
def test_user_data_come_back_exactly(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_writer, "_BATCH_ROWS", 5)
    store = MemoryStore()
    keys = store.batch_add(rows(24), data=DATA[kind])
    store.remove(keys[::4])
    for other in both(store, tmp_path):
        assert facts(other) == facts(store)
    schema = arrow.to_arrow(store.snapshot()).schema
    if kind in ("none", "absent"):
        assert "data" not in schema.names
    elif kind in PLAIN:
        assert str(schema.field("data").type).replace("element", "item") == PLAIN[kind]
    else:
        assert schema.field("data").type == pa.binary()


def test_data_of_several_batches_are_told_together(tmp_path):
    for parts, plain in (
        ((rows(3), rows(3, seed=1)), True),
        ((rows(3), rows(3, dim=2)), False),
        ((rows(3), None), False),
        ((["a"] * 3, None), True),
        ((["a"] * 3, [1] * 3), False),
        ((np.arange(3), [1] * 3), False),
    ):
        store = MemoryStore()
        for part in parts:
            store.batch_add(rows(3), data=part)
        kind = arrow.to_arrow(store.snapshot()).schema.field("data").type
        assert (kind != pa.binary()) == plain
        for other in both(store, tmp_path):
            assert facts(other) == facts(store)


@pytest.mark.parametrize("labels", [range(9), list("abcdefgh") + [None], None, "gaps"])
@pytest.mark.parametrize("ids", [None, [f"id {i}" for i in range(9)], range(20, 29)])
def test_labels_ids_and_metadata_come_back(labels, ids, tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_writer, "_BATCH_ROWS", 4)
    labels = [1, None, 2**62] * 3 if labels == "gaps" else labels
    columns = {
        "page": [1, None, 2**62] * 3,
        "weight": [0.5, None, float("inf")] * 3,
        "open": [True, None, False] * 3,
        "where": ["x", None, "ü"] * 3,
        "embedding": list(range(9)),
        "data": list("abcdefghi"),
        "metadata.page": [7] * 9,
    }
    store = MemoryStore()
    keys = store.batch_add(rows(9), labels, ids=ids, metadata=columns)
    store.remove(keys[3:5])
    for other in both(store, tmp_path):
        assert facts(other) == facts(store)
    table = arrow.to_arrow(store.snapshot())
    assert table.column_names[:4] == ["id", "embedding", "label", "page"]
    assert table.column_names[-3:] == [
        f"metadata.{name}" for name in ("embedding", "data", "metadata.page")
    ]
    there = [i for i in range(9) if i not in (3, 4)]
    assert table["id"].to_pylist() == [list(ids)[i] if ids else i for i in there]


def test_pandas_reads_the_file(tmp_path):
    import pandas

    store = MemoryStore()
    store.batch_add(
        rows(3), ["a", None, "c"], data=[1, 2, 3], metadata={"page": [1, 2, 3]}
    )
    arrow.to_parquet(store.snapshot(), tmp_path / "a.parquet")
    frame = pandas.read_parquet(tmp_path / "a.parquet")
    assert list(frame.columns) == ["id", "embedding", "label", "page", "data"]
    assert frame["page"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(np.stack(frame["embedding"]), rows(3))


def test_numbers_of_the_index_become_ids_when_asked(tmp_path):
    store = MemoryStore()
    store.remove(store.batch_add(rows(5))[:2])
    table = arrow.to_arrow(store.snapshot())
    arrow.to_parquet(store.snapshot(), tmp_path / "a.parquet")
    assert again(arrow.from_arrow(table)).snapshot().ids.tolist() == [0, 1, 2]
    for batches in (
        arrow.from_arrow(table, keys_as_ids=True),
        arrow.from_parquet(tmp_path / "a.parquet", keys_as_ids=True),
    ):
        assert again(batches).snapshot().ids.tolist() == [2, 3, 4]


def test_batches_are_bounded_by_the_size_of_items(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_writer, "_BATCH_BYTES", 10_000)
    for data in (
        np.zeros((50, 1000), np.uint8),
        [b"x" * 1000] * 50,
        [[b"x" * 999]] * 50,
    ):
        store = MemoryStore()
        store.batch_add(rows(50), data=data)
        path = tmp_path / "a.parquet"
        arrow.to_parquet(store.snapshot(), path)
        assert 5 <= parquet.ParquetFile(path).num_row_groups <= 7
        assert facts(again(arrow.from_parquet(path))) == facts(store)
    store.batch_add(rows(1), data=None)


def test_an_empty_index_goes_both_ways(tmp_path):
    for dim in (0, 3):
        store = MemoryStore()
        if dim:
            store.remove(store.batch_add(rows(2, dim), data=["a", "b"]))
        for other in both(store, tmp_path):
            assert len(other) == 0


def test_a_reader_and_a_single_batch_are_read():
    store = MemoryStore()
    store.batch_add(rows(7), range(7))
    table = arrow.to_arrow(store.snapshot())
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(3))
    for source in (reader, table.to_batches()[0], table.slice(0), table):
        assert facts(again(arrow.from_arrow(source))) == facts(store)
    part = again(arrow.from_arrow(table.slice(2, 3)))
    assert part.snapshot().labels.tolist() == [2, 3, 4]
    np.testing.assert_array_equal(part.batch_get([0])[0], rows(7)[2:3])
    some = again(arrow.from_arrow(table.select(["embedding"])))
    assert len(some) == 7 and some.get(3)[1] is None


@pytest.mark.parametrize("width", [3, -1])
@pytest.mark.parametrize("item", [pa.float64(), pa.float32(), pa.int32()])
def test_tables_of_other_programs_are_read(item, width):
    vectors = (rows(4) * 10).round().tolist()
    table = pa.table(
        {
            "embedding": pa.array(vectors, pa.list_(item, width)),
            "id": pa.array(["a", "b", "c", "d"], pa.large_string()),
            "label": pa.array(["x", "y", None, "x"]).dictionary_encode(),
            "page": pa.array([1, 2, None, 4], pa.uint8()),
            "good": pa.array([True, None, False, True]),
            "kind": pa.array(["u", None, "v", "u"]).dictionary_encode(),
            "nothing": pa.nulls(4),
            "data": [{"a": [1]}, None, {"a": []}, {"a": None}],
        }
    )
    for source in (table, table.slice(0, 4)):
        found = facts(again(arrow.from_arrow(source)))
        assert found["embeddings"] == vectors and found["ids"] == list("abcd")
        assert found["labels"] == ["x", "y", None, "x"]
        assert found["metadata"][0] == {"page": 1, "good": True, "kind": "u"}
        assert found["metadata"][1] == {"page": 2}
        assert equal_data(
            [text for _, text in found["data"]][:2], ["{'a': [1]}", "None"]
        )


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"x": [1]}, ValueError, "must have a column 'embedding'.*'x'"),
        ({"embedding": [1.5]}, ValueError, "of lists of numbers"),
        (
            {"embedding": [[1.0]], "when": pa.array([0], pa.timestamp("s"))},
            TypeError,
            "'when' cannot be metadata: it holds timestamp",
        ),
        ({"embedding": [[1.0]], "x": [[1]]}, TypeError, "'x' cannot be metadata"),
        ({"embedding": [[1.0], None]}, ValueError, "must hold no nulls"),
        ({"embedding": [[1.0], [1.0, 2.0, 3.0]]}, ValueError, "of one length"),
        ({"embedding": [[1.0], [1.0, 2.0]]}, ValueError, "of one length"),
        ({"embedding": [["a"]]}, ValueError, "`embeddings` must be"),
        ({"embedding": [[1.0, None]]}, ValueError, "NaN"),
        ({"embedding": [[1.0]], "id": [1.5]}, TypeError, "`ids` must be"),
    ],
    ids=range(10),
)
def test_other_tables_are_refused(columns, error, message):
    with pytest.raises(error, match=message):
        again(arrow.from_arrow(pa.table(columns)))


def test_what_is_no_table_or_file_is_refused(tmp_path):
    with pytest.raises(TypeError, match="`source` must be a pyarrow.*a list"):
        arrow.from_arrow([])
    with pytest.raises(FileNotFoundError, match="There is no file"):
        arrow.from_parquet(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match=r"index\.parquet"):
        arrow.to_parquet(MemoryStore().snapshot(), tmp_path)
    (tmp_path / "text").write_text("no parquet")
    with pytest.raises(ValueError, match="is no Parquet file, or damaged"):
        arrow.from_parquet(tmp_path / "text")


def test_damaged_pages_are_said(tmp_path):
    store = MemoryStore()
    store.batch_add(rows(50), range(50), data=[f"text {i}" for i in range(50)])
    path = tmp_path / "a.parquet"
    arrow.to_parquet(store.snapshot(), path)
    whole, expected = path.read_bytes(), facts(store)
    # Parquet's footer has no checksum of its own.
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    generator = np.random.default_rng(5)
    for case in range(150):
        broken = bytearray(whole)
        if case % 3:
            broken[generator.integers(end)] ^= 1 << int(generator.integers(8))
        else:
            broken = broken[: generator.integers(len(whole))]
        path.write_bytes(broken)
        try:
            found = facts(again(arrow.from_parquet(path)))
        except ValueError:
            continue
        assert found == expected


def test_a_newer_format_is_refused():
    table = arrow.to_arrow(MemoryStore().snapshot())
    mark = arrow_writer.marked({"format": 2})
    with pytest.raises(ValueError, match="has format 2.*up to 1.*newer"):
        arrow.from_arrow(table.replace_schema_metadata({arrow_writer.MARK: mark}))
    with pytest.raises(ValueError, match="schema of the table is damaged"):
        arrow.from_arrow(table.replace_schema_metadata({arrow_writer.MARK: mark[1:]}))


def test_a_failed_write_leaves_the_file_that_was(tmp_path, monkeypatch):
    store = MemoryStore()
    store.batch_add(rows(3), [1, 2, 3])
    path = tmp_path / "a.parquet"
    arrow.to_parquet(store.snapshot(), path)

    def failing(*args):
        raise OSError("no space left")

    store.add([1, 2, 3])
    with monkeypatch.context() as context:
        context.setattr(arrow_writer.Form, "batches", failing)
        with pytest.raises(OSError, match="no space"):
            arrow.to_parquet(store.snapshot(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]
    assert len(again(arrow.from_parquet(path))) == 3
    arrow.to_parquet(store.snapshot(), path, compression="none")
    assert len(again(arrow.from_parquet(path))) == 4


def test_pyarrow_is_asked_for_by_name(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for use in (
        lambda: arrow.to_arrow(MemoryStore().snapshot()),
        lambda: arrow.from_parquet(tmp_path / "a"),
    ):
        with pytest.raises(ImportError, match="needs pyarrow.*pip install pyarrow"):
            use()
