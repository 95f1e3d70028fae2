"""Evaluation while training: what it says, who hears it, and what it leaves alone."""

import contextlib
import importlib
import sys
import types

import keras
import numpy as np
import pytest

from tensorflow_similarity.callbacks import EvalCallback, SplitValidationLoss
from tensorflow_similarity.classification_metrics import F1Score
from tensorflow_similarity.losses import TripletLoss
from tensorflow_similarity.matchers import MatchMajorityVote
from tensorflow_similarity.models import SimilarityModel, TwoTowerModel
from tensorflow_similarity.retrieval_metrics import MapAtK, PrecisionAtK, RecallAtK

smoke = pytest.mark.backend_smoke
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)

GENERATOR = np.random.default_rng(5)
CENTRES = GENERATOR.normal(size=(8, 6))
Y = np.arange(96) % 8
X = (CENTRES[Y] + 0.7 * GENERATOR.normal(size=(96, 6))).astype("float32")
QX, QY, TX, TY = X[:40], Y[:40], X[40:], Y[40:]


def make_model(distance="cosine", index=False):
    inputs = keras.Input((6,))
    model = SimilarityModel(inputs, keras.layers.Dense(4)(inputs))
    model.compile("adam", loss=TripletLoss(distance))
    if index:
        model.index(X, Y, verbose=0)
    return model


def fit(model, callbacks, epochs=2, **kwargs):
    return model.fit(
        X, Y, batch_size=48, epochs=epochs, callbacks=callbacks, verbose=0, **kwargs
    ).history


def nearest(model, queries, targets, distance, k):
    """Rows of the nearest targets, in float64."""
    q, t = (np.float64(model.predict(x, verbose=0)) for x in (queries, targets))
    if distance == "cosine":
        q, t = (r / np.linalg.norm(r, axis=1, keepdims=True) for r in (q, t))
    d = np.linalg.norm(q[:, None] - t[None], axis=-1)
    return np.argsort(d, axis=1, kind="stable")[:, :k]


@smoke
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_values_are_those_of_the_model_as_it_is(distance):
    model = make_model(distance)
    judge = EvalCallback(QX, QY, TX, TY, retrieval_metrics=[RecallAtK(k=3)])
    history = fit(model, [judge])
    rows = nearest(model, QX, TX, distance, 3)
    wanted = (TY[rows[:, 0]] == QY).mean()
    assert history["binary_accuracy"][-1] == pytest.approx(wanted)
    wanted = (TY[rows] == QY[:, None]).any(axis=1).mean()
    assert history["recall@3"][-1] == pytest.approx(wanted)
    assert judge.distance.name == distance


@smoke
def test_known_and_unknown_classes_are_judged_apart():
    model = make_model()
    judge = EvalCallback(QX, QY, TX, TY, known_classes=[0, 1, 2, 3, 4])
    history = fit(model, [judge])
    hit = TY[nearest(model, QX, TX, "cosine", 1)[:, 0]] == QY
    known = QY < 5
    found = history["binary_accuracy_known_classes"][-1]
    assert found == pytest.approx(hit[known].mean())
    found = history["binary_accuracy_unknown_classes"][-1]
    assert found == pytest.approx(hit[~known].mean())
    np.testing.assert_array_equal(judge.queries_known, QX[known])
    np.testing.assert_array_equal(judge.query_labels_known, QY[known])
    np.testing.assert_array_equal(judge.queries_unknown, QX[~known])
    np.testing.assert_array_equal(judge.query_labels_unknown, QY[~known])
    assert "binary_accuracy" not in history


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "known",
    [[], {0, 1}, *(pytest.param(k, marks=SLOW) for k in (range(8), [QY[0]], QY[:1]))],
)
def test_any_classes_may_be_known(known):
    judge = EvalCallback(QX[:1], QY[:1], TX, TY, known_classes=known)
    history = fit(make_model(), [judge], epochs=1)
    part = "known" if QY[0] in list(known) else "unknown"
    assert set(history) == {"loss", f"binary_accuracy_{part}_classes"}


