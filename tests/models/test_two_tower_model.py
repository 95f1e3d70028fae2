"""Two towers: trained on pairs, one index that items enter and queries ask."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from keras import layers, ops

from tensorflow_similarity.losses import (
    XBM,
    ArcFaceLoss,
    InfoNCELoss,
    MatryoshkaLoss,
    MultiNegativesRankLoss,
    MultiSimilarityLoss,
    SigLIPLoss,
    SupConLoss,
    TripletLoss,
)
from tensorflow_similarity.models import SimilarityModel, TwoTowerModel
from tests.gradients import BACKEND, to_numpy

pytestmark = pytest.mark.backend_smoke

T = 0.5


def tower(n_in, dim=4, **kwargs):
    inputs = keras.Input((n_in,))
    return keras.Model(inputs, layers.Dense(dim, **kwargs)(inputs))


def two_towers(loss=None, optimizer="adam", **kwargs):
    """Queries of 5 numbers, items of 3; the same weights each time."""
    keras.utils.set_random_seed(2)
    model = TwoTowerModel(tower(5), tower(3), **kwargs)
    if loss is not None:
        model.compile(optimizer, loss=loss)
    return model


@pytest.fixture
def pairs():
    """24 queries and 24 items of 6 classes, classes apart."""
    rng = np.random.default_rng(5)
    y = np.arange(24) % 6
    queries = rng.normal(size=(6, 5))[y] + 0.1 * rng.normal(size=(24, 5))
    items = rng.normal(size=(6, 3))[y] + 0.1 * rng.normal(size=(24, 3))
    return {"query": queries.astype("float32"), "item": items.astype("float32")}, y


def dense(model, x):
    kernel, bias = (w.astype("float64") for w in model.get_weights())
    return x.astype("float64") @ kernel + bias


def log_softmax_of_cosines(queries, keys):
    """Row i: log of the probabilities of all keys for query i."""
    logits = np.zeros((len(queries), len(keys)))
    for i, q in enumerate(queries):
        for j, k in enumerate(keys):
            logits[i, j] = q @ k / np.linalg.norm(q) / np.linalg.norm(k) / T
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_value_of_a_loss_of_rows_with_more_negatives_and_weights(pairs):
    x, _ = pairs
    x = {**x, "negatives": x["item"][::-1] + 1}
    weights = np.linspace(0.0, 2.0, 24).astype("float32")
    model = two_towers(MultiNegativesRankLoss("cosine", scale=1 / T))
    queries = dense(model.query_model, x["query"])
    keys = dense(model.item_model, np.concatenate([x["item"], x["negatives"]]))
    values = -np.diag(log_softmax_of_cosines(queries, keys))
    found = model.evaluate(x, batch_size=24, verbose=0)
    assert found == pytest.approx(values.mean(), rel=1e-4)
    found = model.evaluate(x, sample_weight=weights, batch_size=24, verbose=0)
    assert found == pytest.approx((weights * values).mean(), rel=1e-4)
    # The losses of `fit` and of its validation, before the one step.
    model.optimizer.learning_rate = 0.0
    history = model.fit(
        x,
        sample_weight=weights,
        validation_data=(x, None, 2 * weights),
        batch_size=24,
        verbose=0,
    ).history
    assert history["loss"][0] == pytest.approx((weights * values).mean(), rel=1e-4)
    assert history["val_loss"][0] == pytest.approx(2 * history["loss"][0], rel=1e-4)


@pytest.mark.parametrize("symmetric", [True, False])
def test_value_of_a_loss_of_labels(pairs, symmetric):
    x, y = pairs
    model = two_towers(SupConLoss(temperature=T), symmetric=symmetric)
    queries = dense(model.query_model, x["query"])
    items = dense(model.item_model, x["item"])

    def expected(labels):
        values = []
        for a, b in ((queries, items), (items, queries)):
            log = log_softmax_of_cosines(a, b)
            rows = [-log[i][labels == labels[i]].mean() for i in range(24)]
            values.append(np.mean(rows))
        return np.mean(values) if symmetric else values[0]

    found = model.evaluate(x, y, batch_size=24, verbose=0)
    assert found == pytest.approx(expected(y), rel=1e-4)
    # Without labels each row is a class of its own.
    found = model.evaluate(x, batch_size=24, verbose=0)
    assert found == pytest.approx(expected(np.arange(24)), rel=1e-4)


@pytest.mark.parametrize("kind", ["labels", "multi_hot", "relation"])
def test_rows_are_pairs_by_all_kinds_of_targets(pairs, kind):
    x, _ = pairs
    by_rows = two_towers(InfoNCELoss(temperature=T)).test_on_batch(x)
    by_targets = two_towers(SupConLoss(temperature=T, targets=kind)).test_on_batch(x)
    assert by_targets == pytest.approx(by_rows, rel=1e-4)


def test_a_relation_is_turned_round_for_the_way_back(pairs):
    x, _ = pairs
    relation = np.triu(np.ones((24, 24), "float32"))
    model = two_towers(SupConLoss(temperature=T, targets="relation"))
    queries = dense(model.query_model, x["query"])
    items = dense(model.item_model, x["item"])
    there = log_softmax_of_cosines(queries, items)
    back = log_softmax_of_cosines(items, queries)
    expected = [-there[i][i:].mean() for i in range(24)]
    expected += [-back[j][: j + 1].mean() for j in range(24)]
    assert model.test_on_batch(x, relation) == pytest.approx(
        np.mean(expected), rel=1e-4
    )


def test_a_sum_takes_rows_by_rows_and_labels_by_labels(pairs):
    x, y = pairs
    rows, labels = InfoNCELoss(temperature=T), SupConLoss(temperature=T)
    expected = two_towers(rows).test_on_batch(x) + two_towers(labels).test_on_batch(
        x, y
    )
    found = two_towers(rows + labels).test_on_batch(x, y)
    assert found == pytest.approx(expected, rel=1e-4)


def test_regularizers_of_the_towers_count(pairs):
    x, _ = pairs
    keys = tower(3, kernel_regularizer=keras.regularizers.L2(0.5))
    model = TwoTowerModel(tower(5), keys)
    model.compile("adam", loss=InfoNCELoss())
    kernel = keys.get_weights()[0].astype("float64")
    found = model.evaluate(
        x, sample_weight=np.zeros(24, "float32"), batch_size=24, verbose=0
    )
    assert found == pytest.approx(0.5 * (kernel**2).sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("loss", "labelled"),
    [
        (lambda: InfoNCELoss(learn_temperature=True), False),
        (SigLIPLoss, True),
        (lambda: MatryoshkaLoss(InfoNCELoss(learn_temperature=True), [4, 2]), False),
    ],
    ids=["info_nce", "siglip", "matryoshka"],
)
def test_both_towers_and_the_loss_are_trained(pairs, loss, labelled):
    x, y = pairs
    model = two_towers(loss(), keras.optimizers.Adam(0.03))
    before = [to_numpy(ops.convert_to_tensor(v)).copy() for v in model.weights]
    assert len(before) > 4
    history = model.fit(
        (x["query"], x["item"]),
        y if labelled else None,
        batch_size=12,
        epochs=15,
        verbose=0,
    ).history["loss"]
    assert history[-1] < 0.9 * history[0]
    for variable, value in zip(model.weights, before, strict=True):
        moved = np.abs(to_numpy(ops.convert_to_tensor(variable)) - value).max()
        assert moved > 1e-3, variable.path


def test_data_sets_may_bring_more_negatives_than_pairs(pairs):
    x, _ = pairs

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            half = {key: part[i * 12 : i * 12 + 12] for key, part in x.items()}
            return ({**half, "negatives": x["item"]},)

    model = two_towers(InfoNCELoss())
    history = model.fit(Batches(), epochs=2, verbose=0).history["loss"]
    assert len(history) == 2 and np.isfinite(history).all()
    assert int(model.optimizer.iterations) == 4


def test_items_are_embedded_by_one_tower_and_queries_by_the_other(pairs):
    x, y = pairs
    model = two_towers(InfoNCELoss())
    model.index(x["item"][:-1], y[:-1], data=x["item"][:-1], verbose=0)
    model.index_single(x["item"][-1], y[-1], data=x["item"][-1], verbose=0)

    def check():
        queries = dense(model.query_model, x["query"])
        items = dense(model.item_model, x["item"])
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        items /= np.linalg.norm(items, axis=1, keepdims=True)
        distances = 1 - queries @ items.T
        lookups = model.lookup(x["query"], k=24, verbose=0)
        np.testing.assert_allclose(
            lookups.distances, np.sort(distances, axis=1), atol=1e-5
        )
        assert (lookups.ids[:, 0] == distances.argmin(axis=1)).all()
        single = model.single_lookup(x["query"][3], k=24)
        assert [n.label for n in single] == lookups.labels[3].tolist()

    check()
    model.fit(x, batch_size=12, epochs=2, verbose=0)
    model.reindex(verbose=0)
    check()


def test_the_distance_is_that_of_the_loss():
    assert two_towers(TripletLoss("l2"))._similarity.settings.distance.name == (
        "euclidean"
    )
    with pytest.raises(ValueError, match="trains for the distance"):
        two_towers().compile("adam", loss=TripletLoss("l2"), distance="cosine")


def test_training_the_item_tower_makes_the_index_old(pairs, caplog):
    x, _ = pairs
    model = two_towers(InfoNCELoss())
    model.index(x["item"], verbose=0)
    model.item_model.trainable = False
    model.compile("adam", loss=InfoNCELoss())
    model.fit(x, batch_size=12, verbose=0)
    model.lookup(x["query"], verbose=0)
    assert "weights of the model" not in caplog.text
    model.item_model.trainable = True
    model.compile("adam", loss=InfoNCELoss())
    model.fit(x, batch_size=12, verbose=0)
    model.lookup(x["query"], verbose=0)
    assert "weights of the model are not those" in caplog.text


def test_one_model_may_be_both_towers(pairs, tmp_path):
    x, _ = pairs
    shared = tower(3)
    model = TwoTowerModel(shared, shared)
    model.compile("adam", loss=InfoNCELoss())
    model.fit((x["item"] + 0.1, x["item"]), batch_size=12, verbose=0)
    assert len(model.weights) == 2
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.query_model is again.item_model
    for mine, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_towers_without_a_known_shape_are_built_by_the_first_batch(pairs, tmp_path):
    x, _ = pairs
    model = TwoTowerModel(
        keras.Sequential([layers.Dense(4)]), keras.Sequential([layers.Dense(4)])
    )
    assert not model.built
    with pytest.raises(ValueError, match="does not know its output yet"):
        model.compile("adam", loss=InfoNCELoss(learn_temperature=True))
    model((x["query"], x["item"]))
    model.compile("adam", loss=InfoNCELoss(learn_temperature=True))
    model.fit(x, batch_size=12, verbose=0)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.compiled
    for role, found in again.predict(x, verbose=0).items():
        np.testing.assert_allclose(found, expected[role], atol=1e-6)


def test_a_tower_may_have_several_inputs_and_an_index_of_its_own(pairs):
    x, y = pairs
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    outputs = layers.Dense(4)(layers.concatenate([a, b]))
    model = TwoTowerModel(SimilarityModel({"a": a, "b": b}, outputs), tower(3))
    model.compile("adam", loss=MultiSimilarityLoss())
    queries = {"a": x["query"][:, :2], "b": x["query"][:, 2:]}
    model.fit({"query": queries, "item": x["item"]}, y, batch_size=12, verbose=0)
    model.index(x["item"], y, verbose=0)
    assert model.lookup(queries, k=3, verbose=0).ids.shape == (24, 3)
    one = {name: part[0] for name, part in queries.items()}
    assert len(model.single_lookup(one, k=3)) == 3


def test_trains_in_mixed_precision(pairs):
    x, y = pairs
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = two_towers(InfoNCELoss(learn_temperature=True))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.optimizer.name == "loss_scale_optimizer"
    history = model.fit(x, batch_size=12, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]
    assert model.predict(x, verbose=0)["item"].dtype == "float16"


def test_config_round_trip(pairs):
    x, _ = pairs
    model = two_towers(symmetric=False, name="both")
    again = TwoTowerModel.from_config(model.get_config())
    assert again.name == "both" and again.symmetric is False and again.built
    again.set_weights(model.get_weights())
    for role, found in again.predict(x, verbose=0).items():
        np.testing.assert_allclose(
            found, dense(getattr(model, f"{role}_model"), x[role]), atol=1e-5
        )


def test_towers_must_be_models():
    with pytest.raises(TypeError, match="`query_model` must be a Keras model.*Dense"):
        TwoTowerModel(layers.Dense(3), tower(3))
    with pytest.raises(TypeError, match="`item_model` must be a Keras model"):
        TwoTowerModel(tower(3), None)


def test_towers_must_be_of_one_width(pairs):
    with pytest.raises(ValueError, match="one width.*`query_model` 4, `item_model` 6"):
        TwoTowerModel(tower(5), tower(3, dim=6))
    x, _ = pairs
    model = TwoTowerModel(tower(5), keras.Sequential([layers.Dense(6)]))
    with pytest.raises(ValueError, match="one width.*`query_model` 4, `item_model` 6"):
        model(x)


def test_a_tower_must_have_one_flat_output(pairs):
    inputs = keras.Input((5, 2))
    with pytest.raises(ValueError, match=r"item_model must have one.*\(None, 5, 4\)"):
        TwoTowerModel(tower(5), keras.Model(inputs, layers.Dense(4, name="a")(inputs)))
    flat = layers.Flatten()(inputs)
    two = keras.Model(inputs, [layers.Dense(4)(flat), layers.Dense(4)(flat)])
    with pytest.raises(ValueError, match="query_model must have one.*Received: 2 of"):
        TwoTowerModel(two, tower(3))
    model = TwoTowerModel(keras.Sequential([layers.Reshape((5, 1))]), tower(3))
    with pytest.raises(ValueError, match="query model must have one output"):
        model(pairs[0])


def test_inputs_must_be_of_both_towers(pairs):
    x, _ = pairs
    model = two_towers()
    for inputs, received in [
        ({"query": x["query"]}, r"a dict of \['query'\]"),
        ({**x, "extra": x["item"]}, "'extra'"),
        ((x["query"], x["item"], x["item"]), "a tuple of 3"),
        (x["query"], "read as"),
    ]:
        with pytest.raises(ValueError, match=received):
            model(inputs)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        ("mse", TypeError, "one loss of this package"),
        ([InfoNCELoss()], TypeError, "Add several up"),
        ({"query": InfoNCELoss()}, TypeError, "Add several up"),
        (ArcFaceLoss(6), ValueError, "compares rows with classes"),
        (XBM(SupConLoss(), 8), ValueError, "Take the loss in it"),
        (SupConLoss() + ArcFaceLoss(6), ValueError, "compares rows with classes"),
        (InfoNCELoss(reduction=None), ValueError, "no reduction"),
        (SupConLoss(targets="labels_ids"), ValueError, "would be one item"),
    ],
)
def test_losses_that_cannot_compare_queries_with_items(loss, error, message):
    with pytest.raises(error, match=message):
        two_towers(loss)


def test_settings_without_a_use_are_refused():
    for settings in ({"metrics": ["accuracy"]}, {"embedding_output": 0}):
        with pytest.raises(ValueError, match=f"Received: .*{next(iter(settings))}"):
            two_towers().compile("adam", loss=InfoNCELoss(), **settings)
    with pytest.raises(ValueError, match="one loss of both"):
        two_towers().compile("adam", InfoNCELoss(), [1.0])


def test_labels_and_negatives_that_the_loss_would_not_see(pairs):
    x, y = pairs
    with pytest.raises(ValueError, match="does not look at `y`"):
        two_towers(InfoNCELoss()).fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="'negatives' have none"):
        two_towers(SupConLoss()).fit({**x, "negatives": x["item"]}, y, verbose=0)


def test_training_takes_a_loss(pairs):
    model = two_towers()
    model.compile("adam")
    with pytest.raises(ValueError, match="no loss to train"):
        model.fit(pairs[0], verbose=0)


def test_towers_with_some_common_layers_are_not_saved(pairs, tmp_path):
    x, _ = pairs
    common = tower(3)
    inputs = keras.Input((3,))
    model = TwoTowerModel(common, keras.Model(inputs, layers.Dense(4)(common(inputs))))
    model.compile("adam", loss=InfoNCELoss())
    model.fit((x["item"], x["item"]), batch_size=12, verbose=0)
    with pytest.raises(ValueError, match="cannot be saved.*kernel"):
        model.save(tmp_path / "m.keras")


# The optimizers that Keras 3.15 saves on torch train on torch only.
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("jax", "torch")]
READERS = [BACKEND, *OTHERS] if BACKEND == "tensorflow" else [BACKEND]

ANSWER = """
def answer_of(model, x):
    lookups = model.lookup(x["query"], k=3, verbose=0)
    loss = model.fit(x, batch_size=30, shuffle=False, verbose=0).history["loss"][0]
    return {
        "ids": lookups.ids.tolist(),
        "distances": lookups.distances.tolist(),
        "steps": int(model.optimizer.iterations),
        "scale": float(keras.ops.convert_to_numpy(model.loss_layers.weights[0])),
        "loss": loss,
    }
