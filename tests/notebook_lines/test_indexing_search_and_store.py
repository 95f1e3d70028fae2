"""`indexing_search_and_store.ipynb`: other searches and stores. Known as HEAD only."""

import os
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

import tensorflow_similarity as tfsim
from tensorflow_similarity.search import FaissSearch, LinearSearch
from tensorflow_similarity.stores import CachedStore, RedisStore
from tests import redis_server
from tests.notebook_lines.digit_pictures import (
    CLASSES,
    KNOWN,
    get_model,
    load_data,
)

tf = pytest.importorskip("tensorflow")
pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The cells, one after the other, in a folder of their own."""
    from tensorflow.keras import layers
    from tensorflow.keras.optimizers import Adam

    folder, before = tmp_path_factory.mktemp("run"), os.getcwd()
    os.chdir(folder)
    tf.keras.utils.set_random_seed(7)
    (x_train, y_train), (x_test, y_test) = load_data()
    train_ds = tf.data.Dataset.from_tensor_slices((x_train, y_train))
    sampler = tfsim.samplers.TFDataSampler(
        ds=train_ds,
        classes_per_batch=6,
        examples_per_class_per_batch=10,
        class_list=CLASSES[:6],
    )
    model = get_model(tfsim, layers)
    loss = tfsim.losses.MultiSimilarityLoss(distance="cosine")

    store = CachedStore()
    search = FaissSearch("cosine", 64)
    model.compile(optimizer=Adam(0.002), loss=loss, kv_store=store, search=search)
    model.fit(
        sampler,
        steps_per_epoch=30,
        epochs=2,
        validation_data=(x_test, y_test),
        verbose=0,
    )
    # Of MNIST the notebook takes 2,048 of each.
    x_index, y_index = tfsim.samplers.select_examples(x_train, y_train, CLASSES, 100)
    model.reset_index()
    model.index(x_index, y_index, data=x_index)

    x_display, y_display = tfsim.samplers.select_examples(x_test, y_test, CLASSES, 1)
    nns = model.lookup(x_display, k=5)

    model.save("models/cached_store", save_index=True)
    reloaded = tf.keras.models.load_model(
        "models/cached_store",
        custom_objects={"SimilarityModel": tfsim.models.SimilarityModel},
    )
    reloaded.load_index("models/cached_store")
    yield SimpleNamespace(**locals())
    os.chdir(before)


@pytest.fixture(scope="module")
def redis_notebook(notebook, tmp_path_factory):
    """The last cells: the same model with an index on a Redis server."""
    model = notebook.reloaded
    with redis_server.started(tmp_path_factory.mktemp("redis")) as server:
        # The line says no port; the server of the tests does not have Redis' own.
        _, _, *others = RedisStore.__init__.__defaults__
        defaults = ("localhost", server.port, *others)
        with mock.patch.object(RedisStore.__init__, "__defaults__", defaults):
            model.create_index(
                distance="cosine",
                search=LinearSearch("cosine", 64),
                kv_store=RedisStore(),
            )
            x_index, y_index = notebook.x_index[:500], notebook.y_index[:500]
            model.index(x_index, y_index, data=x_index)
            nns = model.lookup(notebook.x_display, k=5)
            model.save("models/redis_store", save_index=True)
            again = tf.keras.models.load_model(
                "models/redis_store",
                custom_objects={"SimilarityModel": tfsim.models.SimilarityModel},
            )
            again.load_index("models/redis_store")
            yield SimpleNamespace(**locals())


def test_each_class_has_its_examples(notebook):
    np.testing.assert_array_equal(np.bincount(notebook.y_index), [100] * 10)
    assert notebook.model.index_size() == 1000


def test_faiss_finds_what_is_exactly_nearest(notebook):
    embeddings = notebook.model.predict(notebook.x_index, verbose=0)
    queries = notebook.model.predict(notebook.x_display, verbose=0)
    exact = np.sort(1 - queries.astype("float64") @ embeddings.T, axis=1)[:, :5]
    np.testing.assert_allclose(notebook.nns.distances, exact, atol=1e-4)
    for row in notebook.nns:
        assert [item.rank for item in row] == [1, 2, 3, 4, 5]
        assert row[0].data.shape == (28, 28)


def test_neighbours_of_known_classes_are_right(notebook):
    known = np.isin(notebook.y_test, KNOWN)
    found = notebook.model.lookup(notebook.x_test[known], k=1, verbose=0)
    labels = np.array([row[0].label for row in found])
    assert (labels == notebook.y_test[known]).mean() > 0.85


def test_summary_names_search_and_store(notebook, capsys):
    notebook.model.index_summary()
    said = capsys.readouterr().out
    assert "1000" in said.replace(",", "")
    assert "faiss" in said.lower() and "cached" in said.lower()


def test_items_lie_in_the_folder_and_come_back_with_the_model(notebook):
    assert list(notebook.folder.glob("*.sqlite*")) or list(notebook.folder.glob("*.db"))
    assert notebook.reloaded.index_size() == 1000
    here, there = (
        model.lookup(notebook.x_display, k=5, verbose=0)
        for model in (notebook.model, notebook.reloaded)
    )
    np.testing.assert_allclose(here.distances, there.distances, atol=1e-6)
    np.testing.assert_array_equal(here.labels, there.labels)
    np.testing.assert_array_equal(there[0][0].data, here[0][0].data)


def test_redis_and_exact_search_find_the_same(notebook, redis_notebook):
    embeddings = notebook.model.predict(redis_notebook.x_index, verbose=0)
    queries = notebook.model.predict(notebook.x_display, verbose=0)
    exact = np.sort(1 - queries.astype("float64") @ embeddings.T, axis=1)[:, :5]
    np.testing.assert_allclose(redis_notebook.nns.distances, exact, atol=1e-5)
    nearest = redis_notebook.nns[0][0]
    row = np.argmin(1 - queries[0] @ embeddings.T)
    assert nearest.label == redis_notebook.y_index[row]
    np.testing.assert_array_equal(nearest.data, redis_notebook.x_index[row])


def test_index_on_redis_comes_back_with_the_model(notebook, redis_notebook, capsys):
    again = redis_notebook.again
    assert again.index_size() == 500
    found = again.lookup(notebook.x_display, k=5, verbose=0)
    np.testing.assert_allclose(found.distances, redis_notebook.nns.distances, atol=1e-6)
    again.index_summary()
    said = capsys.readouterr().out.lower()
    assert "redis" in said and "linear" in said