@pytest.mark.parametrize(
    "kind",
    [
        "both",
        *(pytest.param(k, marks=SLOW) for k in ("strings", "dataset", "sequence")),
    ],
)
def test_queries_and_targets_as_data_sets_and_labels_as_strings(kind):
    names = np.array([f"class {i}" for i in range(8)])
    queries, targets = (QX, QY), (TX, TY)
    known = [0, 1]
    if kind == "strings":
        queries, targets = (QX, names[QY]), (TX, names[TY])
        known = names[:2]
    if kind in ("dataset", "both"):
        import tensorflow as tf

        queries = tf.data.Dataset.from_tensor_slices(queries).batch(7), None
    if kind in ("sequence", "both"):

        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 6

            def __getitem__(self, i):
                return TX[i * 10 : i * 10 + 10], TY[i * 10 : i * 10 + 10]

        targets = Batches(), None
    keras.utils.set_random_seed(20)
    judge = EvalCallback(*queries, *targets, known_classes=known)
    found = fit(make_model(), [judge])
    keras.utils.set_random_seed(20)
    wanted = fit(make_model(), [EvalCallback(QX, QY, TX, TY, known_classes=[0, 1])])
    assert found == wanted
    if kind == "dataset":
        assert judge.queries_known is None


@smoke
def test_the_index_is_as_it_was():
    model = make_model(index=True)
    calibration = model.calibrate(QX, QY, verbose=0)
    before = model.indexer
    rows = model.predict(X[:20], verbose=0)
    lookups = before.batch_lookup(rows, 7)
    items = [list(column) for column in before.items()]
    fit(model, [EvalCallback(QX, QY, TX, TY, known_classes=[1], every_steps=1)])
    assert model.indexer is before and model.index_size() == 96
    assert [list(column) for column in before.items()] == items
    again = before.batch_lookup(rows, 7)
    np.testing.assert_array_equal(again.ids, lookups.ids)
    np.testing.assert_array_equal(again.distances, lookups.distances)
    assert again == lookups  # embeddings, labels and data too
    assert model.calibration is calibration


def test_a_model_without_an_index_gets_none():
    model = make_model()
    fit(model, [EvalCallback(QX, QY, TX, TY)])
    assert model.indexer is None and model.index_size() == 0


def test_callbacks_behind_it_see_the_values(tmp_path):
    path = str(tmp_path / "{epoch}-{recall@1:.2f}.keras")
    judge = EvalCallback(QX, QY, TX, TY, retrieval_metrics=[RecallAtK(k=1)])
    save = keras.callbacks.ModelCheckpoint(
        path, monitor="recall@1", mode="max", save_best_only=True
    )
    # Nothing is better than perfect by 2: the second epoch is one without a gain.
    stop = keras.callbacks.EarlyStopping("recall@1", min_delta=2.0, mode="max")
    history = fit(make_model(), [judge, save, stop], epochs=9)
    assert len(history["recall@1"]) == 2
    (first, *_) = sorted(tmp_path.iterdir())
    assert first.name == f"1-{history['recall@1'][0]:.2f}.keras"


def test_callbacks_before_it_do_not():
    stop = keras.callbacks.EarlyStopping("binary_accuracy", mode="max")
    with pytest.warns(UserWarning, match="binary_accuracy"):
        fit(make_model(), [stop, EvalCallback(QX, QY, TX, TY)], epochs=1)


def test_every_so_many_epochs():
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append("binary_accuracy" in logs)
    )
    fit(make_model(), [EvalCallback(QX, QY, TX, TY, every_epochs=2), watch], epochs=5)
    assert seen == [False, True, False, True, False]


@smoke
def test_every_so_many_steps():
    model = make_model()
    judge = EvalCallback(QX, QY, TX, TY, every_steps=3)
    steps, calls = [], []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    plain = judge.evaluate
    judge.evaluate = lambda: calls.append(len(steps)) or plain()
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs.get("binary_accuracy"))
    )
    callbacks = [count, judge, watch]
    model.fit(X, Y, batch_size=24, epochs=2, callbacks=callbacks, verbose=0)
    assert calls == [3, 6]  # of 8 steps
    assert all(isinstance(value, float) for value in seen)


@smoke
def test_evaluation_within_an_epoch_does_not_change_the_training():
    weights = []
    for callbacks in ([], [EvalCallback(QX, QY, TX, TY, every_steps=1)]):
        keras.utils.set_random_seed(3)
        model = make_model()
        fit(model, callbacks)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_metrics_matchers_and_thresholds():
    judge = EvalCallback(
        QX,
        QY,
        TX,
        TY,
        metrics=["precision", F1Score(name="my_f1")],
        k=5,
        matcher=MatchMajorityVote(),
        distance_thresholds=[0.5, 0.01],
        retrieval_metrics=[MapAtK(r={i: 7 for i in range(8)}, clip_at_r=True, k=7)],
    )
    history = fit(make_model(), [judge])
    names = {f"{n}@{t}" for n in ("precision", "my_f1") for t in ("0.5", "0.01")}
    assert names <= set(history) and len(history) == 6
    assert judge.distance_thresholds.tolist() == [0.01, 0.5]
    assert judge.matcher.name and judge.evaluator and judge.k == 5
    values = np.array(list(history.values()))
    assert np.isfinite(values).all()


