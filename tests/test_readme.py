"""The README's own program, from its own text, on a small TFDS `mnist`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny_mnist

ROOT = Path(__file__).parents[1]

# Fewer steps an epoch; the program's text stays as it is.
BEFORE = """
import functools
from tensorflow_similarity.models import SimilarityModel as _Model
_Model.fit = functools.partialmethod(_Model.fit, steps_per_epoch={steps}, verbose=2)
"""
AFTER = """
import matplotlib.pyplot as plt
assert len(nns) == 5, nns
assert [n.rank for n in nns] == [1, 2, 3, 4, 5]
assert all(n.data.shape == (28, 28, 1) for n in nns)
axes = plt.gcf().axes
assert len(axes) == 6
assert axes[1].get_title().endswith(f"{nns[0].label} - {nns[0].distance:.5f}")
print("labels", int(qy[0]), [n.label for n in nns])
"""


def program():
    """The text of the README's only block of Python."""
    text = (ROOT / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return block


@pytest.mark.parametrize(
    "steps", [5, pytest.param(1000, marks=pytest.mark.slow, id="1000")]
)
def test_program_of_the_readme_trains_finds_and_draws(tmp_path, steps):
    # The program asks for example 3,713.
    tiny_mnist.write(tmp_path / "tfds", n_train=3400, n_test=400)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", BEFORE.format(steps=steps) + program() + AFTER],
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "MPLBACKEND": "Agg",
            "PYTHONPATH": path.rstrip(os.pathsep),
            "TFDS_DATA_DIR": str(tmp_path / "tfds"),
        },
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "labels" in done.stdout
    assert f"{steps}/{steps}" in done.stdout


def test_program_of_the_readme_is_twenty_lines():
    lines = [line for line in program().splitlines() if line.strip()]
    assert len(lines) <= 21


def test_what_is_claimed_is_shown_by_a_test_or_a_figure():
    text = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE)
    rows = [row for row in rows if row[1] != "---" and row[1] != "shown by"]
    assert len(rows) >= 10
    for claim, shown in rows:
        label, link = re.fullmatch(r"\[(.+)\]\((.+)\)", shown).groups()
        if label == "figures":
            page, anchor = link.split("#")
            assert page == "docs/benchmarks.md" and anchor, claim
        else:
            source = (ROOT / link).read_text("utf-8")
            assert f"\ndef {label.strip('`')}(" in source, claim
