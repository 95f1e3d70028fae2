"""A model's index: own ids, metadata, filters, streams."""

import numpy as np
import pytest

pytestmark = pytest.mark.backend_smoke


@pytest.fixture
def shop(model, data):
    """Picture i has the id "p<i>", the class i % 6 and the price i."""
    x, y = data
    ids = [f"p{i}" for i in range(len(x))]
    added = model.index(
        x, y, ids=ids, metadata={"price": np.arange(len(x))}, data=ids, verbose=0
    )
    assert added.tolist() == ids
    return model


def test_neighbours_carry_ids_and_metadata_and_meet_conditions(shop, data):
    x, y = data
    first = shop.single_lookup(x[7])[0]
    assert (first.id, first.metadata, first.label) == ("p7", {"price": 7}, y[7])
    cheap = shop.single_lookup(x[7], k=60, where={"price": {"<": 10}, "label": [0, 1]})
    assert sorted(one.id for one in cheap) == ["p0", "p1", "p6", "p7"]
    lookups = shop.lookup(x[:3], k=3, where={"price": {">=": 30}}, verbose=0)
    assert all(one.metadata["price"] >= 30 for found in lookups for one in found)
    assert len(shop.lookup(x[:1], k=60, group_by="label", verbose=0)[0]) == 6
    near = shop.lookup(x[:1], k=60, max_distance=0.0, exact=True, verbose=0)[0]
    assert all(one.distance <= 0.0 for one in near)


def test_items_are_asked_for_by_id(shop):
    lookups = shop.lookup(id=["p7", "p8"], k=3)
    assert len(lookups) == 2 and "p7" not in [one.id for one in lookups[0]]
    with pytest.raises(KeyError, match="nobody"):
        shop.lookup(id="nobody")
    for wrong in ({}, {"x": np.ones((1, 4, 4)), "id": "p7"}):
        with pytest.raises(ValueError, match="either `x`, examples, or `id`"):
            shop.lookup(**wrong)


def test_items_are_replaced_relabelled_removed_and_erased(shop, data):
    x, _ = data
    assert shop.index_single(x[3], 5, id="p7", metadata={"price": 3}) == "p7"
    assert shop.index_size() == 60 and shop.indexer.get("p7").label == 5
    shop.relabel(["p1"], [0])
    assert shop.indexer.get("p1").label == 0
    assert shop.remove("p2") == 1 and shop.vacuum() == 2
    assert shop.index_size() == 59


def test_batches_of_a_stream_are_added_as_they_come(model, data, monkeypatch):
    from tensorflow_similarity._core import embedding

    monkeypatch.setattr(embedding, "_LOT", 16)
    x, y = data
    lots = []
    monkeypatch.setattr(
        "tensorflow_similarity.indexer.Indexer.batch_add",
        lambda self, rows, *a, **k: lots.append(len(rows)) or np.arange(len(rows)),
    )
    model.index(((x[i : i + 8], y[i : i + 8]) for i in range(0, 60, 8)), verbose=0)
    assert lots == [16, 16, 16, 12]


def test_a_stream_that_breaks_leaves_the_index_as_it_was(model, data, monkeypatch):
    from tensorflow_similarity._core import embedding

    monkeypatch.setattr(embedding, "_LOT", 16)
    x, y = data
    model.index(x[:5], y[:5], verbose=0)

    def breaking():
        yield x[:20], y[:20]
        yield x[20:40], y[20:40]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        model.index(breaking(), verbose=0)
    assert model.index_size() == 5
    found = model.lookup(x, k=20, verbose=0)
    assert np.unique(found.ids).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="`x` is empty"):
        model.index(iter([]), verbose=0)
    assert len(model.index(iter([(x[:4], y[:4])]), verbose=0)) == 4
    assert model.index_size() == 9


def test_ids_and_filters_come_back_with_the_model(shop, data, tmp_path):
    import keras

    shop.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    found = again.single_lookup(data[0][7], k=2, where={"price": [7, 8]})
    assert [one.id for one in found] == ["p7", "p8"]


def test_a_model_with_a_store_on_disk_is_saved_and_loaded(model, data, tmp_path):
    import keras

    from tensorflow_similarity.stores import SQLiteStore

    x, y = data
    with SQLiteStore(tmp_path / "db") as store:
        model.compile("adam", loss=model.loss, kv_store=store)
        model.index(x, y, verbose=0)
        model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.index_size() == 60 and again.single_lookup(x[7], k=1)[0].id == 7
    again.reset_index()
    again.index(x[:3], verbose=0)
    assert again.index_size() == 3
    again.indexer.store.close()


def test_a_store_that_holds_items_is_an_index_at_once(model, data):
    from tensorflow_similarity.stores import MemoryStore

    store = MemoryStore()
    store.batch_add(np.eye(8), range(8))
    model.create_index(kv_store=store)
    assert model.index_size() == 8 and len(model.lookup(data[0][:2], verbose=0)) == 2
    with pytest.raises(ValueError, match="does not say where the items are to be"):
        model.create_index(kv_store="sqlite")
        model.index(data[0], verbose=0)
