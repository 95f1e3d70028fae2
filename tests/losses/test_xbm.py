"""Cross-batch memory: against a queue in plain loops, and within a model."""

import cmath
import json
from collections import deque

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity import losses
from tensorflow_similarity._core.phase import phase
from tensorflow_similarity.losses import XBM
from tensorflow_similarity.models import SimilarityModel
from tests import reference
from tests.gradients import BACKEND, HAS_FLOAT64, to_numpy, value_and_grad

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

DTYPE = "float64" if HAS_FLOAT64 else "float32"


# What the papers say of the rows of a matrix of distances, in plain loops.


def hinge(z):
    return z if complex(z).real > 0 else 0.0


def real(z):
    return complex(z).real


def contrastive(d, same, other, neg_margin=0.5):
    """Positives beyond 0, negatives within the margin."""
    n_same, n_other = sum(map(len, same)), sum(map(len, other))
    pull = sum(hinge(d[i, j]) for i in range(len(d)) for j in same[i])
    push = sum(hinge(neg_margin - d[i, j]) for i in range(len(d)) for j in other[i])
    return pull / max(n_same, 1) + push / max(n_other, 1)


def triplet(d, same, other):
    """Hardest positive, nearest negative, margin 0.3."""
    values = [
        hinge(max(d[i, same[i]], key=real) - min(d[i, other[i]], key=real) + 0.3)
        for i in range(len(d))
        if same[i] and other[i]
    ]
    return sum(values) / max(len(values), 1)


def multi_similarity(d, same, other, alpha=2.0, beta=40.0):
    values = []
    for i in range(len(d)):
        if not same[i] or not other[i]:
            continue
        nearest = min(real(d[i, j]) for j in other[i])
        farthest = max(real(d[i, j]) for j in same[i])
        near = [d[i, j] for j in same[i] if real(d[i, j]) > nearest - 0.1]
        far = [d[i, j] for j in other[i] if real(d[i, j]) < farthest + 0.1]
        if near or far:
            pull = sum(cmath.exp(alpha * (x - 0.5)) for x in near)
            push = sum(cmath.exp(-beta * (x - 0.5)) for x in far)
            values.append(cmath.log(1 + pull) / alpha + cmath.log(1 + push) / beta)
    return sum(values) / max(len(values), 1)


def sup_con(d, same, other, temperature=0.1):
    values = []
    for i in range(len(d)):
        if same[i]:
            total = sum(cmath.exp(-d[i, j] / temperature) for j in same[i] + other[i])
            mean = sum(d[i, j] for j in same[i]) / len(same[i])
            values.append(cmath.log(total) + mean / temperature)
    return sum(values) / max(len(values), 1)


READINGS = [
    (losses.ContrastiveLoss(), contrastive),
    (losses.TripletLoss(negative_mining_strategy="hard", margin=0.3), triplet),
    (losses.MultiSimilarityLoss(), multi_similarity),
    (losses.SupConLoss(temperature=0.1), sup_con),
]


class Queue:
    """What the memory must be: rows and labels, newest first."""

    def __init__(self, size, warmup_steps=0):
        self.rows, self.steps, self.warmup_steps = deque(maxlen=size), 0, warmup_steps

    def loss(self, reading, x, labels):
        """The loss of the batch against itself and what is kept."""
        keys = [*x, *(np.array(row, "float64") for row, _ in self.rows)]
        key_labels = [*labels, *(label for _, label in self.rows)]
        same, other = [], []
        for i, mine in enumerate(labels):
            known = [
                j
                for j, theirs in enumerate(key_labels)
                if j != i and mine != -1 and theirs != -1
            ]
            same.append([j for j in known if key_labels[j] == mine])
            other.append([j for j in known if key_labels[j] != mine])
        return reading(reference.matrix("cosine", x, keys), same, other)

    def push(self, x, labels):
        self.steps += 1
        if self.steps > self.warmup_steps:
            for row, label in zip(x.astype("float32"), labels, strict=True):
                self.rows.appendleft((row, label))

    def check(self, loss):
        rows, labels = loss._y_pred_memory, loss._y_true_memory
        assert rows.dtype == "float32" and labels.dtype.kind == "i"
        np.testing.assert_array_equal(labels, [label for _, label in self.rows])
        if self.rows:
            np.testing.assert_array_equal(rows, [row for row, _ in self.rows])
        assert loss._total_steps == self.steps


def built(loss, memory_size, dim=4, **kwargs):
    loss = XBM(loss, memory_size, **kwargs)
    loss.build(dim)
    return loss


