"""Files written on one backend answer alike on the others, in fresh processes."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.ci

READ = """
    import json, sys
    import keras, numpy as np
    import tensorflow_similarity
    from pathlib import Path
    folder = Path(sys.argv[1])
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    found = {}
    for name in ("m.keras", "m"):
        model = keras.models.load_model(folder / name)
        lookups = model.lookup(x, k=3, verbose=0)
        compiled = model.compiled
        before = model.get_weights()[0]
        fitted = model.fit(x, y, batch_size=30, shuffle=False, verbose=0)
        loss = fitted.history["loss"][0]
        found[name] = {
            "ids": lookups.ids.tolist(),
            "distances": lookups.distances.tolist(),
            "compiled": compiled,
            "steps": int(model.optimizer.iterations),
            "loss": loss,
            "moved": float(np.abs(model.get_weights()[0] - before).max()),
        }
    print(json.dumps(found))
"""

WRITE = """
    import sys
    import keras, numpy as np
    from pathlib import Path
    from keras import layers
    from tensorflow_similarity.layers import MetricEmbedding
    from tensorflow_similarity.losses import TripletLoss
    from tensorflow_similarity.models import SimilarityModel
    folder = Path(sys.argv[1])
    keras.utils.set_random_seed(1)
    y = np.arange(60) % 6
    x = np.random.normal(size=(6, 4, 4))[y] + 0.1 * np.random.normal(size=(60, 4, 4))
    inputs = keras.Input((4, 4, 1))
    h = layers.Dense(16, activation="relu")(layers.Flatten()(inputs))
    model = SimilarityModel(inputs, MetricEmbedding(8)(h))
    model.compile("adam", loss=TripletLoss("l2"))
    model.fit(x, y, batch_size=30, epochs=2, verbose=0)
    model.index(x, y, data=x, verbose=0)
    model.indexer.build(force=True)
    model.save(folder / "m.keras")
    model.save(folder / "m")
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
"""


def run(program, folder, backend):
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    run(WRITE, folder, "tensorflow")
    return folder, json.loads(run(READ, folder, "tensorflow").splitlines()[-1])


@pytest.mark.backend_smoke
@pytest.mark.parametrize(
    "backend", [pytest.param("tensorflow", marks=pytest.mark.slow), "jax", "torch"]
)
def test_a_file_written_on_tensorflow_answers_alike(written, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder, expected = written
    found = json.loads(run(READ, folder, backend).splitlines()[-1])
    for name in ("m.keras", "m"):
        assert found[name]["compiled"] and found[name]["steps"] == 6
        assert found[name]["moved"] > 0
        assert found[name]["ids"] == expected[name]["ids"]
        for a, b in zip(
            found[name]["distances"], expected[name]["distances"], strict=True
        ):
            assert a == pytest.approx(b, abs=1e-5)
        assert found[name]["loss"] == pytest.approx(expected[name]["loss"], rel=1e-3)


@pytest.mark.backend_smoke
@pytest.mark.parametrize(
    "backend", ["jax", pytest.param("torch", marks=pytest.mark.slow)]
)
def test_a_file_written_on_another_backend_trains_on(backend, tmp_path):
    # Where it is installed, so are the others: in the checks of the other backends.
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    run(WRITE, tmp_path, backend)
    found = json.loads(run(READ, tmp_path, "tensorflow").splitlines()[-1])
    for name in ("m.keras", "m"):
        assert found[name]["compiled"] and found[name]["steps"] == 6
        assert found[name]["moved"] > 0
        assert found[name]["ids"] == found["m"]["ids"]
