"""Without Matplotlib every figure says how to install it, and pages need none."""

import sys

import numpy as np
import pytest

from tensorflow_similarity import visualization
from tensorflow_similarity.evaluators import calibrate_lookups, evaluate_pairs
from tensorflow_similarity.types import Lookup

PICTURE = np.eye(6)
FOUND = [[Lookup(1, 0.1, label=i % 2, data=PICTURE)] for i in range(4)]
PAIRS = evaluate_pairs(np.linspace(0, 1, 8), np.arange(8) % 3 > 0)
CALIBRATION = calibrate_lookups([0, 1, 0, 0], FOUND)

FIGURES = {
    "confusion_matrix": ([0, 1], [0, 1]),
    "plot_calibration": (CALIBRATION,),
    "plot_det": (PAIRS,),
    "plot_distances": ([0.1, 0.2], [0.3, 0.4]),
    "plot_history": ({"loss": [2.0, 1.0]},),
    "plot_precision_recall": (CALIBRATION,),
    "plot_recall_latency": ([0.5, 0.9], [1.0, 2.0]),
    "plot_retrieval_by_class": ({"a": 0.5, "b": 1.0},),
    "plot_roc": (PAIRS,),
    "visualize_views": ([PICTURE[None], PICTURE[None]],),
    "viz_neigbors_imgs": (PICTURE, 0, FOUND[0]),
    "viz_neighbors_imgs": (PICTURE, 0, FOUND[0]),
    "vizualize_views": ([PICTURE[None], PICTURE[None]],),
}


def test_every_figure_is_looked_at_here():
    begin = ("confusion", "plot_", "vi")
    names = [name for name in visualization.__all__ if name.startswith(begin)]
    assert sorted(FIGURES) == names


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figures_say_how_to_install_matplotlib(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = "needs matplotlib. Install it with `pip install matplotlib`"
    with pytest.raises(ImportError, match=message):
        getattr(visualization, name)(*FIGURES[name])


def test_gallery_is_a_page_without_matplotlib_and_no_figure(monkeypatch):
    for module in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, module, None)
    gallery = visualization.neighbors_gallery(FOUND, [PICTURE] * 4, [0, 1, 0, 0])
    assert "data:image/png" in gallery.html()
    with pytest.raises(ImportError, match="Install it with `pip install matplotlib`"):
        gallery.figure()
