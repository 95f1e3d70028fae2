"""The example runs, says what it found, and leaves its files behind."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # `.ci/run` runs the program itself
def test_digits_from_training_to_a_new_process(tmp_path):
    script = ROOT / "examples" / "hello_world.py"
    options = ["--out", tmp_path, "--epochs", "2", "--steps", "30"]
    done = subprocess.run(
        [sys.executable, script, *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = " ".join(done.stdout.split())
    shares = [float(found) for found in re.findall(r"([\d.]+) %", report)]
    old, new, old_beside_new = shares
    # Chance is 14 % and 10 %.
    assert old > 95 and old_beside_new > 90 and new > 75
    assert "the same neighbours" in report
    height, width, _ = imread(tmp_path / "neighbours.png").shape
    assert height > 1000 and width > 1000
    assert (tmp_path / "model.keras").exists()
