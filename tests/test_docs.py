"""The programs of the guides run, page by page, from the pages' own text."""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(p.stem for p in DOCS.glob("*.md") if "```python" in p.read_text("utf-8"))


def files_of_the_predecessor(folder):
    """What TF Similarity 0.17 on Keras 2 left, written from its description."""
    import h5py
    import tensorflow as tf

    random = np.random.default_rng(1)
    weights = {
        "dense": (random.normal(size=(4, 3)), np.zeros(3)),
        "metric_embedding": (random.normal(size=(3, 2)), np.zeros(2)),
    }
    with h5py.File(folder / "old.h5", "w") as file:
        file.attrs["layer_names"] = [b"input_1", *(name.encode() for name in weights)]
        file.create_group("input_1").attrs["weight_names"] = []
        for name, arrays in weights.items():
            parts = [f"{name}/kernel:0", f"{name}/bias:0"]
            group = file.create_group(name)
            group.attrs["weight_names"] = [part.encode() for part in parts]
            for part, array in zip(parts, arrays, strict=True):
                group[part] = array

    class Layer(tf.Module):
        def __init__(self, kernel, bias):
            super().__init__()
            self.kernel, self.bias = tf.Variable(kernel), tf.Variable(bias)

    layers = {
        f"layer_with_weights-{i}": Layer(*arrays)
        for i, arrays in enumerate(weights.values())
    }
    tf.train.Checkpoint(**layers).write(folder / "hello_world/variables/variables")

    index = folder / "hello_world" / "index"
    index.mkdir()
    metadata = {
        "size": 5,
        "compression": True,
        "distance": "cosine",
        "embedding_output": None,
        "embedding_size": 2,
        "evaluator": "memory",
        "stat_buffer_size": 1000,
        "is_calibrated": False,
        "cutpoints": {},
        "calibration_thresholds": {},
        "kv_store": "memory",
        "search_config": {"distance": "cosine", "dim": 2, "canonical_name": "nmslib"},
    }
    (index / "index_metadata.json").write_text(json.dumps(metadata))
    rows = {"embeddings": random.normal(size=(5, 2)).astype("float32")}
    np.savez(index / "index.npz", labels=[3, 1, 2, 1, 5], data=[0.5] * 5, **rows)
    return weights


def programs(text):
    return list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def test_weights_of_a_backbone_in_an_old_folder_are_found(tmp_path, monkeypatch):
    """The keys are those that Keras 2 gave such a model, as the page lists them."""
    import keras
    import tensorflow as tf

    def make():
        inputs = keras.layers.Input((4,))
        backbone = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(5)])
        return keras.Model(inputs, keras.layers.Dense(2)(backbone(inputs)))

    class Part(tf.Module):
        pass

    random = np.random.default_rng(1)
    shapes = [weight.shape for weight in make().weights]
    variables = [tf.Variable(random.normal(size=shape)) for shape in shapes]
    head = Part()
    head.kernel, head.bias = variables[4:]
    monkeypatch.chdir(tmp_path)
    checkpoint = tf.train.Checkpoint(
        **{"layer_with_weights-1": head, "variables": variables}
    )
    checkpoint.write("hello_world/variables/variables")
    keys = tf.train.load_checkpoint("hello_world/variables/variables")
    named = sorted(keys.get_variable_to_shape_map())
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    assert f"layer_with_weights-1/kernel{end}" in named
    assert [name for name in named if name.startswith("variables")] == [
        f"variables/{n}{end}" for n in range(4)
    ]
    text = (DOCS / "migration.md").read_text("utf-8")
    (recipe,) = (
        block[1] for block in programs(text) if "train.load_checkpoint" in block[1]
    )
    names = {"make": make}
    exec(recipe, names)
    for ours, theirs in zip(names["rebuilt"].get_weights(), variables, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)


BEFORE = {"migration": files_of_the_predecessor}


@pytest.mark.parametrize("page", PAGES)
def test_programs_of_the_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepared = BEFORE.get(page, lambda folder: None)(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    path = DOCS / f"{page}.md"
    text = path.read_text("utf-8")
    blocks = programs(text)
    # An indented block would be passed over.
    assert len(blocks) == text.count("```python")
    names = {"__name__": page}
    for block in blocks:
        # Errors then name the line of the page.
        above = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(above + block.group(1), str(path), "exec"), names)
    plt.close("all")
    if page == "migration":
        expected = [array for arrays in prepared.values() for array in arrays]
        for model in (names["model"], names["rebuilt"]):
            for ours, theirs in zip(model.get_weights(), expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-6)


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
