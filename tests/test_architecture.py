"""The house: who may import whom, and what loading the package loads.

The table is the one of `docs/contributing.md`; rooms that are not built yet stand in
it too.
"""

import ast
import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "tensorflow_similarity"
ROOT = Path(__file__).parents[1] / PACKAGE
MODULES = sorted(ROOT.rglob("*.py"))

# Every room may import these.
FOUNDATION = {"_core", "types", "_version"}
JUDGES = {"matchers", "retrieval_metrics", "classification_metrics"}
KERAS_OBJECTS = [
    "distances",
    "miners",
    "losses",
    "layers",
    "training_metrics",
    "schedules",
]
STOREYS_1_TO_3 = {
    *KERAS_OBJECTS,
    "stores",
    "search",
    "indexer",
    *JUDGES,
    "evaluators",
}
MAY_IMPORT = {
    "_core": set(),
    "types": set(),
    "_version": set(),
    **{room: set(KERAS_OBJECTS[:i]) for i, room in enumerate(KERAS_OBJECTS)},
    "stores": {"distances"},
    "search": {"distances"},
    "indexer": {"search", "stores", "distances"},
    **{room: {"distances"} for room in JUDGES},
    "evaluators": {*JUDGES, "search"},
    "models": STOREYS_1_TO_3,
    "architectures": STOREYS_1_TO_3 | {"models"},
    "callbacks": STOREYS_1_TO_3 | {"samplers"},
    "visualization": {"evaluators", "search", "distances"},
    "utils": {"callbacks", "evaluators"},
    "samplers": set(),
    "augmenters": set(),
    "__init__": set(KERAS_OBJECTS) | {"models"},
}
# `project` and `report` of a model draw; nothing else below the fifth storey does.
DRAWING_FUNCTIONS = {"project", "report"}

HEAVY = {
    "bokeh",
    "faiss",
    "IPython",
    "matplotlib",
    "nmslib",
    "pandas",
    "redis",
    "scann",
    "scipy",
    "sklearn",
    "tensorflow_datasets",
    "tqdm",
    "umap",
}
PICKLES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}


def tree(path):
    return parsed(path.read_text("utf-8"), path)


@functools.cache
def parsed(text, path):
    return ast.parse(text, str(path))


def room_of(path):
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


def imports(path):
    """(module, where, line) of every import statement.

    Where is the name of the function around it, "TYPE_CHECKING" under an `if` of that
    name, or None.
    """
    found = []

    def visit(node, function):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend(
                    (name.name, function, child.lineno) for name in child.names
                )
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    package = (PACKAGE, *path.relative_to(ROOT).parts)[: -child.level]
                    base = ".".join([*package, *([base] if base else [])])
                if base == PACKAGE:
                    for name in child.names:
                        found.append((f"{base}.{name.name}", function, child.lineno))
                else:
                    found.append((base, function, child.lineno))
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                visit(child, child.name)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                visit(child, "TYPE_CHECKING")
            else:
                visit(child, function)

    visit(tree(path), None)
    return found


def our_imports(path):
    for module, function, line in imports(path):
        parts = module.split(".")
        if parts[0] == PACKAGE and len(parts) > 1:
            yield parts[1].removeprefix("__version__") or "_version", function, line


def complaints(path):
    """Imports of this module that the table does not allow."""
    room = room_of(path)
    for other, function, line in our_imports(path):
        allowed = MAY_IMPORT[room] | FOUNDATION | {room}
        if room == "models" and function in DRAWING_FUNCTIONS:
            allowed = allowed | {"visualization"}
        if other not in allowed:
            yield f"{path.relative_to(ROOT)}:{line}: `{room}` may not import `{other}`"


def ids(path):
    return str(path.relative_to(ROOT))


def test_there_is_something_to_read():
    assert len(MODULES) > 10
    assert any(
        other == "distances" for path in MODULES for other, _, _ in our_imports(path)
    )


def test_every_room_is_in_the_table():
    assert {room_of(path) for path in MODULES} <= MAY_IMPORT.keys()


def test_table_has_no_circle():
    resolved, waiting = set(), dict(MAY_IMPORT)
    while waiting:
        free = {room for room, others in waiting.items() if others <= resolved}
        assert free, f"These rooms import each other: {sorted(waiting)}"
        resolved |= free
        waiting = {room: others for room, others in waiting.items() if room not in free}


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_imports_go_up_the_table_only(path):
    assert not list(complaints(path))


