"""The notebooks as they are kept: readable, whole, and the same on any machine.

Nothing is executed here; `python examples/run_notebooks.py` does that, in `.ci/run`.
"""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
LARGEST = 400_000
# Folders that only one machine has.
OF_A_MACHINE = re.compile(
    r"(?<![\w.])/(home|root|tmp|Users|usr|opt|work|var|mnt|private)/\w|[A-Z]:\\\\Users"
    r"|site-packages|ipykernel_\d"
)


@pytest.fixture(scope="module")
def runner():
    """`examples/run_notebooks.py` as a module."""
    pytest.importorskip("nbclient")
    path = EXAMPLES / "run_notebooks.py"
    spec = importlib.util.spec_from_file_location("run_notebooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def test_first_cell_has_a_title_and_says_what_one_will_see_and_how_long(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# \w.+\n\n", first.source)
    assert re.search(r"\bwill\s+see\b", first.source)
    assert re.search(r"\b(seconds?|minutes?)\b", first.source)


def test_it_ends_with_where_to_go_on(notebook):
    last = notebook.cells[-1]
    assert last.cell_type == "markdown"
    assert "## Where to go on" in last.source


def test_links_to_files_lead_somewhere(notebook, path):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)]+)\)", cell.source):
                name = target.split("#")[0]
                if name and "://" not in name:
                    assert (path.parent / name).exists(), target


def test_every_cell_was_executed_in_order_without_an_error(notebook):
    cells = code_cells(notebook)
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    for output in outputs(notebook):
        assert output.output_type != "error"
        if output.output_type == "stream" and output.name == "stderr":
            assert not re.search(r"Traceback|Warning:", output.text), output.text


def test_readers_see_pictures(notebook):
    kinds = {kind for output in outputs(notebook) for kind in output.get("data", {})}
    assert "image/png" in kinds


def test_nothing_of_a_machine_is_in_it(path, notebook):
    nbformat.validate(notebook)
    assert len(path.read_bytes()) <= LARGEST
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
    for output in outputs(notebook):
        texts = [output.get("text", "")]
        texts += [t for k, t in output.get("data", {}).items() if k != "image/png"]
        for text in texts:
            found = OF_A_MACHINE.search(text)
            assert not found, text[max(0, found.start() - 60) : found.end() + 60]
            assert "\r" not in text and "\x1b" not in text and "\x08" not in text


def test_code_compiles_and_every_name_it_imports_of_ours_is_public(notebook):
    for cell in code_cells(notebook):
        lines = cell.source.split("\n")
        assert max(map(len, lines)) <= 88
        assert not any(line.startswith(("!", "%")) for line in lines)
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom):
                ours = node.module.split(".")[0] == "tensorflow_similarity"
                names = [alias.name for alias in node.names] if ours else []
                if ours:
                    assert not re.search(r"\._", node.module)
                    room = importlib.import_module(node.module)
                for name in names:
                    assert not name.startswith("_")
                    # A room of the package, or what a room offers.
                    assert name in getattr(room, "__all__", dir(room)), name


def test_they_are_listed_where_readers_look(path):
    for page in (EXAMPLES / "README.md", ROOT / "docs" / "notebooks.md"):
        lines = page.read_text("utf-8").split("\n")
        rows = [line for line in lines if line.startswith("|") and path.name in line]
        assert len(rows) == 1, page


def test_ids_of_cells_follow_from_what_is_in_them(runner, notebook):
    taken = set()
    expected = [runner.identifier(cell.source, taken) for cell in notebook.cells]
    assert [cell.id for cell in notebook.cells] == expected


