"""Batches in chunks: the weights of a step are those of the whole batch."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import (
    CircleLoss,
    InfoNCELoss,
    MarginLoss,
    MultiSimilarityLoss,
    ProxyAnchorLoss,
    SmoothAPLoss,
    SupConLoss,
    TripletLoss,
)
from tensorflow_similarity.models import (
    SimilarityMixin,
    SimilarityModel,
    TwoTowerModel,
)
from tensorflow_similarity.samplers import MultiShotMemorySampler
from tests.gradients import BACKEND, to_numpy

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

LOSSES = [
    TripletLoss,
    MultiSimilarityLoss,
    CircleLoss,
    SupConLoss,
    SmoothAPLoss,
    lambda: MarginLoss(learn_beta=True, num_classes=4),
    lambda: ProxyAnchorLoss(num_classes=4),
    lambda: MultiSimilarityLoss() + TripletLoss(),
]
# Of pairs like the first, and with proxies, which learn as boundaries do.
SHOWN_BY_OTHERS = (1, 2, 3, 6)
GRAPH = {}
EAGER = {"run_eagerly": True}
XLA = {"jit_compile": True}
# torch runs as it is; JAX always compiles.
WAYS = {"tensorflow": [GRAPH, EAGER, XLA], "jax": [GRAPH, EAGER], "torch": [GRAPH]}


@pytest.fixture
def batch():
    """22 rows: four chunks of 5, and 2 more."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(22, 6)).astype("float32"), rng.integers(0, 4, 22)


def network(body=lambda x: x):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    hidden = body(layers.Dense(16, activation="tanh")(inputs))
    return inputs, MetricEmbedding(4)(hidden)


def trained(chunk, loss, data, body=lambda x: x, **kwargs):
    """A model after one step of SGD, whose steps are its gradient."""
    model = SimilarityModel(*network(body))
    model.compile(
        keras.optimizers.SGD(1.0), loss=loss, grad_cache_chunk=chunk, **kwargs
    )
    model.train_on_batch(*data)
    return model


def arrays(variables):
    # Tensors of torch change in place.
    return [to_numpy(ops.convert_to_tensor(v)).copy() for v in variables]


def gap(a, b, before):
    """The largest difference of two steps, as a share of the largest component."""
    steps = [
        (x - z, y - z)
        for x, y, z in zip(*map(arrays, (a, b)), arrays(before), strict=True)
    ]
    largest = max(np.abs(x).max() for x, _ in steps)
    assert largest > 1e-3
    return max(np.abs(x - y).max() for x, y in steps) / largest


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=pytest.mark.slow)
        if way is EAGER and BACKEND == "tensorflow"
        else way
        for way in WAYS[BACKEND]
    ],
    ids=lambda way: next(iter(way), "graph"),
)
@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(loss, marks=pytest.mark.ci if i in SHOWN_BY_OTHERS else [])
        for i, loss in enumerate(LOSSES)
    ],
    ids=range(len(LOSSES)),
)
def test_the_gradient_is_that_of_the_whole_batch(loss, way, batch):
    if way is not GRAPH and LOSSES.index(loss):
        pytest.skip("the chunks know nothing of the loss: one loss a way")
    chunked, whole = (trained(chunk, loss(), batch, **way) for chunk in (5, None))
    before = SimilarityModel(*network())
    before.compile("sgd", loss=loss())
    sizes = [len(model.trainable_variables) for model in (chunked, whole, before)]
    assert len(set(sizes)) == 1
    variables = [model.trainable_variables for model in (chunked, whole)]
    assert gap(*variables, before.trainable_variables) < 1e-5


def test_a_batch_of_whole_chunks_needs_no_rest(batch):
    rows = tuple(array[:20] for array in batch)
    chunked, whole = (trained(chunk, TripletLoss(), rows) for chunk in (5, None))
    before = SimilarityModel(*network()).trainable_variables
    assert gap(chunked.trainable_variables, whole.trainable_variables, before) < 1e-5


