import keras
import numpy as np
import pytest
from keras import layers

from tensorflow_similarity.distances import CosineDistance
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss, TripletLoss
from tensorflow_similarity.models import SimilarityMixin, SimilarityModel
from tensorflow_similarity.samplers import MultiShotMemorySampler
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.stores import MemoryStore
from tensorflow_similarity.types import Lookups

from .conftest import small_model

pytestmark = pytest.mark.backend_smoke


def test_finds_each_example_itself_first(indexed, data):
    x, y = data
    lookups = indexed.lookup(x, k=3, verbose=0)
    assert isinstance(lookups, Lookups)
    assert lookups.ids[:, 0].tolist() == list(range(60))
    np.testing.assert_allclose(lookups.distances[:, 0], 0, atol=1e-6)
    assert (np.diff(lookups.distances, axis=1) >= 0).all()
    assert lookups[7][0].label == y[7]
    np.testing.assert_array_equal(lookups[7][0].data, x[7])


def test_single_lookup_equals_lookup(indexed, data):
    x, _ = data
    one, many = indexed.single_lookup(x[4], k=5), indexed.lookup(x, k=5, verbose=0)[4]
    assert [n.label for n in one] == [n.label for n in many]
    np.testing.assert_allclose(
        [n.distance for n in one], [n.distance for n in many], atol=1e-5
    )


def test_k_above_the_size_is_a_short_answer(indexed, data):
    assert len(indexed.single_lookup(data[0][0], k=1000)) == 60
    assert indexed.lookup(data[0], k=1000, verbose=0).ids.shape == (60, 60)


def test_blocks_do_not_change_embeddings(indexed, data):
    x, _ = data
    whole = indexed.lookup(x, k=2, verbose=0)
    parts = indexed.lookup(x, k=2, verbose=0, batch_size=7)
    np.testing.assert_allclose(whole.distances, parts.distances, atol=1e-5)
    assert (whole.ids[:, 0] == parts.ids[:, 0]).all()


def test_index_returns_ids_that_remove_takes(model, data):
    x, y = data
    ids = model.index(x, y, verbose=0)
    assert ids.tolist() == list(range(60))
    assert model.remove(ids[:10]) == 10
    assert model.remove(ids[:10]) == 0
    assert model.index_size() == 50
    assert set(model.lookup(x, k=50, verbose=0).ids.ravel()) == set(range(10, 60))


def test_index_single_adds_one(model, data):
    x, y = data
    assert model.index_single(x[0], y[0], data="first", verbose=0) == 0
    assert model.index_single(x[1], np.array([4]), verbose=0) == 1
    assert model.index_single(x[2], verbose=0) == 2
    found = model.single_lookup(x[0], k=3)
    assert found[0].data == "first"
    assert sorted((n.label is None, n.label) for n in found)[0] == (False, y[0])


def test_string_labels_and_any_user_data_come_back(model, data):
    x, _ = data
    labels = [f"class {i % 6}" for i in range(60)]
    extra = [{"page": i, "size": np.zeros(i % 3)} for i in range(60)]
    model.index(x, labels, data=extra, verbose=0)
    nearest = model.single_lookup(x[8], k=1)[0]
    assert nearest.label == "class 2"
    assert nearest.data["page"] == 8 and nearest.data["size"].shape == (2,)


def test_reset_index_forgets_but_old_lookups_stay(indexed, data):
    x, y = data
    lookups = indexed.lookup(x[:3], k=1, verbose=0)
    indexed.reset_index()
    assert indexed.index_size() == 0
    np.testing.assert_array_equal(lookups[2][0].data, x[2])
    indexed.index(x[:5], y[:5], verbose=0)
    assert indexed.index_size() == 5


def test_reindex_embeds_again_and_keeps_ids(indexed, data, caplog):
    x, y = data
    indexed.remove([3])
    before = indexed.lookup(x, k=2, verbose=0)
    indexed.fit(x, y, batch_size=30, epochs=2, verbose=0)
    indexed.reindex(verbose=0)
    after = indexed.lookup(x, k=2, verbose=0)
    assert not caplog.records
    kept = np.arange(60) != 3
    assert (after.ids[kept, 0] == np.arange(60)[kept]).all()
    np.testing.assert_allclose(after.distances[kept, 0], 0, atol=1e-6)
    assert not np.allclose(before.distances[:, 1], after.distances[:, 1])


