"""The programs of the guides run, page by page, from the pages' own text."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [
    "quickstart",
    "index_guide",
    "change_index",
    "which_index",
    "samplers",
    "losses",
    "choose_a_loss",
    "two_towers",
    "training_settings",
    "watch_training",
    "embedding_health",
    "evaluate_while_training",
    "hard_negatives",
    "judge_retrieval",
    "plots",
    "projector",
    "report",
    "thresholds",
    "verification",
]


@pytest.mark.parametrize("page", PAGES)
def test_programs_of_the_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    path = DOCS / f"{page}.md"
    text = path.read_text("utf-8")
    blocks = list(
        re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    )
    assert blocks
    names = {"__name__": page}
    for block in blocks:
        # Errors then name the line of the page.
        above = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(above + block.group(1), str(path), "exec"), names)
    plt.close("all")


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_page_is_in_the_navigation(path):
    assert f": {path.name}\n" in (DOCS.parent / ".mkdocs.yml").read_text("utf-8")


def test_every_public_name_is_in_the_table():
    import tensorflow_similarity as tfsim

    text = (DOCS / "api.md").read_text("utf-8")
    table = set(re.findall(r"`(\w+)`", text))
    for room in tfsim.__all__:
        for name in getattr(getattr(tfsim, room), "__all__", []):
            assert name in table, f"{room}.{name}"