def test_a_wrong_direction_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "losses").mkdir()
    path = tmp_path / "losses" / "wrong.py"
    for text in (
        "from tensorflow_similarity.models import SimilarityModel",
        "from tensorflow_similarity import distances, models",
        "import tensorflow_similarity.models.mixin as mixin",
        "from ..models import SimilarityModel",
        "def compute(self):\n    from tensorflow_similarity import models",
        "if TYPE_CHECKING:\n    from tensorflow_similarity import models",
    ):
        path.write_text(text)
        assert len(list(complaints(path))) == 1, text
    path.write_text("from tensorflow_similarity import distances, types")
    assert not list(complaints(path))


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_heavy_packages_are_imported_where_used(path):
    at_top = {
        module.split(".")[0]
        for module, function, _ in imports(path)
        if function is None
    }
    assert not at_top & HEAVY


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_tensorflow_is_imported_only_where_tf_data_is_built(path):
    used = [
        (function, line)
        for module, function, line in imports(path)
        if module.split(".")[0] == "tensorflow" and function != "TYPE_CHECKING"
    ]
    rooms = ("samplers", "augmenters", "_core")
    if room_of(path) in rooms and path.name.removeprefix("_").startswith("tf_"):
        return
    if path.relative_to(ROOT) == Path("_core/replicas.py"):
        assert all(function for function, _ in used)
    else:
        assert not used


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_no_print_assert_or_pickle(path):
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.Assert), f"assert in line {node.lineno}"
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None)
            assert name != "print", f"print in line {node.lineno}"
            for keyword in node.keywords:
                allows = isinstance(keyword.value, ast.Constant) and keyword.value.value
                assert not (keyword.arg == "allow_pickle" and allows)
    modules = {module.split(".")[0] for module, _, _ in imports(path)}
    assert not modules & PICKLES


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name == "__init__.py"], ids=ids
)
def test_public_names_are_sorted(path):
    names = [
        ast.literal_eval(node.value)
        for node in tree(path).body
        if isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", None) == "__all__"
        and not any(isinstance(part, ast.Starred) for part in ast.walk(node.value))
    ]
    for listed in names:
        assert list(listed) == sorted(set(listed))
    if path.parent != ROOT and not path.parent.name.startswith("_"):
        assert len(names) == 1, "a room lists its public names in `__all__`"


def run(program, **environment):
    """Runs a program in a fresh Python; its exit status must be 0."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TF_USE_LEGACY_KERAS", "KERAS_BACKEND")
    }
    path = os.pathsep.join([str(ROOT.parent), inherited.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, "PYTHONPATH": path.rstrip(os.pathsep), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_import_loads_neither_tensorflow_nor_heavy_packages(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # Keras itself loads some, if they are there; we add none.
    program = f"""
import sys
import keras
before = set(sys.modules)
import {PACKAGE}
loaded = {{name.split(".")[0] for name in set(sys.modules) - before}}
heavy = loaded & {HEAVY!r}
assert not heavy, heavy
assert "tensorflow" not in sys.modules
assert keras.backend.backend() == {backend!r}
"""
    done = run(program, KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr


def test_every_room_is_an_attribute_loaded_when_first_reached():
    rooms = sorted(
        path.parent.name
        for path in ROOT.glob("*/__init__.py")
        if not path.parent.name.startswith("_")
    )
    program = f"""
import sys
import {PACKAGE} as tfsim
assert "{PACKAGE}.visualization" not in sys.modules
for room in {rooms + ["types", "utils"]!r}:
    assert room in tfsim.__all__, room
    assert room in dir(tfsim), room
    module = getattr(tfsim, room)
    assert module.__name__ == "{PACKAGE}." + room
    for name in getattr(module, "__all__", []):
        getattr(module, name)
tfsim.losses.MultiSimilarityLoss, tfsim.samplers.select_examples
assert "." in tfsim.__version__
try:
    tfsim.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise SystemExit("an unknown attribute was answered")
"""
    done = run(program)
    assert done.returncode == 0, done.stderr


def test_legacy_keras_is_refused_with_the_cure():
    done = run(f"import {PACKAGE}", TF_USE_LEGACY_KERAS="1")
    assert done.returncode != 0
    assert "ImportError" in done.stderr
    assert "Unset TF_USE_LEGACY_KERAS" in done.stderr
