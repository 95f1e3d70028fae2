import logging

import keras
import numpy as np
import pytest

from tensorflow_similarity.classification_metrics import ClassificationMetric
from tensorflow_similarity.evaluators import match_lookups
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.retrieval_metrics import PrecisionAtK, RecallAtK
from tensorflow_similarity.types import CalibrationResults

from .conftest import small_model

pytestmark = pytest.mark.backend_smoke


@pytest.fixture
def queries(data):
    """Others of the six classes, and some of a seventh."""
    x, y = data
    rng = np.random.default_rng(9)
    x = x + 0.1 * rng.normal(size=x.shape)
    x[:6] = rng.normal(size=x[:6].shape)
    return x.astype("float32"), np.where(np.arange(60) < 6, 6, y)


def test_lines_of_the_notebook(indexed, queries, capsys, tmp_path):
    model, (x, y) = indexed, queries
    calibration = model.calibrate(
        x, y, extra_metrics=["precision", "recall", "binary_accuracy"], verbose=1
    )
    assert "optimal" in capsys.readouterr().out
    sizes = {len(calibration.thresholds[n]) for n in ("distance", "f1", "recall")}
    assert sizes == {len(np.unique(calibration.thresholds["distance"]))}
    assert len(model.match(x[:10], cutpoint="optimal")) == 10
    cutpoint = "optimal"
    matches = model.match(x, cutpoint=cutpoint, no_match_label=10)
    assert all(type(label) is int for label in matches) and 10 in matches
    model.index_summary()
    model.save(str(tmp_path / "hello_world"), save_index=True)
    again = keras.models.load_model(
        str(tmp_path / "hello_world"),
        custom_objects={"SimilarityModel": SimilarityModel},
    )
    again.load_index(str(tmp_path / "hello_world"))
    again.index_summary()
    assert again.match(x, cutpoint=cutpoint, no_match_label=10) == matches


def test_a_match_is_a_neighbour_within_the_cutpoint(indexed, queries):
    x, y = queries
    results = indexed.calibrate(x, y, verbose=0)
    assert isinstance(results, CalibrationResults) and indexed.calibration is results
    lookups = indexed.lookup(x, k=1, verbose=0)
    limit = results.cutpoints["optimal"]["distance"]
    near = lookups.distances[:, 0].astype(float).round(8) <= limit
    expected = np.where(near, lookups.labels[:, 0], -1).tolist()
    assert indexed.match(x) == expected
    assert indexed.match(x, "all") == {"optimal": expected}
    assert match_lookups(lookups, results) == expected


def test_one_lookup_serves_all_cutpoints(indexed, queries, monkeypatch):
    x, y = queries
    indexed.calibrate(x, y, {"a": 0.5, "b": 0.6}, verbose=0)
    calls = []
    lookup = indexed.indexer.batch_lookup
    monkeypatch.setattr(
        indexed.indexer, "batch_lookup", lambda *a, **k: calls.append(1) or lookup(*a)
    )
    assert set(indexed.match(x, "all")) == {"optimal", "a", "b"}
    assert len(calls) == 1
    found = indexed.evaluate_classification(x, y, verbose=0)
    assert set(found) == {"optimal", "a", "b"} and len(calls) == 2


def test_classification_agrees_with_the_calibration(indexed, queries, capsys):
    x, y = queries
    results = indexed.calibrate(x, y, {"half": 0.5}, k=3, matcher="majority_vote")
    found = indexed.evaluate_classification(x, y)
    assert capsys.readouterr().out.count("optimal") == 2
    for name, cut in results.cutpoints.items():
        values = {key: float(found[name][key][0]) for key in cut if key not in
                  ("name", "value")}  # fmt: skip
        assert values == {key: cut[key] for key in values}
        assert found[name]["name"] == name
    indexed.evaluate_classification(x, y, verbose=0)
    assert not capsys.readouterr().out


