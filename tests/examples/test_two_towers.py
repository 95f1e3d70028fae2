"""The example runs, says what it found, and leaves its files behind."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # `.ci/run` runs the program itself
def test_texts_find_pictures_and_pictures_texts(tmp_path):
    script = ROOT / "examples" / "two_towers.py"
    options = ["--out", tmp_path, "--epochs", "2", "--steps", "100"]
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
    chance, seen, nearest_of_seen, new, nearest_of_new, turned = shares
    assert chance == 10
    assert min(seen, nearest_of_seen) > 85 and min(new, nearest_of_new) > 70
    assert turned > 80
    assert "finds the same pictures" in report
    height, width, _ = imread(tmp_path / "texts_and_pictures.png").shape
    assert height > 800 and width > 800
    assert (tmp_path / "model.keras").exists()