def stepped(loss, labels, x, sample_weight=None):
    """One step of training: value and gradient."""
    if BACKEND != "jax":
        value, (gradient,) = value_and_grad(lambda t: loss(labels, t, sample_weight), x)
        return value, gradient
    import jax

    variables = loss.layer.variables

    @jax.jit
    def step(t, state):
        def total(t):
            mapping = list(zip(variables, state, strict=True))
            with keras.StatelessScope(state_mapping=mapping) as scope:
                value = loss(labels, t, sample_weight)
            return value, [scope.get_current_value(v) for v in variables]

        (value, state), gradient = jax.value_and_grad(total, has_aux=True)(t)
        return value, gradient, state

    value, gradient, state = step(x, [v.value for v in variables])
    for variable, new in zip(variables, state, strict=True):
        variable.assign(new)
    return np.asarray(value), np.asarray(gradient)


def batches(sizes, n_classes=3, seed=2):
    generator = np.random.default_rng(seed)
    for n in sizes:
        x = generator.normal(size=(n, 4)) * generator.uniform(0.3, 3.0, size=(n, 1))
        labels = generator.integers(-1, n_classes, size=n)  # -1 is among them
        yield x.astype(DTYPE), labels


def close(actual, expected):
    if DTYPE == "float64":
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-8)
    else:
        atol = 1e-4 * max(np.abs(expected).max(), 0.1)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("loss", "reading"), READINGS, ids=[loss.name for loss, _ in READINGS]
)
@pytest.mark.parametrize(
    "warmup_steps", [pytest.param(0, marks=pytest.mark.heavy_on_jax), 2]
)
def test_agrees_with_a_queue_in_plain_loops(loss, reading, warmup_steps):
    # The memory wraps around twice, in the midst of a batch, which may be short.
    queue, loss = Queue(7, warmup_steps), built(loss, 7, warmup_steps=warmup_steps)
    seen = 0
    for x, labels in batches([5, 3, 5, 7, 1, 5]):
        value, gradient = stepped(loss, labels, x)
        assert value.dtype == DTYPE

        def expected(z, labels=labels):
            return queue.loss(reading, z, labels)

        close(value, real(expected(x.astype(float))))
        close(gradient, reference.gradient(expected, x))
        queue.push(x, labels)
        queue.check(loss)
        seen += abs(value) > 0.01
    assert seen >= 4


def test_evaluating_neither_adds_nor_reads():
    inner = losses.TripletLoss(margin=1.0)
    loss = built(inner, 8)
    (x, labels), (other, other_labels) = batches([6, 8])
    stepped(loss, labels, x)
    before = loss._y_pred_memory
    with phase(False):
        value = to_numpy(loss(other_labels, other))
        # Nor is there a bound on the batch.
        loss(np.tile(other_labels, 2), np.tile(other, (2, 1)))
    np.testing.assert_allclose(value, to_numpy(inner(other_labels, other)), rtol=1e-6)
    np.testing.assert_array_equal(loss._y_pred_memory, before)
    assert loss._total_steps == 1


def test_an_older_copy_of_an_item_is_no_pair():
    loss = built(losses.ContrastiveLoss(targets="labels_ids"), 4, dim=2)
    x = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    stepped(loss, np.array([[1, 10], [1, 11]]), x)
    np.testing.assert_array_equal(loss._y_true_memory, [[1, 11], [1, 10]])
    # Item 10 has moved: it is a positive to 11, and nothing to its older self.
    value, _ = stepped(loss, np.array([[1, 10]]), np.array([[-1.0, 0.0]], "float32"))
    np.testing.assert_allclose(value, 1.0, rtol=1e-6)
    # By labels alone it is one more positive, 2 away.
    plain = built(losses.ContrastiveLoss(), 4, dim=2)
    stepped(plain, np.array([1, 1]), x)
    value, _ = stepped(plain, np.array([1]), np.array([[-1.0, 0.0]], "float32"))
    np.testing.assert_allclose(value, 1.5, rtol=1e-6)