def test_a_metric_that_clips_at_r_gets_as_many_neighbours():
    counts = {label: int((TY == label).sum()) for label in range(8)}
    metric = MapAtK(r=counts, clip_at_r=True, k=1)
    model = make_model()
    judge = EvalCallback(QX, QY, TX, TY, retrieval_metrics=metric)
    judge.set_model(model)
    right = TY[nearest(model, QX, TX, "cosine", 7)] == QY[:, None]
    ranks = np.arange(1, 8)
    each = (right * right.cumsum(axis=1) / ranks).sum(axis=1) / 7
    assert set(counts.values()) == {7}
    assert judge.evaluate()[metric.name] == pytest.approx(each.mean(), abs=1e-6)


def test_two_towers_embed_queries_and_items_by_their_own():
    towers = [
        keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)]) for _ in range(2)
    ]
    model = TwoTowerModel(*towers)
    model.compile("adam", distance="cosine")
    judge = EvalCallback(QX, QY, TX, TY)
    judge.set_model(model)
    found = judge.evaluate()["binary_accuracy"]
    q, t = (
        tower.predict(x, verbose=0) for tower, x in zip(towers, (QX, TX), strict=True)
    )
    q, t = (r / np.linalg.norm(r, axis=1, keepdims=True) for r in (q, t))
    assert found == pytest.approx((TY[(q @ t.T).argmax(axis=1)] == QY).mean())


def test_the_output_that_is_indexed_is_judged():
    inputs = keras.Input((6,))
    first = keras.layers.Dense(3, name="first")(inputs)
    second = keras.layers.Dense(4, name="second")(inputs)
    model = SimilarityModel(inputs, [first, second])
    model.compile("adam", loss=[None, TripletLoss("euclidean")])
    judge = EvalCallback(QX, QY, TX, TY)
    judge.set_model(model)
    q, t = (np.float64(model.predict(x, verbose=0)[1]) for x in (QX, TX))
    rows = np.linalg.norm(q[:, None] - t[None], axis=-1).argmin(axis=1)
    assert judge.evaluate()["binary_accuracy"] == pytest.approx((TY[rows] == QY).mean())


def test_a_plain_keras_model_is_judged_too():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    model.compile("adam", loss=TripletLoss("euclidean"))
    judge = EvalCallback(QX, QY, TX, TY)
    history = fit(model, [judge])
    assert judge.distance.name == "euclidean" and len(history["binary_accuracy"]) == 2


def test_embeddings_that_are_not_finite_give_nan(caplog):
    model = make_model()
    judge = EvalCallback(QX * np.nan, QY, TX, TY, retrieval_metrics=RecallAtK(k=2))
    history = fit(model, [judge], epochs=1)
    assert np.isnan([history["binary_accuracy"], history["recall@2"]]).all()
    assert "not finite" in caplog.text


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboard")
    judge = EvalCallback(QX, QY, TX, TY, tb_logdir=tmp_path, known_classes=[1])
    history = fit(make_model(), [judge], epochs=3)
    loader = importlib.import_module(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    events = loader.EventAccumulator(str(tmp_path / "index"), {"tensors": 0})
    events.Reload()
    from tensorboard.util import tensor_util

    name = "binary_accuracy_known_classes"
    found = events.Tensors(name)
    assert [event.step for event in found] == [0, 1, 2]
    values = [float(tensor_util.make_ndarray(event.tensor_proto)) for event in found]
    np.testing.assert_allclose(values, history[name], rtol=1e-6)


def test_what_is_handed_to_tensorboard(tmp_path, monkeypatch):
    folders, written = [], []

    class Writer(contextlib.nullcontext):
        as_default = property(lambda self: lambda: self)
        flush = staticmethod(lambda: None)

    summary = types.SimpleNamespace(
        create_file_writer=lambda path: folders.append(path) or Writer(),
        scalar=lambda name, value, step: written.append((name, value, step)),
    )
    module = importlib.import_module("tensorflow_similarity.callbacks._tensorboard")
    monkeypatch.setattr(module, "_summary", lambda: summary)
    judge = EvalCallback(QX, QY, TX, TY, tb_logdir=tmp_path)
    history = fit(make_model(), [judge], epochs=3)
    assert folders == [str(tmp_path / "index")]
    values = history["binary_accuracy"]
    assert written == [("binary_accuracy", values[i], i) for i in range(3)]
    judge = EvalCallback(QX, QY, TX, TY, tb_logdir=tmp_path, every_steps=3)
    fit(make_model(), [judge], epochs=3)
    assert [step for _, _, step in written[3:]] == [3, 6]


@pytest.mark.parametrize("missing", ["tensorflow", "tensorboard"])
def test_tensorboard_without_its_packages_says_what_is_missing(
    tmp_path, monkeypatch, missing
):
    monkeypatch.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=f"TensorBoard.*needs {missing}"):
        EvalCallback(QX, QY, TX, TY, tb_logdir=tmp_path)


