"""Classes, shades, right and wrong."""

import numpy as np
import pytest

from tensorflow_similarity._core import doors
from tensorflow_similarity.visualization import colours


def by_label(labels, mapping=None, colorize=True, pastel_factor=0.0):
    labels = doors.as_labels(labels, len(labels))
    return colours.by_label(labels, mapping, colorize, pastel_factor)


def test_classes_come_in_ascending_order_and_no_label_last():
    found = by_label([7, 3, None, 7, -1])
    assert found.names == ("-1", "3", "7", "no label")
    assert found.values.tolist() == [2, 1, 3, 2, 0]
    assert found.palette[-1] == "#999999"
    assert (found.low, found.high) == (-0.5, 3.5)


@pytest.mark.parametrize("mapping", [["zero", "one"], {0: "zero", 1: "one", 9: "more"}])
def test_classes_have_the_names_of_the_mapping(mapping):
    assert by_label([1, 0, 1], mapping).names == ("zero", "one")


@pytest.mark.parametrize("mapping", [["zero", "one"], {0: "zero"}])
def test_labels_that_the_mapping_lacks_are_named(mapping):
    words = rf"It has {len(mapping)} names, and none for the labels \[.*5\]"
    with pytest.raises(ValueError, match=words):
        by_label([0, 1, 5] if len(mapping) == 2 else [0, 5], mapping)


def test_mapping_of_another_type_is_named():
    with pytest.raises(TypeError, match="must be a list of names or a dict"):
        by_label([0, 1, 1], "names")


def test_seven_colours_are_those_that_colour_blind_people_tell_apart():
    assert colours.palette(7)[:2] == ["#0072b2", "#d55e00"]
    assert len(set(colours.palette(49))) == 49
    assert len(colours.palette(200)) == 200
    assert set(colours.palette(3, None)) == {"#0072b2"}
    assert colours.palette(2, 1.0) == ["#ffffff", "#ffffff"]


def test_errors_are_right_wrong_and_not_judged():
    found = colours.by_error(
        "e", np.array([True, False, True]), np.array([True, True, False])
    )
    assert found.names == ("right", "wrong", "no label")
    assert found.values.tolist() == [1, 0, 2]


def test_columns_of_numbers_are_shaded_and_others_are_classes():
    shaded = colours.by_column("n", [0.5, None, 2.0, float("nan")])
    assert shaded.names == ()
    assert (shaded.low, shaded.high) == (0.5, 2.0)
    np.testing.assert_array_equal(np.isnan(shaded.values), [0, 1, 0, 1])
    assert colours.by_column("n", list(range(30))).names == ()
    assert colours.by_column("n", [3, 1, 3]).names == ("1", "3")
    assert colours.by_column("n", ["b", None, "a", "a"]).names == ("a", "b", "none")
    assert colours.by_column("n", [True, False, True]).names == ("False", "True")


def test_texts_that_all_differ_are_no_classes():
    assert colours.by_column("n", [f"text {i}" for i in range(50)]) is None
    assert colours.by_column("n", [[1], [2], [3]]) is None
    assert colours.by_column("n", [None, None, None]) is None
