"""Makes the pages of the reference while the site is built: one page a room.

MkDocs calls `on_files` and `on_page_markdown` (`hooks:` in `.mkdocs.yml`). What is
public is read from each room's `__all__`, without importing it; the table of `api.md`
gets a link for each of its names.
"""

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

PACKAGE = "tensorflow_similarity"
ROOT = Path(__file__).parents[1] / PACKAGE
# Their methods are those of classes that are not public: shown where they are called.
WITH_INHERITED = {"SimilarityModel", "TwoTowerModel", "Indexer"}


def rooms() -> dict[str, ast.Module]:
    """Every module or package directly in ours that lists public names."""
    found = {}
    for path in sorted(ROOT.iterdir()):
        source = path / "__init__.py" if path.is_dir() else path
        if path.name.startswith("_") or source.suffix != ".py" or not source.exists():
            continue
        tree = ast.parse(source.read_text("utf-8"))
        if public_names(tree):
            found[path.stem] = tree
    return found


def public_names(tree: ast.Module) -> list[str]:
    """The names in a module's `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            if [ast.unparse(target) for target in node.targets] == ["__all__"]:
                names: list[str] = ast.literal_eval(node.value)
                return names
    return []


def anchor(room: str, name: str) -> str:
    """Where a name stands on the page of its room."""
    # A function in a module of its own name: its path alone would mean the module.
    twice = (ROOT / room / f"{name}.py").exists()
    return f"{PACKAGE}.{room}.{name}" + f".{name}" * twice


def page(room: str, tree: ast.Module) -> str:
    """The Markdown of a room's page."""
    names = sorted(public_names(tree), key=lambda name: (name.lower(), name))
    lines = [f"# {room}", "", f"`{PACKAGE}.{room}`", ""]
    lines += [(ast.get_docstring(tree) or "").strip(), ""]
    for name in names:
        lines += [f"::: {anchor(room, name)}"]
        if name in WITH_INHERITED:
            lines += ["    options:", "      inherited_members: true"]
        lines += [""]
    return "\n".join(lines)


def with_links(text: str) -> str:
    """The index table with a link for each public name of the room above it."""
    known = {room: set(public_names(tree)) for room, tree in rooms().items()}
    room, lines = None, []
    for line in text.split("\n"):
        heading = re.match(r"\| \*\*(\w+)\*\* \|", line)
        if heading:
            room = heading[1]
            if room not in known:
                raise PluginError(f"`api.md` has the room {room!r}, the package not.")
            line = line.replace(f"**{room}**", f"**[{room}](reference/{room}.md)**")
        elif room and line.startswith("| `"):
            first, rest = line[2:].split(" | ", 1)
            for name in re.findall(r"`(\w+)`", first):
                first = first.replace(f"`{name}`", _link(room, name, known[room]), 1)
            line = f"| {first} | {rest}"
        lines.append(line)
    return "\n".join(lines)


def _link(room: str, name: str, known: set[str]) -> str:
    if name not in known:
        raise PluginError(f"`api.md` has `{name}` under {room}, which is not public.")
    return f"[`{name}`](reference/{room}.md#{anchor(room, name)})"


def on_files(files: Any, config: Any) -> Any:
    for room, tree in rooms().items():
        uri = f"reference/{room}.md"
        files.append(File.generated(config, uri, content=page(room, tree)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return with_links(markdown) if page.file.src_uri == "api.md" else markdown
