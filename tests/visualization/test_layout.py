"""Where points lie, against the definitions, and where new ones go."""

import numpy as np
import pytest

from tensorflow_similarity import distances
from tensorflow_similarity.visualization import Layout
from tensorflow_similarity.visualization.layout import layout_of
from tensorflow_similarity.visualization.nearest_points import nearest_points

EUCLIDEAN = distances.get("euclidean")


def rows(n=40, dim=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype("float32")


def fitted(points, method, distance=EUCLIDEAN, **options):
    near = nearest_points(points, 14, distance)
    return layout_of(points, method, distance, near, **options)


def test_pca_has_the_variances_and_axes_of_the_definition():
    points = rows() * np.array([5, 3, 1, 1, 1], "float32")
    layout = fitted(points, "pca")
    wide = points.astype("float64") - points.astype("float64").mean(axis=0)
    values, vectors = np.linalg.eigh(wide.T @ wide)
    expected = wide @ vectors[:, [-1, -2]]
    for axis in (0, 1):
        sign = np.sign(expected[0, axis] * layout.coordinates[0, axis])
        np.testing.assert_allclose(
            layout.coordinates[:, axis], sign * expected[:, axis], atol=1e-4
        )
    assert (np.abs(layout.axes).max(axis=0) == layout.axes.max(axis=0)).all()


def test_pca_of_wide_rows_is_that_of_tall_ones():
    points = rows(6, 20)
    wide = fitted(points, "pca")
    again = fitted(np.concatenate([points] * 5), "pca")
    np.testing.assert_allclose(wide.coordinates, again.coordinates[:6], atol=1e-4)


def test_pca_by_cosine_distance_forgets_lengths():
    points = rows()
    lengths = np.random.default_rng(1).uniform(0.5, 9, (len(points), 1))
    cosine = distances.get("cosine")
    one = fitted(points, "pca", cosine)
    other = fitted((points * lengths).astype("float32"), "pca", cosine)
    np.testing.assert_allclose(one.coordinates, other.coordinates, atol=1e-5)


def test_one_dimension_lies_on_a_line():
    layout = fitted(rows(dim=1), "pca")
    assert np.ptp(layout.coordinates[:, 0]) > 0
    assert not layout.coordinates[:, 1].any()


@pytest.mark.parametrize("method", ["pca", "given"])
def test_fitted_points_find_their_own_places(method):
    points = rows()
    layout = fitted(points, rows(dim=2, seed=3) if method == "given" else method)
    np.testing.assert_allclose(
        layout.transform(points), layout.coordinates, rtol=1e-4, atol=1e-4
    )


def test_new_points_go_to_the_weighted_mean_of_their_nearest():
    points, places, new = rows(), rows(dim=2, seed=3), rows(7, seed=4)
    layout = Layout("given", points, places, EUCLIDEAN)
    found = layout.transform(new)
    for i, point in enumerate(new.astype("float64")):
        far = [float(np.sqrt(((point - other) ** 2).sum())) for other in points]
        nearest = sorted(range(len(points)), key=far.__getitem__)[:15]
        excess = [far[j] - far[nearest[0]] for j in nearest]
        scale = sum(excess) / 15
        weights = [np.exp(-e / scale) for e in excess]
        mean = sum(w * places[j] for w, j in zip(weights, nearest, strict=True))
        np.testing.assert_allclose(found[i], mean / sum(weights), atol=1e-4)


def test_layout_fitted_once_draws_other_points_in_its_place():
    points = rows()
    layout = fitted(points, "pca")
    again = fitted(points[:10], layout)
    np.testing.assert_allclose(again.coordinates, layout.coordinates[:10], atol=1e-4)


def test_tsne_is_the_same_for_a_seed():
    points = rows(12)
    one, other = (fitted(points, "tsne", seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.coordinates, other.coordinates)
    np.testing.assert_allclose(one.transform(points), one.coordinates, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("densmap", [False, True])
def test_umap_parts_clusters_and_is_the_same_for_a_seed(densmap):
    labels = np.arange(60) % 3
    points = 4 * np.eye(3, 5, dtype="float32")[labels] + 0.3 * rows(60)
    one, other = (fitted(points, "umap", densmap=densmap, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.coordinates, other.coordinates)
    assert one.method == ("densmap" if densmap else "umap")
    near = nearest_points(one.coordinates, 1, EUCLIDEAN)[0][:, 0]
    assert (labels[near] == labels).all()
    np.testing.assert_allclose(one.transform(points), one.coordinates, atol=1e-4)


def test_nearest_others_leave_out_the_row_itself_and_count_duplicates():
    points = np.array([[0.0], [0.0], [0.0], [1.0], [5.0]], "float32")
    found, far = nearest_points(points, 3, EUCLIDEAN)
    assert found.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [3, 0, 1]]
    assert far[4].tolist() == [4, 5, 5]
    assert nearest_points(points, 9, EUCLIDEAN)[0].shape == (5, 4)


@pytest.mark.parametrize(
    "method, words",
    [
        ("isomap", "Unknown layout 'isomap'"),
        (np.zeros((39, 2)), r"one place for each embedding, shape \(40, 2\)"),
        (np.zeros((40, 3)), r"coordinates of shape \(40, 2\)"),
        (np.full((40, 2), np.nan), "finite"),
    ],
)
def test_bad_layouts_are_named(method, words):
    with pytest.raises(ValueError, match=words):
        fitted(rows(), method)


def test_new_points_of_another_width_are_named():
    with pytest.raises(ValueError, match=r"shape \(n, 5\)"):
        fitted(rows(), "pca").transform(rows(dim=4))