def test_multi_hot_rows_are_kept_as_they_are():
    inner = losses.SupConLoss(targets="multi_hot", temperature=1.0)
    loss = built(inner, 5, num_classes=3)
    targets = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]])
    (x, _), (more, _) = batches([4, 4])
    stepped(loss, targets, x)
    np.testing.assert_array_equal(loss._y_true_memory, targets[::-1])
    value, _ = stepped(loss, targets.astype("float32"), more)
    relation = targets @ np.tile(targets, (2, 1)).T > 0
    known = targets.any(axis=1)
    is_pair = known[:, None] & np.tile(known, 2)[None, :] & ~np.eye(4, 8, dtype=bool)
    same = [list(np.flatnonzero(r & k)) for r, k in zip(relation, is_pair, strict=True)]
    other = [
        list(np.flatnonzero(~r & k)) for r, k in zip(relation, is_pair, strict=True)
    ]
    keys = np.concatenate([more, x.astype("float32")]).astype(float)
    d = reference.matrix("cosine", more.astype(float), keys)
    close(value, real(sup_con(d, same, other, 1.0)))
    with pytest.raises(ValueError, match="made for num_classes=3.*`y_true`"):
        loss(np.ones((2, 4), "int32"), x[:2])


def test_its_miner_sees_the_memory():
    mined, plain = (
        built(losses.ContrastiveLoss(neg_margin=2.0, miner=m), 6)
        for m in ("batch_hard", None)
    )
    queue = Queue(6)

    def hardest(d, same, other):
        same = [
            [max(s, key=lambda j: d[i, j])] if s else [] for i, s in enumerate(same)
        ]
        other = [
            [min(o, key=lambda j: d[i, j])] if o else [] for i, o in enumerate(other)
        ]
        return contrastive(d, same, other, 2.0)

    for x, labels in batches([6, 6], n_classes=2):
        value, other = (stepped(loss, labels, x)[0] for loss in (mined, plain))
        close(value, queue.loss(hardest, x.astype(float), labels))
        assert value > other  # the hardest of up to 11 rows
        queue.push(x, labels)


def test_rows_that_are_not_finite_enter_as_unknown():
    loss = built(losses.TripletLoss(), 6)
    (x, labels), (more, _) = batches([3, 3])
    x[1, 0] = np.nan
    assert np.isnan(stepped(loss, np.array([1, 2, 1]), x)[0])
    np.testing.assert_array_equal(loss._y_true_memory, [1, -1, 1])
    np.testing.assert_array_equal(loss._y_pred_memory[1], np.zeros(4))
    value, gradient = stepped(loss, np.array([1, 2, 1]), more)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_a_batch_larger_than_the_memory_is_refused():
    loss = built(losses.TripletLoss(), 4)
    with pytest.raises(ValueError, match="`memory_size` must be.*memory_size=4.*of 5"):
        loss(np.arange(5), np.ones((5, 4), "float32"))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only its shapes may be unknown")
def test_of_a_batch_of_unknown_size_the_newest_rows_stay():
    import tensorflow as tf

    loss, queue = built(losses.ContrastiveLoss(), 4), Queue(4)
    spec = [tf.TensorSpec([None], "int64"), tf.TensorSpec([None, 4], DTYPE)]
    step = tf.function(lambda y, x: loss(y, x), input_signature=spec)
    for x, labels in batches([3, 11, 0, 2, 4, 9]):
        step(labels, x)
        queue.push(x, labels)
        queue.check(loss)


def test_large_class_ids_stay_apart():
    a = 2**24
    loss = built(losses.TripletLoss(margin=1.0), 4, dim=2)
    x = np.eye(2, dtype="float32")
    stepped(loss, np.array([a, a + 1]), x)
    np.testing.assert_array_equal(loss._y_true_memory, [a + 1, a])
    value, _ = stepped(loss, np.array([a, a + 1]), x)
    assert value == 0  # each finds itself at 0, and the other at 1


# Within a model.


def data(n=22, seed=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)).astype("float32"), np.arange(n) % 5


def model_of(loss, **kwargs):
    keras.utils.set_random_seed(4)
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    model.compile(keras.optimizers.SGD(0.05), loss=loss, **kwargs)
    return model


MODES = {
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
    "eager": {"run_eagerly": True, "jit_compile": False},
}


@pytest.mark.parametrize(
    "mode",
    [pytest.param(m, marks=pytest.mark.slow) if m != "graph" else m for m in MODES],
)
def test_fit_fills_the_memory_and_evaluate_leaves_it(mode):
    if (BACKEND, mode) == ("torch", "xla"):
        pytest.skip("a minute of C++ compilation")
    x, y = data()
    loss = XBM(losses.TripletLoss(margin=1.0), 10, warmup_steps=1)
    model = model_of(loss, **MODES[mode])
    fit = {"batch_size": 8, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, validation_data=(x, y), **fit)
    assert np.isfinite(history.history["loss"]).all()
    # Steps of 8 (warm-up), 8 and 6 rows: of 14 the last 10 are left.
    assert loss._total_steps == 3
    np.testing.assert_array_equal(loss._y_true_memory, y[12:][::-1])
    rows = loss._y_pred_memory
    assert rows.shape == (10, 3) and len(np.unique(rows.round(6), axis=0)) == 10
    value = model.evaluate(x, y, verbose=0)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(value, rel=1e-6)
    model.test_on_batch(x, y)
    model.predict(x, verbose=0)
    np.testing.assert_array_equal(loss._y_pred_memory, rows)
    assert loss._total_steps == 3
    model.train_on_batch(x[:4], y[:4])
    np.testing.assert_array_equal(loss._y_true_memory[:4], y[:4][::-1])
    np.testing.assert_array_equal(loss._y_pred_memory[4:], rows[:6])