"""

WRITE = (
    """
import json, sys
import keras, numpy as np
from pathlib import Path
from keras import layers
from tensorflow_similarity.losses import InfoNCELoss
from tensorflow_similarity.models import TwoTowerModel
"""
    + ANSWER
    + """
folder = Path(sys.argv[1])
keras.utils.set_random_seed(1)
normal = np.random.normal
x = {"query": normal(size=(30, 5)), "item": normal(size=(30, 3))}
a, b = keras.Input((5,)), keras.Input((3,))
towers = keras.Model(a, layers.Dense(4)(a)), keras.Model(b, layers.Dense(4)(b))
model = TwoTowerModel(*towers)
model.compile("adam", loss=InfoNCELoss(learn_temperature=True))
model.fit(x, batch_size=10, epochs=2, verbose=0)
model.index(x["item"], np.arange(30), data=x["item"], verbose=0)
model.save(folder / "m.keras")
model.save(folder / "m")
np.savez(folder / "x.npz", **x)
print(json.dumps(answer_of(model, x)))
"""
)

READ = (
    """
import json, sys
import keras, numpy as np
import tensorflow_similarity
from pathlib import Path
"""
    + ANSWER
    + """
folder = Path(sys.argv[1])
with np.load(folder / "x.npz") as file:
    x = dict(file)
