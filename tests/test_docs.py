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
    "scale",
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


def test_every_public_name_is_in_the_table_under_its_room():
    import tensorflow_similarity as tfsim

    table = {}
    for row in (DOCS / "api.md").read_text("utf-8").splitlines():
        if heading := re.match(r"\| \*\*(\w+)\*\* \|", row):
            names = table.setdefault(heading[1], [])
        elif row.startswith("| `"):
            names += re.findall(r"`(\w+)`", row.split(" | ")[0])
    for room in tfsim.__all__:
        if not room.startswith("_"):
            public = getattr(tfsim, room).__all__
            assert sorted(table[room]) == sorted(public), room


def slug(heading):
    """The anchor that the site, and code hosts, give a heading."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain).strip().lower().replace(" ", "-")


def prose(path):
    """A page without its programs, in which brackets are no links."""
    return re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)


@pytest.mark.parametrize(
    "path",
    [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))],
    ids=lambda path: path.name,
)
def test_links_of_the_page_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if link.startswith(("https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert target.resolve().is_relative_to(DOCS.parent), link
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", prose(target), re.MULTILINE)
            assert anchor in map(slug, headings), link