def test_reindex_without_user_data_asks_for_the_examples(model, data):
    x, y = data
    model.index(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"reindex\(x\)"):
        model.reindex()
    with pytest.raises(ValueError, match="60 items. Received: 10 rows"):
        model.reindex(x[:10], verbose=0)
    model.reindex(x, verbose=0)


def test_training_on_warns_once_that_the_index_is_old(indexed, data, caplog):
    x, y = data
    indexed.lookup(x[:2], verbose=0)
    assert not caplog.records
    indexed.fit(x, y, batch_size=30, epochs=1, verbose=0)
    indexed.lookup(x[:2], verbose=0)
    indexed.single_lookup(x[0])
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "reindex()" in caplog.text


def test_other_weights_warn(indexed, data, caplog, tmp_path):
    x, _ = data
    other = small_model()
    other.save_weights(tmp_path / "x.weights.h5")
    indexed.load_weights(tmp_path / "x.weights.h5")
    indexed.lookup(x[:2], verbose=0)
    assert "weights of the model are not those" in caplog.text


def test_equal_weights_loaded_again_do_not_warn(indexed, data, caplog, tmp_path):
    indexed.save_weights(tmp_path / "x.weights.h5")
    indexed.load_weights(tmp_path / "x.weights.h5")
    indexed.set_weights(indexed.get_weights())
    indexed.lookup(data[0][:2], verbose=0)
    assert not caplog.records


def test_summary_says_what_the_index_is(indexed, data):
    indexed.lookup(data[0], verbose=0)
    lines = []
    indexed.index_summary(print_fn=lines.append)
    text = "\n".join(lines)
    for part in ("60", "cosine", "nmslib (exact at this size)", "memory", "median"):
        assert part in text


def test_data_frame_has_a_row_an_item(indexed):
    frame = indexed.to_data_frame()
    assert list(frame.columns) == ["embeddings", "labels", "data"]
    assert len(frame) == 60 and len(indexed.to_data_frame(7)) == 7


def test_create_index_works_without_compile(data):
    x, y = data
    model = small_model(compiled=False)
    model.create_index(
        distance="l2", search=LinearSearch("l2", 8), kv_store=MemoryStore()
    )
    model.index(x, y, verbose=0)
    assert model.indexer.distance.name == "euclidean"
    assert model._index is model.indexer


def test_uncompiled_model_indexes_by_cosine(data):
    model = small_model(compiled=False)
    model.index(data[0], verbose=0)
    assert model.indexer.distance == CosineDistance()
    assert model.single_lookup(data[0][0])[0].label is None


def test_labels_come_with_batches_from_generators_and_datasets(model, data):
    x, y = data

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return x[i * 20 : i * 20 + 20], y[i * 20 : i * 20 + 20]

    model.index(Batches(), verbose=0)
    model.index(iter([(x[:9], y[:9]), (x[9:11], y[9:11])]), verbose=0)
    model.index(iter([x[:4]]), verbose=0)
    assert model.index_size() == 60 + 11 + 4
    labels = model.indexer.items()[1]
    assert (labels[:60] == y).all() and (labels[60:71] == y[:11]).all()


def test_several_inputs_as_list_and_dict():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    model = SimilarityModel(
        {"a": a, "b": b}, MetricEmbedding(4)(layers.concatenate([a, b]))
    )
    x = {"a": np.random.rand(10, 3), "b": np.random.rand(10, 2)}
    model.index(x, y=np.arange(10), verbose=0)
    one = {"a": x["a"][3], "b": x["b"][3]}
    assert model.single_lookup(one, k=1)[0].label == 3
    pair = SimilarityModel([a, b], MetricEmbedding(4)(layers.concatenate([a, b])))
    pair.index([x["a"], x["b"]], y=np.arange(10), verbose=0)
    assert pair.single_lookup([x["a"][3], x["b"][3]], k=1)[0].label == 3
    with pytest.raises(ValueError, match="equal lengths"):
        pair.index([x["a"], x["b"][:5]], verbose=0)


