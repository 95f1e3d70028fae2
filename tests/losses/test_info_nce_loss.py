"""Pairs of queries and keys, against plain loops."""

import cmath
import json

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity.losses import InfoNCELoss, MultiNegativesRankLoss
from tests import reference
from tests.gradients import HAS_FLOAT64, evaluate, to_numpy, value_and_grad

pytestmark = pytest.mark.backend_smoke

DTYPES = ["float32", "float64"] if HAS_FLOAT64 else ["float32"]
SAMPLE_WEIGHT = np.array([1.0, 0.0, 2.5, 0.5])


def log_of_sum(terms):
    largest = max(complex(t).real for t in terms)
    return largest + cmath.log(sum(cmath.exp(t - largest) for t in terms))


def info_nce(
    queries,
    keys,
    guide=None,
    distance="cosine",
    scale=20.0,
    symmetric=True,
    margin=None,
    relative=False,
):
    """One loss a pair: the papers, in loops."""
    s = -reference.matrix(distance, queries, keys)
    g = 1.0 - reference.matrix("cosine", *(guide or (queries, keys))).real
    n, m = s.shape

    def is_false(g_other, g_own):
        if margin is None:
            return False
        return g_other > (g_own * (1 - margin) if relative else g_own - margin)

    values = []
    for i in range(n):
        kept = [j for j in range(m) if j == i or not is_false(g[i, j], g[i, i])]
        value = log_of_sum([scale * s[i, j] for j in kept]) - scale * s[i, i]
        if symmetric:
            kept = [j for j in range(n) if j == i or not is_false(g[j, i], g[i, i])]
            back = log_of_sum([scale * s[j, i] for j in kept]) - scale * s[i, i]
            value = (value + back) / 2
        values.append(value)
    return values


CASES = [
    (InfoNCELoss, {}, {}),
    (InfoNCELoss, {"temperature": 0.5, "symmetric": False}, {"scale": 2.0}),
    (
        InfoNCELoss,
        {"distance": "euclidean", "temperature": 2.0},
        {"distance": "euclidean", "scale": 0.5},
    ),
    (
        InfoNCELoss,
        {"temperature": 0.2, "false_negative_margin": 0.1},
        {"scale": 5.0, "margin": 0.1},
    ),
    (
        InfoNCELoss,
        {
            "temperature": 0.2,
            "false_negative_margin": 0.3,
            "relative_margin": True,
            "symmetric": False,
        },
        {"scale": 5.0, "margin": 0.3, "relative": True},
    ),
    (
        MultiNegativesRankLoss,
        {"scale": 2},
        {"distance": "inner_product", "scale": 2.0, "symmetric": False},
    ),
    (
        MultiNegativesRankLoss,
        {"distance": "cosine", "symmetric": True, "false_negative_margin": -0.2},
        {"scale": 20.0, "margin": -0.2},
    ),
]
for _, _kwargs, _case in CASES:
    _case.setdefault("symmetric", _kwargs.get("symmetric", True))


def batch(n_keys, dtype="float32"):
    """Queries and keys of unequal norms; a key is nearer to its query than others."""
    generator = np.random.default_rng(3)
    queries = generator.normal(size=(4, 3))
    keys = np.concatenate([queries, generator.normal(size=(n_keys - 4, 3))])
    keys += 0.7 * generator.normal(size=keys.shape)
    queries *= generator.uniform(0.5, 2, size=(4, 1))
    keys *= generator.uniform(0.5, 2, size=(n_keys, 1))
    return queries.astype(dtype), keys.astype(dtype)


def close(actual, expected, dtype):
    if dtype == "float64":
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-8)
    else:
        atol = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_keys", [4, 7])