def test_tidying_removes_what_differs_between_machines(runner):
    new = nbformat.v4
    folder = str(EXAMPLES.parent)
    cell = new.new_code_cell(
        "1",
        metadata={"execution": {"iopub.execute_input": "2026"}, "tags": ["slow"]},
        outputs=[
            new.new_output(
                "stream",
                text=f"{folder}/file.py\n"
                " 10%|#     | 1/10 [00:00<00:01,  9.00it/s]\r"
                "embed: 100%|######| 1.2k/1.2k [1:00:00<00:00,  9.00it/s]\n"
                "loss 2\rloss \x1b[1m1\n",
            ),
            new.new_output(
                "stream",
                name="stderr",
                text="I0000 00:00:1.2 3 a.cc:1] hello\n"
                "2026-01-31 10:00:00.123456: I tensorflow/core/a.cc:1] hello\n",
            ),
            new.new_output(
                "display_data", {"text/html": "x" * 200_000, "application/x": "y"}
            ),
            new.new_output(
                "display_data", {"text/plain": "<a.B at 0x7f00>"}, metadata={"a": 1}
            ),
        ],
    )
    notebook = new.new_notebook(
        cells=[cell, new.new_markdown_cell("1")],
        metadata={"kernelspec": {"name": "mine", "display_name": "Mine"}, "a": 1},
    )
    runner.tidy(notebook)
    stream, page, plain = notebook.cells[0].outputs
    assert stream.text == "file.py\nloss 1\n"
    assert (
        set(page.data) == {"text/html"} and "run the notebook" in page.data["text/html"]
    )
    assert plain.data == {"text/plain": "<a.B>"} and plain.metadata == {}
    assert notebook.cells[0].metadata == {"tags": ["slow"]}
    assert notebook.metadata.kernelspec.name == "python3"
    first, second = (one.id for one in notebook.cells)
    assert first != second
    runner.tidy(notebook)
    assert [one.id for one in notebook.cells] == [first, second]