def test_string_labels(model, data, queries):
    x, y = data
    names = np.array(["ant", "bee", "cat", "dog", "elk", "fox", "gnu"])
    model.index(x, names[y], verbose=0)
    model.calibrate(queries[0], names[queries[1]], verbose=0)
    found = model.match(queries[0], no_match_label="nobody")
    assert set(found) <= {*names, "nobody"} and "nobody" in found


def test_models_of_several_outputs(data, queries):
    inputs = keras.Input((4, 4, 1))
    flat = keras.layers.Flatten()(inputs)
    outputs = [keras.layers.Dense(3, name="head")(flat),
               MetricEmbedding(8, name="embedding")(flat)]  # fmt: skip
    model = SimilarityModel(inputs, outputs)
    model.compile(
        "adam", loss={"embedding": MultiSimilarityLoss(), "head": "mse"},
        embedding_output="embedding",
    )  # fmt: skip
    model.index(*data, verbose=0)
    model.calibrate(*queries, verbose=0)
    assert len(model.match(queries[0])) == 60


def test_labels_come_with_batches(indexed, queries):
    x, y = queries
    batches = ((x[i : i + 20], y[i : i + 20]) for i in range(0, 60, 20))
    found = indexed.calibrate(batches, verbose=0)
    assert found.cutpoints == indexed.calibrate(x, y, verbose=0).cutpoints


class Hits:
    name, k = "hits", 2

    def compute(self, *, query_labels, lookup_labels, lookup_distances, match_mask):
        assert lookup_labels.shape == (60, 3)
        return match_mask[:, 0].mean()


def test_retrieval_metrics_are_asked(indexed, queries):
    x, y = queries
    found = indexed.evaluate_retrieval(x, y, [Hits()], verbose=0)
    nearest = indexed.lookup(x, k=1, verbose=0).labels[:, 0]
    assert float(found["hits"]) == (nearest == y).mean()


@pytest.mark.parametrize("form", ["model.keras", "model", "index"])
def test_a_calibration_is_saved_with_the_index(indexed, queries, tmp_path, form):
    x, y = queries
    before = indexed.calibrate(
        x, y, {"half": 0.5}, k=3, matcher="majority_vote", verbose=0, per_class=True,
        probability="isotonic",
    )  # fmt: skip
    matches = indexed.match(x, "all")
    if form == "index":
        indexed.save_index(tmp_path)
        again = indexed
        again.reset_index()
        again.load_index(tmp_path)
    else:
        indexed.save(tmp_path / form)
        again = keras.models.load_model(tmp_path / form)
    after = again.calibration
    assert after is not before and after.cutpoints == before.cutpoints
    assert after.class_cutpoints == before.class_cutpoints
    assert after.achieved == before.achieved
    assert after.probability([0.01]) == before.probability([0.01])
    assert again.match(x, "all") == matches
    found = again.evaluate_classification(x, y, verbose=0)
    assert found["half"]["f1"][0] == before.cutpoints["half"]["f1"]


@keras.saving.register_keras_serializable(package="tests")
class AcceptedShare(ClassificationMetric):
    def __init__(self, name="f1@k"):
        super().__init__(name, "lift")

    def compute(self, tp, fp, tn, fn, count):
        return (tp + fp) / count


def test_a_metric_of_ones_own_outlives_saving(indexed, queries, tmp_path):
    indexed.calibrate(*queries, calibration_metric=AcceptedShare(), verbose=0)
    indexed.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate_classification(*queries, verbose=0)["optimal"]["f1@k"] == [1]


def test_items_added_after_the_calibration_are_said_once(
    indexed, queries, caplog, tmp_path
):
    x, y = queries
    indexed.calibrate(x, y, k=np.int64(1), verbose=0)
    indexed.match(x)
    indexed.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    again.match(x)
    assert "Items were added" not in caplog.text
    for model in (indexed, again):
        model.index(x[:5], y[:5], verbose=0)
        caplog.clear()
        model.match(x)
        model.evaluate_classification(x, y, verbose=0)
        assert caplog.text.count("Items were added, replaced or removed") == 1
        assert "60 items then, 65 now" in caplog.text