names = ("m.keras", "m")
print(json.dumps([answer_of(keras.models.load_model(folder / n), x) for n in names]))
"""
)


def run(program, folder, backend):
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    return folder, json.loads(run(WRITE, folder, BACKEND))


@pytest.mark.ci
@pytest.mark.parametrize("backend", READERS)
def test_a_saved_model_goes_on_in_new_processes(written, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder, expected = written
    for found in json.loads(run(READ, folder, backend)):
        assert found["steps"] == expected["steps"] == 7
        assert found["ids"] == expected["ids"]
        for key in ("distances", "loss", "scale"):
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-3, atol=1e-5)


REPLICAS = """
    import json
    import keras, numpy as np, tensorflow as tf
    from keras import layers
    cpu = tf.config.list_physical_devices("CPU")[0]
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    from tensorflow_similarity.losses import SupConLoss
    from tensorflow_similarity.models import TwoTowerModel

    generator = np.random.default_rng(3)
    x = {
        "query": generator.normal(size=(14, 5)).astype("float32"),
        "item": generator.normal(size=(14, 3)).astype("float32"),
    }
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def fitted(strategy, loss, y):
        keras.utils.set_random_seed(4)
        with strategy.scope():
            a, b = keras.Input((5,)), keras.Input((3,))
            model = TwoTowerModel(
                keras.Model(a, layers.Dense(4, kernel_regularizer="l2")(a)),
                keras.Model(b, layers.Dense(4)(b)),
            )
            model.compile(keras.optimizers.SGD(0.1), loss=loss)
        args = dict(batch_size=8, epochs=2, shuffle=False, verbose=0)
        losses = model.fit(x, y, **args).history["loss"]
        return [*model.get_weights(), np.array(losses)]

    found = {}
    y = np.arange(14) % 5
    for case, (loss, y) in enumerate([
        (SupConLoss(temperature=0.5), None),
        (SupConLoss(temperature=0.5), y),
        (SupConLoss(temperature=0.5, targets="relation"), None),
    ]):
        one = fitted(tf.distribute.get_strategy(), loss, y)
        two = fitted(strategy, loss, y)
        found[case] = [float(np.abs(a - b).max()) for a, b in zip(one, two)]
    print(json.dumps(found))
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow splits batches so")
@pytest.mark.slow
def test_two_replicas_train_as_one(tmp_path):
    found = json.loads(run(REPLICAS, tmp_path, "tensorflow"))
    assert len(found) == 3
    assert {case: gaps for case, gaps in found.items() if not max(gaps) < 1e-5} == {}