def test_one_network_sees_what_a_plain_loop_keeps():
    x, y = data()
    loss = XBM(losses.TripletLoss(margin=1.0), 16)
    model = model_of(loss)
    kernel, bias = (w.copy() for w in model.get_weights()[:2])
    twin = losses.TripletLoss(margin=1.0)
    memory = []
    for start in (0, 8, 16):
        rows, labels = x[start : start + 8], y[start : start + 8]

        def total(k, b, rows=rows, labels=labels, memory=tuple(memory)):
            queries = ops.convert_to_tensor(rows) @ k + b
            older = [ops.convert_to_tensor(m) for m, _ in memory]
            keys = losses.pairs.Keys(
                np.concatenate([labels, *(t for _, t in memory)]),
                ops.concatenate([queries, *older]),
                start_with_queries=True,
            )
            values, weights = twin._values_and_weights(labels, queries, keys)
            return ops.sum(values * weights) / ops.sum(weights)

        _, (dk, db) = value_and_grad(total, kernel, bias)
        memory = [*memory, (rows @ kernel + bias, labels)][-2:]
        kernel, bias = kernel - 0.05 * dk, bias - 0.05 * db
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    for weight, expected in zip(model.get_weights()[:2], (kernel, bias), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)


def state_of(loss):
    return loss._y_pred_memory, loss._y_true_memory, loss._total_steps


def test_saved_loaded_and_resumed(tmp_path):
    x, y = data()
    loss = XBM(losses.SupConLoss(), 12, warmup_steps=1)
    model = model_of(loss)
    fit = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(x, y, **fit)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "it.weights.h5")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.loss, XBM)
    assert again.loss.get_config() == loss.get_config()
    other = model_of(XBM(losses.SupConLoss(), 12, warmup_steps=1))
    other.load_weights(tmp_path / "it.weights.h5")
    for one in (again.loss, other.loss):
        for a, b in zip(state_of(one), state_of(loss), strict=True):
            np.testing.assert_array_equal(a, b)
    for one in (model, again):
        one.fit(x[::-1], y[::-1], **fit)
    np.testing.assert_allclose(
        again.loss._y_pred_memory, loss._y_pred_memory, rtol=1e-6
    )
    np.testing.assert_array_equal(again.loss._y_true_memory, loss._y_true_memory)
    np.testing.assert_allclose(again.get_weights()[0], model.get_weights()[0])


def test_weights_of_the_loss_within_are_trained():
    x, y = data()
    inner = losses.MarginLoss(learn_beta=True)
    model = model_of(XBM(inner, 16))
    start = to_numpy(inner.weight("beta")).copy()
    model.fit(x, y, batch_size=8, verbose=0)
    assert np.abs(to_numpy(inner.weight("beta")) - start).max() > 1e-5
    assert len(model.trainable_variables) == 3
    loss = XBM(losses.MarginLoss(learn_beta=True), 16)
    loss.build(3)
    assert len(loss.trainable_variables) == 1