def test_fit_takes_ragged_and_small_last_batches(batch):
    fitted = []
    for chunk in (5, None):
        model = SimilarityModel(*network())
        model.compile(
            keras.optimizers.SGD(0.5), loss=TripletLoss(), grad_cache_chunk=chunk
        )
        history = model.fit(*batch, batch_size=18, epochs=2, shuffle=False, verbose=0)
        fitted.append((model.get_weights(), history.history["loss"]))
    (weights, losses), (same_weights, same_losses) = fitted
    np.testing.assert_allclose(losses, same_losses, rtol=1e-5)
    for a, b in zip(weights, same_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_dropout_is_drawn_again_as_it_was(batch):
    x, y = batch
    model = trained(5, TripletLoss(), batch, lambda x: layers.Dropout(0.4, seed=3)(x))

    # The same masks drawn by hand, chunk after chunk, and handed in as data.
    seeds = keras.random.SeedGenerator(3)
    masks = [
        keras.random.dropout(ops.ones((n, 16)), 0.4, seed=seeds)
        for n in (5, 5, 5, 5, 2)
    ]
    keras.utils.set_random_seed(1)
    inputs, mask = keras.Input((6,)), keras.Input((16,))
    hidden = layers.Multiply()([layers.Dense(16, activation="tanh")(inputs), mask])
    by_hand = SimilarityModel([inputs, mask], MetricEmbedding(4)(hidden))
    before = arrays(by_hand.trainable_variables)
    by_hand.compile(keras.optimizers.SGD(1.0), loss=TripletLoss())
    by_hand.train_on_batch([x, to_numpy(ops.concatenate(masks))], y)

    variables = [m.trainable_variables for m in (model, by_hand)]
    assert gap(*variables, before) < 1e-5


def test_the_next_step_draws_another_dropout(batch):
    model = SimilarityModel(*network(lambda x: layers.Dropout(0.4, seed=3)(x)))
    model.compile(keras.optimizers.SGD(0.0), loss=TripletLoss(), grad_cache_chunk=5)
    assert model.train_on_batch(*batch) != model.train_on_batch(*batch)


def test_batch_normalization_sees_chunks_and_moves_once_a_step(batch):
    x, y = (array[:20] for array in batch)
    model = trained(
        5, TripletLoss(), (x, y), lambda x: layers.BatchNormalization(momentum=0.9)(x)
    )
    moved = model.get_layer(index=2)

    keras.utils.set_random_seed(1)
    hidden = layers.Dense(16, activation="tanh")
    features = to_numpy(hidden(ops.convert_to_tensor(x))).reshape(4, 5, 16)
    means, variances = features.mean(1), features.var(1)
    np.testing.assert_allclose(
        to_numpy(ops.convert_to_tensor(moved.moving_mean)),
        0.1 * means.mean(0),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        to_numpy(ops.convert_to_tensor(moved.moving_variance)),
        0.9 + 0.1 * variances.mean(0),
        atol=1e-5,
    )


def test_losses_that_layers_add_are_averaged_over_rows(batch):
    def body(x):
        return layers.Dense(
            8,
            activity_regularizer=keras.regularizers.L2(0.3),
            kernel_regularizer=keras.regularizers.L1(0.01),
        )(x)

    chunked, whole = (trained(chunk, TripletLoss(), batch, body) for chunk in (5, None))
    before = SimilarityModel(*network(body)).trainable_variables
    assert gap(chunked.trainable_variables, whole.trainable_variables, before) < 1e-5
    results = [model.evaluate(*batch, verbose=0) for model in (chunked, whole)]
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_rows_of_a_table_of_vectors_get_their_gradient():
    tokens = np.random.default_rng(1).integers(0, 9, (14, 3))
    labels = np.arange(14) % 3

    def model():
        keras.utils.set_random_seed(2)
        inputs = keras.Input((3,), dtype="int32")
        vectors = layers.Embedding(9, 5)(inputs)
        return SimilarityModel(
            inputs, MetricEmbedding(4)(layers.GlobalAveragePooling1D()(vectors))
        )

    found = []
    for chunk in (4, None):
        found.append(model())
        found[-1].compile(
            keras.optimizers.SGD(1.0), loss=SupConLoss(), grad_cache_chunk=chunk
        )
        found[-1].train_on_batch(tokens, labels)
    assert gap(*[m.trainable_variables for m in found], model().trainable_variables) < (
        1e-5
    )


def test_several_inputs_and_outputs_and_a_frozen_layer(batch):
    x, y = batch

    def model(chunk):
        keras.utils.set_random_seed(2)
        a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
        frozen = layers.Dense(6, name="frozen")
        frozen.trainable = False
        hidden = layers.Dense(8)(layers.Concatenate()([frozen(a), b]))
        outputs = {
            "embedding": MetricEmbedding(4)(hidden),
            "class": layers.Dense(4, activation="softmax")(hidden),
        }
        model = SimilarityModel({"a": a, "b": b}, outputs)
        model.compile(
            keras.optimizers.SGD(0.5),
            loss={
                "embedding": TripletLoss(),
                "class": "sparse_categorical_crossentropy",
            },
            embedding_output="embedding",
            grad_cache_chunk=chunk,
        )
        return model

    models = [model(5), model(None)]
    for one in models:
        one.train_on_batch({"a": x, "b": x[::-1]}, {"embedding": y, "class": y})
    variables = [one.trainable_variables for one in models]
    assert gap(*variables, model(None).trainable_variables) < 1e-5


def test_a_model_with_a_call_of_its_own(batch):
    class Mine(SimilarityMixin, keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = MetricEmbedding(4)

        def call(self, inputs, training=None):
            return self.dense(inputs)

    found = []
    for chunk in (5, None):
        keras.utils.set_random_seed(2)
        model = Mine()
        model(batch[0])
        before = arrays(model.trainable_variables)
        model.compile(
            keras.optimizers.SGD(1.0), loss=TripletLoss(), grad_cache_chunk=chunk
        )
        model.train_on_batch(*batch)
        found.append(model.trainable_variables)
    assert gap(*found, before) < 1e-5


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy, batch):
    keras.config.set_dtype_policy(policy)
    try:
        model = SimilarityModel(*network())
        model.compile("adam", loss=TripletLoss(), grad_cache_chunk=5)
        history = model.fit(*batch, batch_size=22, epochs=15, verbose=0).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


def test_chunks_come_back_with_the_model(tmp_path, batch):
    model = trained(5, TripletLoss(), batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["grad_cache_chunk"] == 5
    for one in (model, loaded):
        one.train_on_batch(*batch)
    for a, b in zip(*map(arrays, (model.weights, loaded.weights)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_compiled_again_without_chunks_it_has_none(batch):
    model = trained(5, TripletLoss(), batch)
    model.compile("sgd", loss=TripletLoss())
    assert "grad_cache_chunk" not in model.get_compile_config()
    model.train_on_batch(*batch)


@pytest.mark.parametrize("chunk", [0, -1, 2.5, True, "64"])
def test_a_chunk_that_is_no_number_of_rows_is_refused(chunk):
    with pytest.raises(
        ValueError, match="`grad_cache_chunk` must be None or an integer"
    ):
        SimilarityModel(*network()).compile("sgd", grad_cache_chunk=chunk)


def test_a_chunk_above_the_batch_is_refused(batch):
    model = SimilarityModel(*network())
    model.compile("sgd", loss=TripletLoss(), grad_cache_chunk=64)
    with pytest.raises(ValueError, match="grad_cache_chunk=64, batches of 22"):
        model.fit(*batch, batch_size=22, verbose=0)
    dataset = [np.concatenate([array] * 3) for array in batch]
    with pytest.raises(ValueError, match="batches of 32"):
        model.fit(*dataset, verbose=0)


def test_a_chunk_above_a_batch_on_its_own_is_refused(batch):
    x, y = batch

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return x, y

    model = SimilarityModel(*network())
    model.compile("sgd", loss=TripletLoss(), grad_cache_chunk=25)
    for run in (
        lambda: model.train_on_batch(x, y),
        lambda: model.fit(x, y, batch_size=64, verbose=0),
        lambda: model.fit(Batches(), verbose=0),
    ):
        with pytest.raises(ValueError, match="grad_cache_chunk=25, batches of 22"):
            run()


def test_a_sampler_counts_what_its_augmenter_makes(batch):
    def twice(x, y, n_views, is_warmup):
        return np.concatenate([x, x + 0.01]), np.concatenate([y, y])

    sampler = MultiShotMemorySampler(
        *batch,
        classes_per_batch=2,
        examples_per_class_per_batch=2,
        num_augmentations_per_example=2,
        augmenter=twice,
        steps_per_epoch=2,
    )
    model = SimilarityModel(*network())
    model.compile("sgd", loss=TripletLoss(), grad_cache_chunk=8)
    model.fit(sampler, verbose=0)
    model.compile("sgd", loss=TripletLoss(), grad_cache_chunk=9)
    with pytest.raises(ValueError, match="batches of 8"):
        model.fit(sampler, verbose=0)


def test_inputs_of_unequal_rows_are_refused(batch):
    x, _ = batch
    queries, items = keras.Input((6,)), keras.Input((6,))
    model = TwoTowerModel(
        keras.Model(queries, layers.Dense(3)(queries)),
        keras.Model(items, layers.Dense(3)(items)),
    )
    model.compile("sgd", loss=InfoNCELoss(), grad_cache_chunk=5)
    model.train_on_batch({"query": x, "item": x, "negatives": x})
    with pytest.raises(
        ValueError, match=r"as many rows.*Received: \[22, (40|None), 22\]"
    ):
        model.train_on_batch(
            {"query": x, "item": x, "negatives": np.concatenate([x, x])[:40]}
        )


def sequences(mask):
    tokens = keras.Input((None,), dtype="int32")
    vectors = layers.Embedding(9, 5, mask_zero=mask)(tokens)
    outputs = {
        "each": layers.Dense(3)(vectors),
        "embedding": MetricEmbedding(4)(layers.GlobalAveragePooling1D()(vectors)),
    }
    model = SimilarityModel(tokens, outputs)
    model.compile(
        keras.optimizers.SGD(1.0),
        loss={"each": None, "embedding": TripletLoss()},
        embedding_output="embedding",
        grad_cache_chunk=4,
    )
    return model


@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables")
def test_sequences_may_have_another_length_in_each_batch():
    model = sequences(mask=False)
    for length in (6, 3, 6):
        tokens = np.random.default_rng(length).integers(1, 9, (10, length))
        targets = {"embedding": np.arange(10) % 3, "each": np.zeros((10, length, 3))}
        assert np.isfinite(model.train_on_batch(tokens, targets))


@pytest.mark.skipif(BACKEND == "jax", reason="Keras 3.15 gives losses no masks there")
def test_a_mask_on_an_output_is_refused():
    tokens = np.random.default_rng(1).integers(0, 9, (10, 6))
    targets = {"embedding": np.arange(10) % 3, "each": np.zeros((10, 6, 3))}
    with pytest.raises(ValueError, match="no output may carry a mask"):
        sequences(mask=True).train_on_batch(tokens, targets)


def test_a_call_without_training_is_refused():
    class Mine(SimilarityMixin, keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="argument `training=None`"):
        Mine().compile("sgd", grad_cache_chunk=4)