@pytest.mark.parametrize(("cls", "kwargs", "case"), CASES)
def test_agrees_with_the_papers_in_value_and_gradient(cls, kwargs, case, n_keys, dtype):
    queries, keys = batch(n_keys, dtype)
    wide = queries.astype(float), keys.astype(float)
    each = evaluate(cls(**kwargs, reduction=None), queries, keys)
    assert each.dtype == dtype
    close(each, np.real(info_nce(*wide, **case)), dtype)

    loss = cls(**kwargs)

    def total(q, k):
        values = info_nce(q, k, **case)
        return sum(w * v for w, v in zip(SAMPLE_WEIGHT, values, strict=True)) / 4

    value, gradients = value_and_grad(
        lambda q, k: loss(q, k, SAMPLE_WEIGHT), queries, keys
    )
    close(value, np.real(total(*wide)), dtype)
    close(gradients[0], reference.gradient(lambda q: total(q, wide[1]), wide[0]), dtype)
    close(gradients[1], reference.gradient(lambda k: total(wide[0], k), wide[1]), dtype)


@pytest.mark.parametrize("relative", [False, True])
def test_the_guide_says_which_negatives_are_false(relative):
    queries, keys = batch(6)
    generator = np.random.default_rng(8)
    guide = generator.normal(size=(4, 5)), generator.normal(size=(6, 5))
    guide[1][:4] += guide[0]
    loss = InfoNCELoss(
        temperature=1.0,
        false_negative_margin=0.2,
        relative_margin=relative,
        reduction=None,
    )
    case = {"scale": 1.0, "margin": 0.2, "relative": relative}
    expected = np.real(info_nce(queries, keys, guide, **case))
    actual = evaluate(lambda q, k: loss(q, k, guide=guide), queries, keys)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    assert not np.allclose(expected, np.real(info_nce(queries, keys, **case)))


def test_a_key_equal_to_the_positive_can_be_left_out():
    queries = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    keys = np.array([[1.0, 0.1], [0.0, 1.0], [1.0, 0.05]], "float32")
    kwargs = {"temperature": 1.0, "symmetric": False, "reduction": None}
    kept = to_numpy(InfoNCELoss(**kwargs)(queries, keys))
    left = to_numpy(InfoNCELoss(**kwargs, false_negative_margin=0.0)(queries, keys))
    assert left[0] < kept[0] and left[1] == kept[1]


def test_keys_beyond_the_queries_are_negatives_of_queries_alone():
    queries, keys = batch(7)
    one_way = {"symmetric": False, "temperature": 0.5}
    assert to_numpy(InfoNCELoss(**one_way)(queries, keys)) > to_numpy(
        InfoNCELoss(**one_way)(queries, keys[:4])
    )
    loss = InfoNCELoss(temperature=0.5)
    back = 2 * to_numpy(loss(queries, keys)) - to_numpy(
        InfoNCELoss(**one_way)(queries, keys)
    )
    alone = InfoNCELoss(**one_way)(keys[:4], queries)
    np.testing.assert_allclose(back, to_numpy(alone), rtol=1e-5)