@pytest.fixture
def float16_policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def test_the_memory_is_float32_under_mixed_precision(float16_policy):
    keras.config.set_dtype_policy("mixed_float16")
    loss = XBM(losses.TripletLoss(), 16)
    model = model_of(loss)
    history = model.fit(*data(), batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert loss._y_pred_memory.dtype == "float32" and len(loss._y_pred_memory) == 16


def test_losses_of_memories():
    x, y = data()
    memories = [XBM(losses.TripletLoss(), 8), XBM(losses.ContrastiveLoss(), 16)]
    loss = losses.SumOfLosses([*memories, losses.SupConLoss()], weights=[1, 1, 0.5])
    model_of(loss).fit(x, y, batch_size=8, verbose=0)
    assert [len(m._y_true_memory) for m in memories] == [8, 16]
    widths = losses.MatryoshkaLoss(XBM(losses.TripletLoss(), 16), dims=[3, 2])
    model = model_of(widths)
    model.fit(x, y, batch_size=8, verbose=0)
    wide, narrow = (copy._y_pred_memory for copy in widths._copies)
    assert wide.shape == (16, 3) and narrow.shape == (16, 2)
    lengths = np.linalg.norm(narrow, axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_config_round_trip_through_json():
    inner = losses.ContrastiveLoss("euclidean", reduction="sum", miner="batch_hard")
    loss = XBM(inner, 16, warmup_steps=3, name="mine")
    assert loss.distance == inner.distance and loss.reduction == "sum"
    whole = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    assert whole["registered_name"] == "tensorflow_similarity>XBM"
    again = keras.saving.deserialize_keras_object(whole)
    assert again.get_config() == loss.get_config()
    assert (again.memory_size, again.warmup_steps, again.name) == (16, 3, "mine")
    assert again.loss.get_config() == inner.get_config()
    assert XBM(inner, 16, reduction="mean").reduction == "mean"
    several = XBM(losses.TripletLoss(targets="multi_hot"), 4, num_classes=3)
    assert XBM.from_config(several.get_config()).num_classes == 3


def test_memory_of_a_new_loss_is_empty():
    loss = XBM(losses.TripletLoss(), 4)
    for _ in range(2):
        assert len(loss._y_true_memory) == len(loss._y_pred_memory) == 0
        assert loss._total_steps == 0
        loss.build(2)


def test_without_a_memory_it_says_so():
    with pytest.raises(RuntimeError, match="'xbm_loss' has a memory.*`loss.build"):
        XBM(losses.TripletLoss(), 4)([0], [[1.0]])


@pytest.mark.parametrize(
    ("loss", "cure"),
    [
        (
            losses.SumOfLosses([losses.TripletLoss()]),
            r"a SumOfLosses.*`SumOfLosses\(\[XBM\(a, memory_size\), b\]",
        ),
        (
            losses.MatryoshkaLoss(losses.TripletLoss(), dims=[2]),
            r"a MatryoshkaLoss.*`MatryoshkaLoss\(XBM\(loss, memory_size\), dims\)",
        ),
        (losses.ProxyNCALoss(3), "a ProxyNCALoss.*compares rows with classes"),
        (losses.InfoNCELoss(), "a InfoNCELoss.*by their rows, not by labels"),
        (losses.MultiNegativesRankLoss(), "a MultiNegativesRankLoss.*by their rows"),
        (XBM(losses.TripletLoss(), 4), "a XBM. It has a memory already"),
        (losses.TripletLoss(targets="relation"), "A memory has no relation"),
    ],
)
def test_losses_that_have_no_use_for_a_memory_are_refused(loss, cure):
    with pytest.raises(ValueError, match=cure):
        XBM(loss, 4)


def test_what_is_no_loss_is_refused():
    with pytest.raises(TypeError, match="`loss` must be a loss of this package"):
        XBM(keras.losses.MeanSquaredError(), 4)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="`memory_size` must be an integer of at lea"):
        XBM(losses.TripletLoss(), size)


@pytest.mark.parametrize("steps", [-1, 2.5, True, None])
def test_a_warm_up_that_is_none_is_refused(steps):
    with pytest.raises(ValueError, match="`warmup_steps` must be an integer of at lea"):
        XBM(losses.TripletLoss(), 4, warmup_steps=steps)


def test_the_width_of_multi_hot_targets_must_be_known():
    several = losses.TripletLoss(targets="multi_hot")
    with pytest.raises(ValueError, match="Give `num_classes`"):
        XBM(several, 4)
    with pytest.raises(ValueError, match="`num_classes` must be an integer"):
        XBM(several, 4, num_classes=0)
    with pytest.raises(ValueError, match='is the width of targets="multi_hot"'):
        XBM(losses.TripletLoss(), 4, num_classes=3)


def test_separate_keys_are_refused():
    with pytest.raises(ValueError, match="takes its keys from its memory"):
        built(losses.TripletLoss(), 4).between([0], [[1.0] * 4], [0], [[1.0] * 4])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the others know every batch")
def test_a_batch_larger_than_the_memory_that_a_graph_meets_ends_the_epoch():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            # Of unequal size, so that Keras traces any.
            n = (3, 4, 9)[i]
            return np.ones((n, 4), "float32"), np.arange(n) % 2

    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", loss=XBM(losses.SupConLoss(), memory_size=6))
    with pytest.raises(ValueError, match="memory_size=6, a batch of 9 rows"):
        model.fit(Batches(), shuffle=False, verbose=0)