def test_refuses_what_it_cannot_do():
    for arguments, message in (
        ({"k": 0}, "`k` must be an integer"),
        ({"k": 99}, "`targets` must hold at least 99"),
        ({"retrieval_metrics": [RecallAtK(k=80)]}, "at least 80 examples"),
        ({"retrieval_metrics": ["recall"]}, "must be RetrievalMetric objects"),
        ({"metrics": ["accuracy!"]}, "accuracy!"),
        ({"matcher": "nearest of all"}, "nearest of all"),
        ({"every_epochs": 0}, "`every_epochs` must be an integer"),
        ({"every_steps": 0}, "`every_steps` must be an integer"),
        ({"batch_size": 0}, "`batch_size` must be an integer"),
        ({"distance": "nearness"}, "nearness"),
    ):
        with pytest.raises(ValueError, match=message):
            EvalCallback(QX, QY, TX, TY, **arguments)
    with pytest.raises(ValueError, match="`query_labels` must hold one label"):
        EvalCallback(QX, QY[:3], TX, TY)
    with pytest.raises(ValueError, match="`target_labels` are missing"):
        EvalCallback(QX, QY, TX)
    with pytest.raises(ValueError, match="`queries` is empty"):
        EvalCallback(QX[:0], QY[:0], TX, TY)
    with pytest.raises(TypeError, match="read only once"):
        EvalCallback(iter([(QX, QY)]), None, TX, TY)
    with pytest.raises(TypeError, match="`known_classes` must be of the kind"):
        EvalCallback(QX, QY, TX, TY, known_classes=["a"])
    with pytest.raises(ValueError, match="would judge it by another"):
        fit(make_model(), [EvalCallback(QX, QY, TX, TY, distance="euclidean")])


def test_a_data_set_brings_its_own_labels():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, i):
            return QX

    with pytest.raises(ValueError, match="must be None where `queries` is a data set"):
        EvalCallback(Batches(), QY, TX, TY)
    judge = EvalCallback(Batches(), None, TX, TY)
    with pytest.raises(ValueError, match="`query_labels` are missing"):
        fit(make_model(), [judge])


@smoke
def test_validation_loss_of_known_and_unknown_classes():
    model = make_model()
    parts = SplitValidationLoss(X, Y, known_classes=[0, 1, 2, 3], batch_size=500)
    stop = keras.callbacks.EarlyStopping(
        "val_loss_unknown_classes", min_delta=99.0, mode="min"
    )
    history = fit(model, [parts, stop], epochs=5)
    assert len(history["val_loss_unknown_classes"]) == 2
    loss = TripletLoss("cosine")
    for name, chosen in (("known", Y < 4), ("unknown", Y >= 4)):
        wanted = float(loss(Y[chosen], model.predict(X[chosen], verbose=0)))
        found = history[f"val_loss_{name}_classes"][-1]
        assert found == pytest.approx(wanted, rel=1e-4)


def test_split_of_all_or_none():
    parts = SplitValidationLoss(X, Y, range(8), every_epochs=2)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(sorted(logs))
    )
    fit(make_model(), [parts, watch])
    assert seen == [["loss"], ["loss", "val_loss_known_classes"]]
    with pytest.raises(ValueError, match="`x` and `y` must be of equal length"):
        SplitValidationLoss(X, Y[:5], [1])
    with pytest.raises(ValueError, match="`batch_size` must be an integer"):
        SplitValidationLoss(X, Y, [1], batch_size=0)


