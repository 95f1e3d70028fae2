"""The matrix, and what is written on it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tensorflow_similarity.visualization import confusion_matrix


def drawn(y_pred, y_true, *args, **options):
    ax, cm = confusion_matrix(y_pred, y_true, *args, show=False, **options)
    return ax, cm


def names(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def test_rows_are_true_and_columns_predicted():
    ax, cm = drawn([0, 1, 1, 2, 2], [0, 0, 1, 1, 2], False)
    assert cm.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    np.testing.assert_array_equal(ax.images[0].get_array(), cm)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert ax.get_title() == "Confusion matrix"


def test_normalized_rows_sum_to_one_or_are_empty():
    _, cm = drawn([0, 1, 1, 2], [0, 0, 0, 1])
    np.testing.assert_allclose(cm, [[1 / 3, 2 / 3, 0], [0, 0, 1], [0, 0, 0]])


def test_each_cell_has_its_number():
    ax, _ = drawn([0, 1, 1], [0, 0, 1])
    assert [text.get_text() for text in ax.texts] == ["0.50", "0.50", "0.00", "1.00"]


def test_agrees_with_a_loop_for_any_labels():
    rng = np.random.default_rng(0)
    true, guess = rng.choice([3, 7, 900, 10**12], (2, 200))
    _, cm = drawn(guess, true, False)
    classes = [3, 7, 900, 10**12]
    for i, row in enumerate(classes):
        for j, column in enumerate(classes):
            pairs = zip(true, guess, strict=True)
            assert cm[i, j] == sum(t == row and g == column for t, g in pairs)


def test_list_names_every_class_even_those_that_do_not_occur():
    ax, cm = drawn([0, 10], [0, 2], labels=[f"c{i}" for i in range(10)] + ["unknown"])
    assert cm.shape == (11, 11) and cm[2, 10] == 1
    assert names(ax)[-1] == "unknown"


def test_no_match_comes_last_with_a_word():
    ax, cm = drawn([-1, 0, 1], [0, 0, 1], False, ["cat", "dog"])
    assert names(ax) == ["cat", "dog", "no match"]
    assert cm.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_no_match_may_have_another_label_or_a_name_of_its_own():
    ax, _ = drawn([5, 0], [0, 1], no_match_label=5)
    assert names(ax) == ["0", "1", "no match"]
    ax, _ = drawn([-1, 0], [0, 1], labels={-1: "stranger"})
    assert names(ax) == ["0", "1", "stranger"]
    ax, _ = drawn(["none", "cat"], ["cat", "dog"], no_match_label="none")
    assert names(ax) == ["cat", "dog", "no match"]


def test_other_negative_labels_are_classes():
    ax, _ = drawn([-3, 0], [-3, 0], labels=["cat", "dog"])
    assert names(ax) == ["-3", "cat"]


def test_strings_go_in_the_order_of_their_list():
    ax, cm = drawn(["a", "b"], ["b", "b"], False, ["b", "c", "a"])
    assert names(ax) == ["b", "c", "a"]
    assert cm.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_items_without_a_label_are_a_class_of_their_own():
    ax, cm = drawn([None, 1], [1, None], False)
    assert names(ax) == ["1", "no label"]
    assert cm.tolist() == [[0, 1], [1, 0]]


def test_two_hundred_classes_have_some_names_and_no_numbers():
    y = np.arange(200)
    ax, cm = drawn(y, y)
    assert cm.shape == (200, 200)
    assert not ax.texts and 10 < len(names(ax)) <= 40


def test_names_fit_and_are_never_formulas():
    ax, _ = drawn([0, 1], [0, 1], labels=["a" * 60 + "1", "a" * 60 + "$x^$"])
    assert all(len(name) <= 28 for name in names(ax))
    assert names(ax)[0].endswith("1") and "…" in names(ax)[0]
    ax.figure.canvas.draw()


def test_numbers_stand_out_from_their_cells():
    ax, _ = drawn([0, 1, 1], [0, 1, 1], cmap="Blues")
    assert [text.get_color() for text in ax.texts] == [
        "white",
        "black",
        "black",
        "white",
    ]
    ax, _ = drawn([0, 1], [0, 1], cmap="cividis")
    assert [text.get_color() for text in ax.texts] == [
        "black",
        "white",
        "white",
        "black",
    ]


def test_draws_on_axes_of_the_user_and_shows_by_default(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    ax = plt.subplots()[1]
    assert confusion_matrix([0], [0], ax=ax)[0] is ax
    assert shown == [1]


@pytest.mark.parametrize("tensor", [False, True])
def test_labels_may_be_columns_and_tensors(tensor):
    from keras import ops

    column = np.array([[0], [1]])
    _, cm = drawn(ops.convert_to_tensor(column) if tensor else column, [0, 1], False)
    assert cm.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        (([], []), ValueError, "`y_true` must hold at least one label"),
        (([0], 3), ValueError, "`y_true` must hold at least one label"),
        (([0, 1], [0]), ValueError, "`y_pred` must hold one label"),
        (([0.5], [0]), TypeError, "`y_pred` must be integers"),
        ((["a"], [0]), TypeError, "y_pred are strings, y_true are integers"),
        ((["a"], ["b"], True, ["a"]), ValueError, r"without \['b'\]"),
        (([0], [0], True, "names"), TypeError, "`labels` must have `.get`"),
        ((None, [0]), ValueError, "`y_pred` must hold 1 labels. Received: None"),
    ],
)
def test_bad_input_is_named(arguments, error, words):
    with pytest.raises(error, match=words):
        confusion_matrix(*arguments, show=False)
    assert not plt.get_fignums()
