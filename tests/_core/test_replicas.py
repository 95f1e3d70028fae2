"""Batches split over replicas: the loss of the whole batch, in value and gradient."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from keras import ops

from tensorflow_similarity._core import replicas
from tests.gradients import BACKEND
from tests.losses.papers import PAPERS

pytestmark = pytest.mark.backend_smoke

SLOW = pytest.mark.slow  # every loss takes two seconds

# The number of logical devices can only be set before TensorFlow starts.
SCRIPT = """
import json, sys
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
half = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [half, half])
from tensorflow_similarity import losses
from tensorflow_similarity.losses import InfoNCELoss, MultiSimilarityLoss, TripletLoss
from tests.losses.papers import PAPERS

# Float64 stays float64 in a loss, so that gaps are of the sharing alone.
generator = np.random.default_rng(3)
x = generator.normal(size=(7, 4)) * generator.uniform(0.5, 2.0, size=(7, 1))
labels = np.array([3, 1, 3, 5, 1, 1, 3])
large = 2**24 + np.array([0, 1, 0, 1, 2, 2, 0])
relation = (large[:, None] == large).astype("float64")
weights = np.array([1.0, 2.0, 0.5, 1.0, 0.0, 3.0, 1.0])
found = {}

class MoreKeys(InfoNCELoss):
    def __call__(self, queries, keys, weights):
        return super().__call__(queries, tf.concat([keys, keys**2], 0), weights)

class Between(TripletLoss):
    def __call__(self, y, t, w):
        return self.between(y, t, tf.concat([y, y + 1], 0), tf.concat([t**2, -t], 0), w)

FAMILIES = ("MultiSimilarityLoss", "ProxyAnchorLoss", "SmoothAPLoss", "CoSENTLoss")
OF_PAPERS = [
    (f"{paper.loss.__name__} {n}", lambda p=paper, c=case: p.make(4, **p.arguments(c)),
     labels)
    for paper in PAPERS
    for n, case in enumerate(paper.cases[:1])
]
OTHERS = [
    # Of each family one, which the quick test has as well.
    *[case for case in OF_PAPERS if case[0].split()[0] in FAMILIES],
    ("boundaries", lambda: losses.MarginLoss(learn_beta=True), labels),
    ("InfoNCE", lambda: InfoNCELoss(learn_temperature=True), x[::-1] + 1),
    ("MultiNegativesRank", losses.MultiNegativesRankLoss, x[::-1] + 1),
    ("more keys, each",
     lambda: MoreKeys(reduction=None, false_negative_margin=0.1), x[::-1] + 1),
    ("between, each", lambda: Between(margin=1.0, reduction=None), large),
    ("weighted mean", lambda: TripletLoss(reduction="mean_with_sample_weight"), large),
    ("relation", lambda: TripletLoss(reduction="sum", targets="relation"), relation),
    ("each", lambda: TripletLoss(reduction=None), labels),
    ("miner", lambda: TripletLoss(margin=1.0, miner="semi_hard"), labels),
    ("sum", lambda: losses.SumOfLosses(
        [MultiSimilarityLoss(), losses.MarginLoss(learn_beta=True)], [1, 0.5]), labels),
    ("Matryoshka", lambda: losses.MatryoshkaLoss(losses.SigLIPLoss(), [4, 2]), labels),
    ("XBM", lambda: losses.XBM(losses.MarginLoss(learn_beta=True), 10), labels),
    ("Matryoshka of XBM", lambda: losses.MatryoshkaLoss(
        losses.XBM(TripletLoss(margin=1.0), 9), [4, 3]), labels),
]

FEW = ("boundaries", "InfoNCE", "weighted mean", "each", "XBM")
CASES = {
    "papers": OF_PAPERS,
    "others": OTHERS,
    "few": [case for case in OTHERS if case[0] in FEW],
}[sys.argv[1]]

# One for all: the collective operations of two strategies in a process collide.
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def built(make):
    keras.utils.set_random_seed(20)
    loss = make()
    for part, width in loss.trained_parts(4):
        part.build(width)
    return loss

