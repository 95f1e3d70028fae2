"""Getting a distance by name, description or itself; its contract at the door."""

import json

import keras
import numpy as np
import pytest

from tensorflow_similarity import distances
from tensorflow_similarity.distances import Distance

pytestmark = pytest.mark.backend_smoke

# predecessor's names and aliases, which notebooks and saved files hold
NAMES = {
    "CosineDistance": ["cosine", "cosinedistance"],
    "EuclideanDistance": ["euclidean", "euclideandistance", "l2", "pythagorean"],
    "SquaredEuclideanDistance": [
        "squared_euclidean",
        "sql2",
        "sqeuclidean",
        "squaredeuclideandistance",
    ],
    "ManhattanDistance": ["manhattan", "l1", "taxicab", "manhattandistance"],
    "InnerProductSimilarity": ["inner_product", "ip", "innerproductsimilarity"],
    "SNRDistance": ["snr", "snrdistance", "signal-to-noise-ratio"],
}
CASES = [(name, cls) for cls, names in NAMES.items() for name in names]


@pytest.mark.parametrize(("name", "cls"), CASES)
def test_every_name_is_found_in_any_case_and_with_spaces(name, cls):
    for spelling in (name, name.upper(), f"  {name.title()} "):
        assert type(distances.get(spelling)).__name__ == cls


def test_names_and_aliases_are_attributes_of_the_class():
    for cls, names in NAMES.items():
        found = getattr(distances, cls)
        assert [found.name, *sorted(found.aliases)] == [names[0], *sorted(names[1:])]


def test_distances_lists_one_of_each():
    assert sorted(type(d).__name__ for d in distances.DISTANCES) == sorted(NAMES)


def test_all_is_sorted():
    assert distances.__all__ == sorted(distances.__all__)


def test_get_returns_a_distance_as_it_is():
    mine = distances.CosineDistance()
    assert distances.get(mine) is mine
    assert distances.distance_canonicalizer(mine) is mine


@pytest.mark.parametrize("unknown", ["cosinus", "", None, 3, distances.CosineDistance])
def test_unknown_distance_lists_the_known(unknown):
    with pytest.raises(ValueError, match=r"one of the names \['cosine', .*'snr'") as e:
        distances.get(unknown)
    assert f"Received: distance={unknown!r}." in str(e.value)


def test_description_without_module_is_understood():
    config = {"class_name": "SNRDistance", "config": {"name": "snr"}}
    assert distances.get(config) == distances.SNRDistance()


@pytest.mark.parametrize(
    "config", [{}, {"class_name": "NoSuch", "config": {}}, {"config": {}}]
)
def test_description_of_nothing_known_says_so(config):
    with pytest.raises(ValueError, match="`config` must describe a Distance"):
        distances.deserialize(config)


def test_description_of_something_else_says_what():
    config = keras.saving.serialize_keras_object(keras.losses.MeanSquaredError())
    with pytest.raises(ValueError, match="a description of MeanSquaredError"):
        distances.deserialize(config)


class Chebyshev(Distance):
    name = "chebyshev"

    def __init__(self, power=1, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def call(self, query, key):
        gaps = keras.ops.abs(query[:, None] - key[None])
        return keras.ops.max(gaps, axis=2) ** self.power

    def get_config(self):
        return {**super().get_config(), "power": self.power}


def test_own_distance_works_and_comes_back_through_custom_objects():
    mine = Chebyshev(power=2)
    assert float(mine([[0.0, 1.0]], [[3.0, 2.0]])[0, 0]) == 9.0
    config = json.loads(json.dumps(distances.serialize(mine)))
    back = distances.deserialize(config, custom_objects={"Chebyshev": Chebyshev})
    assert back == mine and back.power == 2


def test_equal_means_same_class_and_config():
    assert Chebyshev(2) == Chebyshev(2) and hash(Chebyshev(2)) == hash(Chebyshev(2))
    assert Chebyshev(2) != Chebyshev(3)
    assert distances.CosineDistance() != distances.EuclideanDistance()
    assert distances.CosineDistance() != "cosine"
    assert distances.CosineDistance(name="other") != distances.CosineDistance()


def test_name_and_aliases_can_be_given():
    mine = distances.CosineDistance("angle", ["a"])
    assert (mine.name, mine.aliases, str(mine)) == ("angle", ("a",), "angle")
    assert distances.CosineDistance().name == "cosine"


def test_base_has_no_formula():
    with pytest.raises(NotImplementedError, match="Distance must write `call"):
        Distance()([[1.0]], [[1.0]])


@pytest.mark.parametrize("role", ["query", "key"])
def test_single_embedding_is_refused_with_the_cure(role):
    arguments = {"query": np.ones((2, 3)), "key": np.ones((2, 3)), role: np.ones(3)}
    with pytest.raises(ValueError, match=rf"`{role}` must be .*`{role}\[None, :\]`"):
        distances.CosineDistance()(**arguments)


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3\), key of shape \(2, 4\)"):
        distances.EuclideanDistance()(np.ones((2, 3)), np.ones((2, 4)))
