"""Models of several outputs: which are trained, and which is indexed."""

import keras
import numpy as np
import pytest
from keras import layers

from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss, TripletLoss
from tensorflow_similarity.models import SimilarityModel

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def parts():
    """A map of features, an embedding and classes of pictures."""
    inputs = keras.Input((4, 4, 1))
    features = layers.Conv2D(3, 3, padding="same", name="map")(inputs)
    flat = layers.Flatten()(features)
    embedding = MetricEmbedding(6, name="embedding")(flat)
    return inputs, features, embedding, layers.Dense(6, name="kind")(flat)


def test_an_output_that_is_no_embedding_is_refused():
    inputs, features, embedding, _ = parts()
    model = SimilarityModel(inputs, [features, embedding])
    with pytest.raises(ValueError, match=r"'map' is to be indexed.*\['embedding'\]"):
        model.compile("sgd", loss=[None, TripletLoss()], embedding_output="map")
    model.compile("sgd", loss=[None, TripletLoss()], embedding_output="embedding")
    model = SimilarityModel(*parts()[:2])
    with pytest.raises(ValueError, match="Pool it, or flatten it"):
        model.compile("sgd", distance="cosine")


def test_the_output_whose_loss_compares_is_indexed():
    inputs, _, embedding, kinds = parts()
    model = SimilarityModel(inputs, [kinds, embedding])
    model.compile("sgd", loss=[None, TripletLoss("euclidean")])
    model.index(np.zeros((2, 4, 4, 1), "float32"), [0, 1], verbose=0)
    assert model.indexer.embedding_output == 1
    assert model.indexer.distance.name == "euclidean"


def test_an_output_that_is_neither_number_nor_name_is_refused():
    inputs, _, embedding, kinds = parts()
    model = SimilarityModel(inputs, [kinds, embedding])
    with pytest.raises(TypeError, match="None, a number or a name.*1.5"):
        model.compile("sgd", distance="cosine", embedding_output=1.5)


def test_missing_targets_are_named():
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, MetricEmbedding(4)(inputs))
    model.compile("sgd", loss=TripletLoss())
    with pytest.raises(ValueError, match="`y_true` is missing"):
        model.fit(np.zeros((4, 4), "float32"), verbose=0)


@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables")
@pytest.mark.parametrize("as_dict", [False, True])
def test_none_trains_nothing_and_the_rest_is_indexed(as_dict, data, tmp_path):
    x, y = data
    x = x[..., None]
    inputs, _, embedding, kinds = parts()
    outputs = {"embedding": embedding, "kind": kinds}
    losses = {"embedding": MultiSimilarityLoss(), "kind": None}
    targets = {"embedding": y, "kind": y}
    if not as_dict:
        outputs, losses, targets = (
            [part["kind"], part["embedding"]] for part in (outputs, losses, targets)
        )
    model = SimilarityModel(inputs, outputs)
    model.compile("sgd", loss=losses, embedding_output="embedding")
    before = model.get_layer("kind").get_weights()[0]
    model.fit(x, targets, batch_size=30, verbose=0)
    np.testing.assert_array_equal(before, model.get_layer("kind").get_weights()[0])

    model.index(x, y, verbose=0)
    assert model.indexer.embedding_size == 6
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [n.label for n in loaded.single_lookup(x[2], k=1)] == [y[2]]
    loaded.fit(x, targets, batch_size=30, verbose=0)


def test_each_output_has_targets_of_its_own_form(data):
    x, y = data
    inputs = keras.Input((4, 4))
    flat = layers.Flatten()(inputs)
    outputs = {
        name: MetricEmbedding(4, name=name)(flat)
        for name in ("labels", "labels_ids", "multi_hot")
    }
    model = SimilarityModel(inputs, outputs)
    model.compile("sgd", loss={name: TripletLoss(targets=name) for name in outputs})
    targets = {
        "labels": y,
        # Rows i and i + 30 are copies of one item.
        "labels_ids": np.stack([y, np.arange(60) % 30], axis=1),
        "multi_hot": np.eye(6, dtype="int32")[y],
    }
    history = model.fit(x, targets, batch_size=60, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    with pytest.raises(ValueError, match=r'targets="labels_ids".*shape \(batch, 2\)'):
        model.fit(x, {**targets, "labels_ids": y}, batch_size=60, verbose=0)


def test_labels_may_come_as_rows_and_as_a_column(data):
    x, y = data
    inputs = keras.Input((4, 4))
    model = SimilarityModel(inputs, MetricEmbedding(4)(layers.Flatten()(inputs)))
    model.compile(keras.optimizers.SGD(0.0), loss=TripletLoss())
    losses = [
        model.fit(x, labels, batch_size=60, verbose=0).history["loss"][0]
        for labels in (y, y[:, None], y)
    ]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)