def two_heads():
    inputs = keras.Input((4, 4, 1))
    x = layers.Flatten()(inputs)
    return SimilarityModel(
        inputs,
        [layers.Dense(3, name="kind")(x), MetricEmbedding(8, name="embedding")(x)],
    )


@pytest.mark.parametrize("which", [1, "embedding"])
def test_embedding_output_by_number_or_name(data, which):
    x, y = data
    model = two_heads()
    model.compile("adam", loss=[None, TripletLoss("l2")], embedding_output=which)
    model.index(x, y, verbose=0)
    assert model.indexer.embedding_size == 8
    assert model.indexer.distance.name == "euclidean"
    assert model.single_lookup(x[3], k=1)[0].label == y[3]


@pytest.mark.parametrize("which", [2, -1, "nothing"])
def test_embedding_output_that_is_not_there(which):
    with pytest.raises(ValueError, match="embedding_output"):
        two_heads().compile("adam", distance="cosine", embedding_output=which)


def test_a_model_with_a_call_of_its_own(data):
    x, y = data
    small_model()  # a functional one first: Keras rewrites the bases of its class

    class Mine(SimilarityMixin, keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten = layers.Flatten()
            self.head = MetricEmbedding(8)

        def call(self, inputs):
            return self.head(self.flatten(inputs))

    model = Mine()
    model.compile("adam", loss=MultiSimilarityLoss())
    model.fit(x, y, batch_size=30, epochs=1, verbose=0)
    model.index(x, y, verbose=0)
    assert model.single_lookup(x[5], k=1)[0].label == y[5]


def test_fit_lets_a_sampler_go_on_where_the_optimizer_left_off(model, data):
    x, y = data

    class Recording(keras.utils.PyDataset):
        steps = []

        def resume(self, step, steps_per_epoch=None):
            self.steps.append((step, steps_per_epoch))

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return x[:30], y[:30]

    model.fit(Recording(), epochs=2, verbose=0)
    model.fit(Recording(), epochs=1, steps_per_epoch=4, verbose=0)
    # Before it is read, and again when callbacks have restored what they restore.
    assert list(dict.fromkeys(Recording.steps)) == [(0, None), (8, 4)]


def test_fit_reads_a_sampler_through_its_feed_with_the_same_batches(data):
    class ReadByKeras(MultiShotMemorySampler):
        def on_epoch_end(self):
            super().on_epoch_end()

    losses = []
    for kind in (MultiShotMemorySampler, ReadByKeras):
        keras.utils.set_random_seed(7)
        model, sampler = small_model(), kind(*data, steps_per_epoch=5, seed=3)
        is_fed = kind is MultiShotMemorySampler
        is_fed = is_fed and keras.backend.backend() == "tensorflow"
        assert (sampler.feed() is not sampler) == is_fed
        history = model.fit(sampler, epochs=3, steps_per_epoch=5, verbose=0)
        assert sampler.epoch == 3
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


# What compile refuses.


def test_auto_distance_is_that_of_the_loss(data):
    model = small_model(loss=MultiSimilarityLoss("manhattan"))
    model.index(data[0], verbose=0)
    assert model.indexer.distance.name == "manhattan"


def test_auto_distance_with_a_loss_that_has_none():
    with pytest.raises(ValueError, match="'mean_squared_error' has no distance"):
        small_model(loss="mse")
    small_model(loss="mse", distance="cosine")


def test_another_distance_than_the_loss_has():
    with pytest.raises(ValueError, match="Give both the same"):
        small_model(loss=MultiSimilarityLoss("cosine"), distance="l2")
    model = small_model(loss=MultiSimilarityLoss("cosine"))
    with pytest.raises(ValueError, match="Give both the same"):
        model.create_index(distance="l2")


@pytest.mark.parametrize(
    "settings, known",
    [
        ({"distance": "typo"}, "euclidean"),
        ({"search": "typo"}, "linear"),
        ({"kv_store": "typo"}, "memory"),
        ({"evaluator": "typo"}, "memory"),
    ],
)
def test_unknown_names_list_the_known_ones(settings, known):
    with pytest.raises(ValueError, match=f"(?s)typo|{known}") as error:
        small_model(**settings)
    assert known in str(error.value) and "typo" in str(error.value)


def test_compiling_for_another_distance_needs_an_empty_index(indexed, data):
    with pytest.raises(ValueError, match="reset_index"):
        indexed.compile("adam", loss=TripletLoss("l2"))
    assert indexed.lookup(data[0], verbose=0).ids.shape == (60, 5)
    indexed.reset_index()
    indexed.compile("adam", loss=TripletLoss("l2"))
    indexed.index(data[0], verbose=0)
    assert indexed.indexer.distance.name == "euclidean"


def test_nmslib_cannot_do_snr_and_says_what_can(data):
    model = small_model(loss=TripletLoss("snr"))
    with pytest.raises(ValueError, match="search='linear'"):
        model.index(data[0], verbose=0)
    model = small_model(loss=TripletLoss("snr"), search="linear")
    model.index(data[0], verbose=0)


# Wrong input.


def test_lookup_before_index():
    model = small_model()
    for call in (lambda: model.lookup(np.zeros((1, 4, 4))), lambda: model.remove([0])):
        with pytest.raises(RuntimeError, match=r"model.index\(x, y\)"):
            call()
    with pytest.raises(RuntimeError, match="no index"):
        model.index_summary()


def test_emptied_index_says_so(indexed, data):
    indexed.remove(np.arange(60))
    with pytest.raises(RuntimeError, match="empty"):
        indexed.lookup(data[0])


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None])
def test_k_must_be_a_positive_integer(indexed, data, k):
    with pytest.raises(ValueError, match="`k` must be an integer of at least 1"):
        indexed.single_lookup(data[0][0], k=k)
    with pytest.raises(ValueError, match="`k` must be an integer of at least 1"):
        indexed.lookup(data[0], k=k)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"y": np.arange(59)}, r"`labels` must hold one label for each item"),
        ({"y": np.full(60, 0.5)}, "integers"),
        ({"data": np.zeros(59)}, "59 items for 60 embeddings"),
        ({"data": [object()] * 60}, "a object"),
        ({"data": 7}, "sequence of 60 items"),
    ],
)
def test_wrong_labels_and_data_add_nothing(model, data, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model.index(data[0], verbose=0, **arguments)
    assert model.index_size() == 0


def test_nan_embeddings_are_refused(data):
    inputs = keras.Input((4, 4, 1))
    model = SimilarityModel(inputs, MetricEmbedding(8)(layers.Flatten()(inputs)))
    x = data[0].copy()
    x[17] = np.nan
    with pytest.raises(ValueError, match="1 of 60 rows, first in row 17"):
        model.index(x, verbose=0)
    assert model.index_size() == 0


def test_examples_of_unequal_shape_are_refused(model):
    with pytest.raises(ValueError, match="unequal shape"):
        model.index([np.zeros((4, 4)), np.zeros((3, 4))], verbose=0)


def test_empty_input_is_refused(model):
    with pytest.raises(ValueError, match="nothing to embed"):
        model.index(np.zeros((0, 4, 4)), verbose=0)


def test_a_model_that_loses_rows_is_refused():
    class Halves(layers.Layer):
        def call(self, x):
            return x[::2]

        def compute_output_shape(self, shape):
            return shape

    inputs = keras.Input((3,))
    model = SimilarityModel(inputs, Halves()(inputs))
    with pytest.raises(ValueError, match="one row for each example"):
        model.index(np.ones((8, 3)), verbose=0)


def test_endless_sources_are_refused(model):
    class Endless(keras.utils.PyDataset):
        num_batches = None

        def __getitem__(self, i):
            return np.zeros((2, 4, 4))

    with pytest.raises(ValueError, match="endless"):
        model.index(Endless(), verbose=0)


# What a user may change between two indexes.


def two_outputs_by_key(**losses):
    inputs = keras.Input((4, 4, 1))
    x = layers.Flatten()(inputs)
    outputs = {
        "kind": layers.Dense(3, name="layer_1")(x),
        "embedding": MetricEmbedding(8, name="layer_2")(x),
    }
    model = SimilarityModel(inputs, outputs)
    model.compile("adam", loss=losses, embedding_output="embedding")
    return model


def test_outputs_in_a_dict_go_by_its_keys(data):
    x, y = data
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = two_outputs_by_key(kind=cross_entropy, embedding=TripletLoss("l2"))
    model.fit(x, {"kind": y % 3, "embedding": y}, batch_size=30, verbose=0)
    model.index(x, y, verbose=0)
    assert model.indexer.distance.name == "euclidean"
    assert model.indexer.embedding_size == 8


def test_compiling_again_takes_effect_after_reset(data):
    x, y = data
    model = two_heads()
    model.compile("adam", distance="cosine", search="linear", embedding_output=0)
    model.index(x, y, verbose=0)
    assert model.indexer.embedding_size == 3
    with pytest.raises(ValueError, match="from output 0, and cannot go on"):
        model.compile("adam", distance="cosine", embedding_output=1)
    model.reset_index()
    model.compile("adam", distance="cosine", search="nmslib", embedding_output=1)
    model.index(x, y, verbose=0)
    assert model.indexer.embedding_size == 8
    assert model.indexer.search_type == "nmslib"


def test_a_search_of_another_distance_is_refused_by_compile():
    with pytest.raises(ValueError, match="Give both the same distance"):
        small_model(search=LinearSearch("l2", 8))


def test_a_sampler_for_validation_gives_the_same_batches_each_epoch(model, data):
    x, y = data
    drawn = []

    class Recording(keras.utils.PyDataset):
        fixed = False

        def __len__(self):
            return 2

        def __getitem__(self, i):
            drawn.append(self.fixed)
            return x[:30], y[:30]

    validation = Recording()
    model.fit(x, y, epochs=2, validation_data=validation, verbose=0)
    assert drawn and all(drawn)
    assert validation.fixed is False


def test_the_warning_survives_saving(indexed, data, caplog, tmp_path):
    x, y = data
    indexed.fit(x, y, batch_size=30, epochs=1, verbose=0)
    indexed.lookup(x[:2], verbose=0)
    indexed.save(tmp_path / "m")
    caplog.clear()
    loaded = keras.models.load_model(tmp_path / "m")
    loaded.lookup(x[:2], verbose=0)
    assert "not those that the index was made with" in caplog.text


def test_adding_after_training_on_does_not_hide_the_old_items(indexed, data, caplog):
    x, y = data
    indexed.fit(x, y, batch_size=30, epochs=1, verbose=0)
    indexed.index(x[:5], y[:5], verbose=0)
    assert "not those that the index was made with" in caplog.text
    caplog.clear()
    indexed.reindex(np.concatenate([x, x[:5]]), verbose=0)
    indexed.lookup(x[:2], verbose=0)
    assert not caplog.records


def test_index_single_takes_one_label(model, data):
    with pytest.raises(ValueError, match="one label for each item"):
        model.index_single(data[0][0], y=[1, 2, 3], verbose=0)


def test_labels_of_another_kind_after_all_items_are_removed(model, data):
    x, y = data
    ids = model.index(x, y, verbose=0)
    model.remove(ids)
    model.index(x, [f"c{label}" for label in y], verbose=0)
    assert model.single_lookup(x[1], k=1)[0].label == f"c{y[1]}"
    model.remove(np.arange(200))
    model.index(x, y, verbose=0)
    assert model.single_lookup(x[1], k=1)[0].label == y[1]
    assert model.remove(ids) == 0


def test_a_dataset_is_trained_on_without_a_word_about_shuffling(model, data):
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(20)
    # Keras' warning that it does not shuffle datasets is an error here.
    history = model.fit(dataset, epochs=2, verbose=0).history["loss"]
    assert len(history) == 2 and np.isfinite(history).all()