def test_what_could_not_be_made_again_is_not_saved(indexed, queries, tmp_path):
    class Unknown(AcceptedShare):
        pass

    indexed.calibrate(*queries, calibration_metric=Unknown(), verbose=0)
    assert indexed.evaluate_classification(*queries, verbose=0)["optimal"]["f1@k"] == 1
    with pytest.raises(ValueError, match="Keras does not know the class Unknown"):
        indexed.save(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())
    with pytest.raises(TypeError, match="`calibrate` takes no argument 'foo'"):
        indexed.calibrate(*queries, foo=3)


def test_resetting_or_embedding_anew_drops_the_calibration(
    indexed, data, queries, caplog
):
    indexed.calibrate(*queries, verbose=0)
    with caplog.at_level(logging.WARNING):
        indexed.reindex(verbose=0)
    assert indexed.calibration is None and "Call `calibrate` again" in caplog.text
    indexed.calibrate(*queries, verbose=0)
    indexed.reset_index()
    assert indexed.calibration is None
    indexed.index(*data, verbose=0)
    with pytest.raises(ValueError, match="not calibrated"):
        indexed.match(queries[0])


def test_old_weights_are_said_to_be_those_of_the_calibration(indexed, queries, caplog):
    indexed.calibrate(*queries, verbose=0)
    indexed.fit(*queries, epochs=1, verbose=0)
    with caplog.at_level(logging.WARNING):
        indexed.match(queries[0])
    assert "Its calibration is as old" in caplog.text


def test_wrong_use_is_said(indexed, queries):
    x, y = queries
    empty = small_model()
    for call in (empty.calibrate, lambda *a: empty.evaluate_retrieval(*a, [Hits()])):
        with pytest.raises(IndexError, match=r"Call `model.index\(x, y\)` before"):
            call(x, y)
    for call in (indexed.match, indexed.evaluate_classification):
        with pytest.raises(ValueError, match=r"Call `model.calibrate\(x, y\)` first"):
            call(x)
    with pytest.raises(ValueError, match="`y` must hold one label for each"):
        indexed.calibrate(x, y[:5], verbose=0)
    with pytest.raises(ValueError, match="needs a label for each example"):
        indexed.calibrate(x, verbose=0)
    with pytest.raises(ValueError, match="Unknown matcher"):
        indexed.calibrate(x, y, matcher="typo", verbose=0)
    with pytest.raises(ValueError, match="`k` must be an integer"):
        indexed.calibrate(x, y, k=0, verbose=0)
    with pytest.raises(ValueError, match="it takes at least 3,000"):
        indexed.calibrate(x, y, "fpr<=0.001", verbose=0)
    assert indexed.calibration is None
    indexed.calibrate(x, y, verbose=0)
    with pytest.raises(ValueError, match="There is no cutpoint 'typo'"):
        indexed.match(x, "typo")
    with pytest.raises(ValueError, match="one or more RetrievalMetric"):
        indexed.evaluate_retrieval(x, y)
    with pytest.raises(ValueError, match="must have distinct names"):
        micro, macro = RecallAtK(k=1), RecallAtK(k=1, average="macro")
        indexed.evaluate_retrieval(x, y, [micro, macro])
    with pytest.raises(TypeError, match="`per_class=True` makes cutpoints"):
        indexed.calibrate(x, y, matched_labels=y, verbose=0)


def test_clipped_metrics_get_all_of_a_class(indexed, queries):
    x, y = queries[0][6:], queries[1][6:]
    metric = PrecisionAtK(k=2, r=dict.fromkeys(range(6), 10), clip_at_r=True)
    found = indexed.evaluate_retrieval(x, y, metric)["precision"]
    near = indexed.lookup(x, k=10, verbose=0).labels == y[:, None]
    assert found == pytest.approx(near.mean())