def test_a_part_of_one_class_has_no_loss():
    with pytest.raises(ValueError, match="unknown classes are all of one class, 7"):
        SplitValidationLoss(X, Y, range(7))
    with pytest.raises(ValueError, match="of known classes are all of one class"):
        SplitValidationLoss(X, Y, [0])


def test_validation_loss_of_lists_and_strings():
    names = [f"class {i}" for i in Y]
    wanted = SplitValidationLoss(X, Y, range(4))
    found = SplitValidationLoss(X.tolist(), names, [f"class {i}" for i in range(4)])
    model = make_model()
    logs = {}, {}
    for part, log in zip((wanted, found), logs, strict=True):
        part.set_model(model)
        part.on_epoch_end(0, log)
    assert logs[0] == pytest.approx(logs[1], rel=1e-5) and len(logs[0]) == 2


def test_validation_loss_refuses_what_it_cannot_read():
    with pytest.raises(ValueError, match="`y` is missing"):
        SplitValidationLoss(X, None, [1])
    with pytest.raises(ValueError, match="`y` must have a label for each"):
        SplitValidationLoss(X[:2], [1, None], [1])
    with pytest.raises(TypeError, match="`known_classes` must be several"):
        SplitValidationLoss(X, Y, 3)

    class Batches(keras.utils.PyDataset):
        pass

    with pytest.raises(TypeError, match="`x` must be arrays"):
        SplitValidationLoss(Batches(), None, [1])


def test_names_in_the_logs_are_distinct(caplog):
    two = [RecallAtK(k=1), RecallAtK(k=1, average="macro")]
    with pytest.raises(ValueError, match="Two metrics have the name 'recall@1'"):
        EvalCallback(QX, QY, TX, TY, retrieval_metrics=two)
    with pytest.raises(ValueError, match="Two metrics have the name 'recall'"):
        EvalCallback(QX, QY, TX, TY, metrics=["recall", "recall"])
    close = EvalCallback(QX, QY, TX, TY, distance_thresholds=[0.1, 0.1000001])
    other = EvalCallback(QX, QY, TX, TY, prefix="other_")
    twice = EvalCallback(QX, QY, TX, TY)
    model, logs = make_model(), {}
    for judge in (close, other, twice):
        judge.set_model(model)
        judge.on_epoch_end(0, logs)
    names = "@0.1", "@0.1000001", ""
    assert {f"binary_accuracy{name}" for name in names} < set(logs)
    assert logs["binary_accuracy"] == logs["other_binary_accuracy"]
    assert not caplog.text
    for judge in (twice, twice):
        judge.on_epoch_end(1, logs)
    assert caplog.text.count("The logs had ['binary_accuracy']") == 1


def test_too_few_targets_are_counted_wherever_they_come_from():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, i):
            return TX[:3], TY[:3]

    judge = EvalCallback(QX, QY, Batches(), k=4)
    judge.set_model(make_model())
    with pytest.raises(ValueError, match="`targets` must hold at least 4"):
        judge.evaluate()
    metric = PrecisionAtK(k=3, drop_closest_lookup=True)
    with pytest.raises(ValueError, match="at least 4 examples"):
        EvalCallback(QX, QY, TX[:3], TY[:3], retrieval_metrics=[metric])


def test_refuses_at_the_door_what_would_fail_later():
    class Endless(keras.utils.PyDataset):
        num_batches = None

    for arguments, error, message in (
        ((QX, QY, None, None), ValueError, "`targets` are missing"),
        ((Endless(), None, TX, TY), ValueError, "must be a data set that ends"),
        ((QX, QY, TX, TY, "auto", ["recall"], None, 1, "match_nearest", "far"),
         ValueError, "`distance_thresholds` must be one number or several"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            EvalCallback(*arguments)
    for known in ("c0", 3):
        with pytest.raises(TypeError, match="`known_classes` must be several"):
            EvalCallback(QX, QY, TX, TY, known_classes=known)
    with pytest.raises(RuntimeError, match="has no model yet"):
        EvalCallback(QX, QY, TX, TY).evaluate()


def test_steps_go_on_in_a_second_fit(monkeypatch):
    judge = EvalCallback(QX, QY, TX, TY, every_steps=1)
    steps = []
    monkeypatch.setattr(judge, "_write", lambda values, step: steps.append(step))
    monkeypatch.setattr(judge, "evaluate", dict)
    for _ in range(2):
        judge.on_train_begin()
        judge.on_train_batch_end(0)
        judge.on_train_batch_end(1)
    assert steps == [1, 2, 3, 4]