@pytest.mark.parametrize("cls", [InfoNCELoss, MultiNegativesRankLoss])
@pytest.mark.parametrize(
    ("queries", "keys"),
    [
        ([[1.0, 2.0]], [[2.0, 1.0]]),
        ([[1.0, 2.0]] * 3, [[1.0, 2.0]] * 3),
        ([[0.0, 0.0]] * 3, [[0.0, 0.0]] * 4),
        ([[1e4, 0.0], [0.0, 1e4]], [[-1e4, 1.0], [1e4, 5.0]]),
    ],
)
@pytest.mark.parametrize("margin", [None, 0.0])
def test_stays_finite(cls, queries, keys, margin):
    loss = cls(symmetric=True, false_negative_margin=margin)
    arrays = [np.array(x, "float32") for x in (queries, keys)]
    value, gradients = value_and_grad(loss, *arrays)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)
    if len(queries) == 1:
        assert value == 0 and not any(g.any() for g in gradients)
    elif queries[0] == keys[0] and margin is None:
        np.testing.assert_allclose(value, (np.log(3) + np.log(len(keys))) / 2, 1e-5)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("mean", lambda v, w: (v * w).mean()),
        ("sum_over_batch_size", lambda v, w: (v * w).mean()),
        ("mean_with_sample_weight", lambda v, w: (v * w).sum() / w.sum()),
        ("sum", lambda v, w: (v * w).sum()),
        (None, lambda v, w: v * w),
    ],
)
def test_reductions(reduction, expected):
    queries, keys = batch(5)
    each = to_numpy(InfoNCELoss(reduction=None)(queries, keys))
    loss = InfoNCELoss(reduction=reduction)
    actual = to_numpy(loss(queries, keys, SAMPLE_WEIGHT[:, None]))
    np.testing.assert_allclose(actual, expected(each, SAMPLE_WEIGHT), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_embeddings_are_compared_in_float32(dtype):
    queries, keys = (np.round(4 * x) for x in batch(5))
    loss = InfoNCELoss()
    expected = evaluate(loss, queries, keys)
    actual = evaluate(
        lambda q, k: loss(ops.cast(q, dtype), ops.cast(k, dtype)), queries, keys
    )
    assert actual.dtype == "float32"
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.skipif(not HAS_FLOAT64, reason="no float64")
def test_one_float64_side_makes_the_loss_float64():
    queries, keys = batch(5, "float64")
    loss = InfoNCELoss(false_negative_margin=0.1)
    assert evaluate(loss, queries.astype("float32"), keys).dtype == "float64"


# torch 2.13 warns of its own doing while it traces.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("cls", [InfoNCELoss, MultiNegativesRankLoss])
def test_compiles_with_the_same_value_and_gradient(cls):
    queries, keys = batch(6)
    loss = cls(symmetric=True, false_negative_margin=0.1)

    def total(q, k):
        return loss(q, k)

    value, gradients = value_and_grad(total, queries, keys)
    again, same = value_and_grad(total, queries, keys, compiled=True)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    for a, b in zip(same, gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("cls", "kwargs"),
    [
        (
            InfoNCELoss,
            {
                "temperature": 0.1,
                "distance": "euclidean",
                "symmetric": False,
                "learn_temperature": True,
                "max_scale": 50.0,
                "false_negative_margin": 0.1,
                "relative_margin": True,
            },
        ),
        (
            MultiNegativesRankLoss,
            {
                "scale": 7,
                "distance": "cosine",
                "symmetric": True,
                "learn_scale": True,
                "max_scale": 50.0,
                "false_negative_margin": 0.1,
                "relative_margin": True,
            },
        ),
    ],
)
def test_config_round_trip_through_json(cls, kwargs):
    common = {"name": "mine", "reduction": "sum", "learning_rate_multiplier": 3.0}
    loss = cls(**kwargs, **common, dim=3)
    config = json.loads(json.dumps(loss.get_config()))
    for name, value in {**kwargs, **common, "dim": 3}.items():
        assert config[name] == value or name == "distance"
    assert cls.from_config(config).get_config() == loss.get_config()
    whole = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    back = keras.saving.deserialize_keras_object(whole)
    assert type(back) is cls and back.get_config() == loss.get_config()
    assert back.distance == loss.distance


def learned(scale=20.0, **kwargs):
    loss = InfoNCELoss(temperature=1 / scale, learn_temperature=True, **kwargs)
    loss.build(3)
    return loss


def test_a_learned_temperature_has_the_gradient_of_the_paper(monkeypatch):
    queries, keys = batch(6)
    loss = learned(scale=3.0)
    start = to_numpy(loss.weight("log_scale"))
    np.testing.assert_allclose(start, np.log(3.0), rtol=1e-6)

    def total(log_scale):
        monkeypatch.setattr(loss, "weight", {"log_scale": log_scale}.__getitem__)
        return loss(queries, keys)

    value, (gradient,) = value_and_grad(total, start)

    def paper(log_scale):
        scale = cmath.exp(complex(log_scale))
        return sum(info_nce(queries.astype(float), keys.astype(float), scale=scale)) / 4

    np.testing.assert_allclose(value, np.real(paper(start)), rtol=1e-5)
    np.testing.assert_allclose(gradient, reference.gradient(paper, start), rtol=1e-4)


@pytest.mark.parametrize("multiplier", [1.0, 4.0])
def test_a_learned_scale_stops_at_the_bound_and_finds_back(multiplier):
    loss = learned(scale=50.0, learning_rate_multiplier=multiplier)
    (variable,) = loss.trainable_variables
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([variable])
    for gradient, expected in [(-9.0, 100.0), (-9.0, 100.0), (np.log(2.0), 50.0)]:
        step = ops.convert_to_tensor(np.float32(gradient / multiplier))
        optimizer.apply([step], [variable])
        scale = np.exp(to_numpy(loss.weight("log_scale")))
        np.testing.assert_allclose(scale, expected, rtol=1e-5)


def test_a_learned_temperature_needs_a_model_to_learn_it():
    loss = MultiNegativesRankLoss(learn_scale=True)
    with pytest.raises(RuntimeError, match="'multineg_rank_loss' has weights"):
        loss(*batch(4))
    assert loss.trained_parts(3) == [(loss, 3)]
    assert MultiNegativesRankLoss().trained_parts(3) == []


def test_call_answers_one_value_a_pair():
    queries, keys = batch(6)
    each = to_numpy(InfoNCELoss(reduction=None)(queries, keys))
    np.testing.assert_allclose(to_numpy(InfoNCELoss().call(queries, keys)), each)


def test_default_name():
    assert MultiNegativesRankLoss().name == "multineg_rank_loss"


@pytest.mark.parametrize(
    ("queries", "keys", "message"),
    [
        ((4, 3), (4, 2), "must have the same width.*\\(4, 3\\).*\\(4, 2\\)"),
        ((4, 3), (3, 3), "must have a row for each of `query_embeddings`"),
        ((4,), (4, 3), "must be of shape"),
        ((4, 3), (4, 3, 1), "must be of shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(queries, keys, message):
    arrays = np.ones(queries, "float32"), np.ones(keys, "float32")
    with pytest.raises(ValueError, match=message):
        InfoNCELoss()(*arrays)


@pytest.mark.parametrize(
    ("guide", "message"),
    [
        (np.ones((4, 3)), "must be two arrays"),
        ((np.ones((3, 2)), np.ones((4, 2))), "as many rows as `query_embeddings`"),
        ((np.ones((4, 2)), np.ones((5, 2))), "as many rows as `key_embeddings`"),
        ((np.ones((4, 2)), np.ones((4, 3))), r"`guide\[0\]` and `guide\[1\]`"),
    ],
)
def test_guides_that_do_not_fit_are_refused(guide, message):
    with pytest.raises(ValueError, match=message):
        InfoNCELoss(false_negative_margin=0.0)(*batch(4), guide=guide)


def test_a_guide_without_a_margin_is_refused():
    with pytest.raises(ValueError, match="Make it with a `false_negative_margin`"):
        InfoNCELoss()(*batch(4), guide=batch(4))


def test_sample_weights_of_another_length_are_refused():
    with pytest.raises(ValueError, match="`sample_weight` must have one weight"):
        InfoNCELoss()(*batch(4), np.ones(3))


@pytest.mark.parametrize(
    ("cls", "kwargs", "message"),
    [
        (InfoNCELoss, {"temperature": 0.0}, "`temperature` must be above 0.*0.0"),
        (InfoNCELoss, {"temperature": float("nan")}, "`temperature` must be above 0"),
        (MultiNegativesRankLoss, {"scale": -1}, "`scale` must be above 0.*scale=-1"),
        (
            InfoNCELoss,
            {"learn_temperature": True, "max_scale": 10.0},
            "`max_scale` must be at least 1 / temperature",
        ),
        (
            MultiNegativesRankLoss,
            {"learn_scale": True, "scale": 200},
            "`max_scale` must be at least `scale`",
        ),
        (
            InfoNCELoss,
            {"false_negative_margin": 2.5},
            "`false_negative_margin` must be None or a number from -2 to 2",
        ),
        (
            MultiNegativesRankLoss,
            {"false_negative_margin": -0.1, "relative_margin": True},
            "a number from 0 to 1 with relative_margin=True",
        ),
        (InfoNCELoss, {"distance": "no_such"}, "`distance` must be"),
    ],
)
def test_bad_arguments_are_refused(cls, kwargs, message):
    with pytest.raises(ValueError, match=message):
        cls(**kwargs)