def test_a_name_that_is_no_notebook_is_refused_with_those_there_are():
    done = subprocess.run(
        [sys.executable, EXAMPLES / "run_notebooks.py", "no_such"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no such notebook: no_such; there are" in done.stderr
    assert "hello_world" in done.stderr


def test_the_cell_that_fails_is_named_and_late_ones_end(runner, tmp_path):
    """Runs two kernels, which import nothing: two seconds."""
    new = nbformat.v4
    cells = [new.new_code_cell(text) for text in ("print(1)", "# why\n1 / 0", "2")]
    path = tmp_path / "failing.ipynb"
    nbformat.write(new.new_notebook(cells=cells), path)
    _, problem = runner.execute(path, limit=60)
    assert problem == "in cell 2 (# why): ZeroDivisionError: division by zero"

    cells = [new.new_code_cell("import time; time.sleep(60)")]
    nbformat.write(new.new_notebook(cells=cells), path)
    _, problem = runner.execute(path, limit=1)
    assert problem.startswith("over 1 s in cell 1 (import time")


def test_the_limit_holds_for_the_notebook_not_for_each_cell(runner, tmp_path):
    """Two kernels, the first for 3 seconds; without an end it would take 10."""
    new = nbformat.v4
    cells = [new.new_code_cell("import time; time.sleep(0.5)") for _ in range(20)]
    path = tmp_path / "slow.ipynb"
    nbformat.write(new.new_notebook(cells=cells), path)
    notebook, problem = runner.execute(path, limit=3)
    assert re.match(r"over 3 s in cell \d+ \(import time", problem)
    assert notebook.cells[-1].execution_count is None

    nbformat.write(new.new_notebook(), path)
    _, problem = runner.execute(path, limit=0.01)
    assert problem == "over 0.01 s before its first cell"


def test_proxies_of_either_case_lead_nowhere_whatever_the_caller_has(
    runner, monkeypatch
):
    names = ("http_proxy", "https_proxy", "all_proxy")
    both = [*names, *map(str.upper, names)]
    for name in both:
        monkeypatch.setenv(name, "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "*")
    given = runner.environment()
    assert {given[name] for name in both} == {runner.NOWHERE}
    assert given["no_proxy"] == given["NO_PROXY"] == "localhost,127.0.0.1"

    for name in given:
        monkeypatch.setenv(name, given[name])
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen("http://proxy.example/", timeout=5)


def test_tidying_keeps_what_a_notebook_prints(runner, monkeypatch):
    """Fractions, addresses and bars of its own, in a home that is the root, too."""
    text = (
        "docs/page.html and 3/4 at https://example.org/a\n"
        "recall 93%|precision 91%\n100%|of all|each 3/4 [of 5]\n"
        "2026-01-31 10:00: opened\nE0000 is a part's number\n"
    )
    new = nbformat.v4
    for home in ("/", "/org"):
        monkeypatch.setattr(runner.Path, "home", lambda home=home: Path(home))
        output = new.new_output("stream", text=text)
        cell = new.new_code_cell("1", outputs=[output])
        runner.tidy(new.new_notebook(cells=[cell]))
        assert cell.outputs[0].text == text


def test_a_folder_is_hidden_as_a_whole_and_only_where_a_path_begins(runner):
    """Not in a longer name, nor in the middle of a path or an address."""
    new = nbformat.v4
    text = "/home/me/a, in /home/me. file:///home/me/b, '/home/me'"
    other = "/home/me2/a /home/me.old /home/me-2 /mnt/home/me/a http://a.b/home/me/c"
    output = new.new_output("stream", text=f"{text}\n{other}")
    cell = new.new_code_cell("1", outputs=[output])
    runner.hide(new.new_notebook(cells=[cell]), "/home/me")
    assert cell.outputs[0].text == f"a, in .. file://b, '.'\n{other}"


def test_migration_counts_what_has_no_counterpart():
    """As many as `docs/migration_pml.md` names."""
    notebook = nbformat.read(EXAMPLES / "migration.ipynb", as_version=4)
    said = " ".join(notebook.cells[0].source.split())
    assert "Some parts have none: fourteen losses, four miners" in said
    page = (ROOT / "docs" / "migration_pml.md").read_text("utf-8")
    without = page.split("## Without a counterpart\n")[1].split("\n## ")[0]
    counted = {
        kind: len(re.findall(rf"`\w+({ends})`", without))
        for kind, ends in (("losses", "Loss"), ("miners", "Miner|AsTriplets"))
    }
    assert counted == {"losses": 14, "miners": 4}


def test_text_search_concludes_what_its_output_bears_out():
    notebook = nbformat.read(EXAMPLES / "text_search.ipynb", as_version=4)
    text = "".join(output.get("text", "") for output in outputs(notebook))
    line = r"^(.+?) +among (all|held out) +recall@1 ([\d.]+)  @10 ([\d.]+)$"
    first, ten = {}, {}
    for name, where, one, more in re.findall(line, text, re.MULTILINE):
        first[name, where], ten[name, where] = float(one), float(more)
    bag, both = "bag of words", "bag of words + encoder"
    untrained, trained = "encoder, untrained", "encoder, trained"
    everywhere = ("all", "held out")

    conclusion = " ".join(notebook.cells[-1].source.split())
    assert "training brings most of it back where the item may be among" in conclusion
    for where in everywhere:
        lost = ten[bag, where] - ten[untrained, where]
        assert ten[trained, where] - ten[untrained, where] > 0.6 * lost
    assert "(recall@1), training brings next to nothing" in conclusion
    assert abs(first[trained, "all"] - first[untrained, "all"]) < 0.03
    assert first[bag, "all"] - first[trained, "all"] > 0.06
    assert (
        "as to the first place, it does so among the held-out ones only" in conclusion
    )
    encoders = {name for name, _ in ten if name.startswith(("encoder", "trained"))}
    assert len(encoders) == 4
    for where in everywhere:
        assert ten[both, where] > max(ten[name, where] for name in {bag, *encoders})
    held = {name: first[name, "held out"] for name in {bag, both, *encoders}}
    assert max(held, key=held.get) == both
    assert abs(first[both, "all"] - first[bag, "all"]) < 0.01


def test_index_and_filters_promises_no_times_of_another_machine():
    notebook = nbformat.read(EXAMPLES / "index_and_filters.ipynb", as_version=4)
    (prose,) = (one.source for one in notebook.cells if "`efSearch` says" in one.source)
    assert "takes longer" not in prose
    assert "a point farther to the right is not a slower one" in prose