def variables_of(loss):
    return [v.value for part, _ in loss.trained_parts(4) for v in part.layer.variables]

def value_and_gradients(loss, y, t, w):
    trained = [v for v in variables_of(loss) if v.trainable]
    with tf.GradientTape() as tape:
        tape.watch(t)
        value = loss(y, t, w)
    zero = tf.UnconnectedGradients.ZERO
    return value, tape.gradient(value, [t, *trained], unconnected_gradients=zero)

def split(loss, y, w, n_first):
    # Not in a graph, whose tracing would take minutes: `fitted` below is one.
    rows = [slice(0, n_first), slice(n_first, None)]
    def step():
        mine = rows[int(tf.distribute.get_replica_context().replica_id_in_sync_group)]
        return value_and_gradients(
            loss, tf.constant(y[mine]), tf.constant(x[mine]),
            None if w is None else tf.constant(w[mine]),
        )
    with strategy.scope():
        return tf.nest.map_structure(
            lambda v: [part.numpy() for part in strategy.experimental_local_results(v)],
            strategy.run(step),
        )

def gap(ours, theirs):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-9))

for name, make, y in CASES:
    one = built(make)
    with strategy.scope():
        two = built(make)
    gaps, sizes = [], []
    for n_first, w in ((4, weights), (6, None)):
        value, gradients = value_and_gradients(one, tf.constant(y), tf.constant(x), w)
        of_value, (of_rows, *of_weights) = split(two, y, w, n_first)
        each = one.reduction is None
        gaps.append(gap(np.concatenate(of_value) if each else sum(of_value), value))
        gaps.append(gap(np.concatenate(of_rows), gradients[0]))
        gaps += [gap(sum(o), g) for o, g in zip(of_weights, gradients[1:], strict=True)]
        sizes.append(np.abs(gradients[0]).max())
    assert max(sizes) > 1e-4, name
    for mine, theirs in zip(variables_of(one), variables_of(two)):
        # What a loss remembers, as a queue, is the same on each replica.
        copies = strategy.experimental_local_results(theirs)
        assert len(copies) == 2
        gaps += [gap(copy.numpy(), mine.numpy()) for copy in copies]
    found[name] = max(gaps)

def fitted(strategy, loss):
    keras.utils.set_random_seed(4)
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(keras.optimizers.SGD(0.5), loss=loss)
    # Batches of 4 and 3: replicas get 2 + 2 and 2 + 1 rows. Keras 3.15 averages the
    # first batch over replicas to build the model, so that one has to be even.
    history = model.fit(x, large, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()[0], history.history["loss"]

loss = TripletLoss(margin=1.0)
(a, b), (c, d) = (fitted(s, loss) for s in (tf.distribute.get_strategy(), strategy))
# Float32, as the model is.
found["weights after fit"], found["loss of fit"] = gap(a, c) / 10, gap(b, d) / 10
print("FOUND" + json.dumps(found))
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow splits batches so")
@pytest.mark.parametrize(
    "which",
    [
        pytest.param("few", marks=pytest.mark.ci),
        pytest.param("others", marks=SLOW),
        pytest.param("papers", marks=SLOW),
    ],
)
def test_two_replicas_with_unequal_batches_agree_with_one(which):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, which],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.split("FOUND")[1])
    if which == "papers":
        names = {name.split()[0] for name in found}
        assert {paper.loss.__name__ for paper in PAPERS} <= names
    assert {key: gap for key, gap in found.items() if not gap < 1e-6} == {}


def test_a_single_process_is_its_own_whole():
    rows = ops.convert_to_tensor(np.ones((3, 2), "float32"))
    assert replicas.n_replicas() == 1
    assert replicas.gather(rows)[0] is rows
    assert replicas.own_rows(rows, 3) is rows


@pytest.mark.skipif(BACKEND == "tensorflow", reason="it is the backend")
def test_losses_leave_tensorflow_out():
    code = (
        "import sys, numpy as np; from tensorflow_similarity.losses import TripletLoss;"
        "TripletLoss()(np.array([0, 0, 1]), np.eye(3, dtype='float32'));"
        "assert 'tensorflow' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
