"""Every setting of training: outputs, precision, compilation, replicas."""

import functools
import itertools
import json
import os
import subprocess
import sys

import pytest

from tests.gradients import BACKEND
from tests.models.settings_case import OUTPUTS, POLICIES, WAYS, run

pytestmark = [
    pytest.mark.backend_smoke,
    # Keras 3.15 on torch saves and predicts through `__array__`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# Each setting at least once; all combinations are for `make slow`.
USUAL = {
    ("one", "mixed_bfloat16", "graph"),
    ("two", "mixed_float16", "eager"),
    ("dict", "mixed_float16", "graph"),
}
USUAL_REPLICAS = {("one", "mixed_float16", "graph")}
# Compiled for long, or in a process of their own.
IN_CI = {("one", "float32", "xla")}
# torch compiles in a minute of C++; JAX always does.
HERE = {
    "tensorflow": tuple(WAYS),
    "jax": ("eager", "xla"),
    "torch": ("graph",),
}[BACKEND]


def cases(usual, in_ci):
    def marks(case):
        if case in in_ci:
            return pytest.mark.ci
        return [] if case in usual else pytest.mark.slow

    return [
        pytest.param(*case, marks=marks(case))
        for case in itertools.product(OUTPUTS, POLICIES, HERE)
    ]


@pytest.mark.parametrize(("outputs", "policy", "way"), cases(USUAL, IN_CI))
def test_on_one_device(outputs, policy, way, tmp_path):
    run(outputs, policy, way, tmp_path)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has strategies")
@pytest.mark.parametrize(("outputs", "policy", "way"), cases((), USUAL_REPLICAS))
def test_on_two_replicas(outputs, policy, way):
    case = (outputs, policy, way)
    error = on_two_replicas(case in USUAL_REPLICAS)[",".join(case)]
    assert error is None, error


@functools.cache
def on_two_replicas(usual):
    """The errors of all such cases, by name; from one process, which starts once."""
    cases = [
        ",".join(case)
        for case in itertools.product(OUTPUTS, POLICIES, WAYS)
        if (case in USUAL_REPLICAS) == usual
    ]
    result = subprocess.run(
        [sys.executable, "-m", "tests.models.settings_case", *cases],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.split("FOUND")[1])
