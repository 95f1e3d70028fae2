"""How `Lookups` show themselves in a notebook."""

from types import SimpleNamespace

import numpy as np

from tensorflow_similarity.types import NO_LABEL, Lookups


class Data:
    def __init__(self, data):
        self._data = data

    def fetch(self, ids):
        nothing = [None] * len(ids)
        data = [self._data[i] for i in ids]
        return SimpleNamespace(embeddings=nothing, data=data, metadata=nothing)


def lookups(n_queries, k, data=None):
    ids = np.tile(np.arange(k), (n_queries, 1))
    distances = ids.astype("float32") / 8
    return Lookups(ids, distances, ids + 20, records=data and Data(data))


def test_each_neighbour_has_rank_label_distance_and_id():
    html = lookups(1, 2)._repr_html_()
    assert (
        "<th>query</th><th>rank</th><th>label</th><th>distance</th><th>id</th></tr>"
        in html
    )
    assert "<td>1</td><td>20</td><td>0.00000</td><td>0</td></tr>" in html
    assert "<td>2</td><td>21</td><td>0.12500</td><td>1</td></tr>" in html
    assert "Not shown" not in html


def test_long_answers_say_how_much_is_not_shown():
    html = lookups(1205, 12)._repr_html_()
    assert html.count("<tr>") == 1 + 5 * 10
    assert "Not shown: 1,200 more queries and 2 more neighbours each." in html


def test_pictures_are_thumbnails_and_texts_are_escaped():
    html = lookups(1, 2, [np.eye(8), "<b>bold</b>" + "x" * 100])._repr_html_()
    assert html.count('<img src="data:image/png;base64,') == 1
    assert "&lt;b&gt;bold" in html and "<b>" not in html and "…" in html
    assert "<th>data</th>" in html


def test_data_of_other_kinds_have_no_column():
    assert "<th>data</th>" not in lookups(1, 1, [{"a": 1}])._repr_html_()


def test_missing_neighbours_and_labels_are_blank():
    found = Lookups(
        np.array([[3, -1], [-1, -1]]),
        np.array([[0.5, np.inf], [np.inf, np.inf]], "float32"),
        np.array([[NO_LABEL, NO_LABEL], [NO_LABEL, NO_LABEL]]),
    )
    html = found._repr_html_()
    assert "<td>1</td><td></td><td>0.50000</td><td>3</td>" in html
    assert "nothing found" in html and str(NO_LABEL) not in html


def test_no_queries_is_a_table_of_none():
    assert "n_queries=0" in lookups(0, 3)._repr_html_()
