"""The whole way once: train, index, look up, look, save, and ask from a new process.

    python examples/hello_world.py
    python examples/hello_world.py --dataset fashion_mnist --out out/fashion

A network learns seven classes of ten. The three others are only indexed afterwards,
and are found without training again. "digits" comes with scikit-learn; "mnist" and
"fashion_mnist" come through tensorflow-datasets, which keeps its data in the folder
that TFDS_DATA_DIR names.
"""

import argparse
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import numpy as np
from keras import layers

import tensorflow_similarity as tfsim
from tensorflow_similarity.evaluators import evaluate_retrieval
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.models import SimilarityModel
from tensorflow_similarity.samplers import MultiShotMemorySampler, select_examples
from tensorflow_similarity.visualization import viz_neighbors_imgs

TRAINED = list(range(7))
NEW = [7, 8, 9]
REFERENCES = 50
K = 5
SEED = 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset", choices=["digits", "mnist", "fashion_mnist"], default="digits"
    )
    parser.add_argument("--out", type=Path, default=Path("out/hello_world"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50, help="steps in an epoch")
    parser.add_argument("--query", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.query:
        query(options.out)
    else:
        tell(options)


def tell(options):
    """The main job, told step by step."""
    started = time.perf_counter()
    keras.utils.set_random_seed(SEED)
    options.out.mkdir(parents=True, exist_ok=True)
    (x_train, y_train), (x_test, y_test), names = load(options.dataset)
    known, new = np.isin(y_test, TRAINED), np.isin(y_test, NEW)

    print(f"\ntensorflow_similarity {tfsim.__version__} on {keras.backend.backend()}\n")
    say(
        "Data",
        f"{options.dataset}: {len(x_train):,} pictures to learn from and "
        f"{len(x_test):,} held out. Training sees only {listed(TRAINED, names)}.",
    )

    sampler = MultiShotMemorySampler(
        x_train,
        y_train,
        classes_per_batch=len(TRAINED),
        examples_per_class_per_batch=8,
        steps_per_epoch=options.steps,
        class_list=TRAINED,
        seed=SEED,
    )
    model = make_model(x_train.shape[1:])
    model.compile("adam", loss=MultiSimilarityLoss())
    begun = time.perf_counter()
    for epoch in range(options.epochs):
        history = model.fit(sampler, epochs=1, verbose=0).history
        say(
            "Train" if epoch == 0 else "",
            f"epoch {epoch + 1}: {history['loss'][0]:.4f}",
        )
    seconds = time.perf_counter() - begun
    say("", f"{options.epochs * options.steps} steps in {seconds:.1f} s.")

    x, y = select_examples(x_train, y_train, TRAINED, REFERENCES)
    model.index(x, y, data=x, verbose=0)
    say("Index", f"{REFERENCES} pictures of each of these classes: {len(x)} items.")
    right = found_right(model, x_test[known], y_test[known])
    say(
        "Look up",
        f"{right.size:,} held-out pictures of these classes: the nearest neighbour is "
        f"of the right class for {share(right)}.",
    )

    x, y = select_examples(x_train, y_train, NEW, REFERENCES)
    model.index(x, y, data=x, verbose=0)
    say(
        "Add",
        f"{REFERENCES} pictures each of {listed(NEW, names)}, classes the network has "
        f"never seen: {model.index_size()} items now, and no training.",
    )
    right = found_right(model, x_test[new], y_test[new])
    say(
        "Look up",
        f"{right.size:,} held-out pictures of the new classes, among all ten: right "
        f"for {share(right)}.",
    )
    right = found_right(model, x_test[known], y_test[known])
    say("", f"The old classes, with the new ones beside them: {share(right)}.")

    embeddings = np.asarray(model.predict(x_test, verbose=0))
    retrieval = evaluate_retrieval(embeddings, y_test, k=1)
    say(
        "Judge",
        "every held-out picture against all the others, ten classes: P@1 "
        f"{retrieval['precision_at_1']:.3f}, MAP@R "
        f"{retrieval['mean_average_precision_at_r']:.3f}.",
    )

    picture = options.out / "neighbours.png"
    n_wrong, n_drawn = draw(model, x_test, y_test, names, picture)
    say(
        "Look",
        f"{picture}: six queries, the two hardest last, with their {K} neighbours. "
        f"{n_wrong} of the {n_drawn} neighbours are wrong: red, framed, with a ×.",
    )

    path = options.out / "model.keras"
    model.save(path)
    size = path.stat().st_size / 2**20
    say("Save", f"{path}: model and index in one file of {size:.1f} MB.")
    np.savez(options.out / "queries.npz", queries=x_test[:20])
    same = same_elsewhere(options.out, model.lookup(x_test[:20], k=K, verbose=0))
    found = "the same neighbours" if same else "OTHER NEIGHBOURS"
    say("Load", f"a new process read the file and found {found} for 20 queries.")
    print(f"\nAll this took {time.perf_counter() - started:.0f} s.")
    if not same:
        sys.exit(1)


def say(topic, text):
    """A line or two of the report, with its topic in the margin."""
    print(
        textwrap.fill(text, 78, initial_indent=f"{topic:9}", subsequent_indent=" " * 9)
    )


def load(dataset):
    """((x, y) to train, (x, y) held out, names of the classes); pictures 0 to 1."""
    if dataset == "digits":
        from sklearn.datasets import load_digits

        data = load_digits()
        x = (data.images[..., None] / 16.0).astype("float32")
        y = data.target.astype("int32")
        order = np.random.default_rng(SEED).permutation(len(x))
        train, test = np.split(order, [len(x) * 2 // 3])
        return (x[train], y[train]), (x[test], y[test]), None

    import tensorflow_datasets as tfds

    parts, info = tfds.load(
        dataset,
        split=["train", "test"],
        batch_size=-1,
        as_supervised=True,
        with_info=True,
    )
    parts = [(x.astype("float32") / 255.0, y) for x, y in tfds.as_numpy(parts)]
    return *parts, info.features["label"].names


def make_model(shape):
    """A small convolutional network with a metric embedding on top."""
    inputs = layers.Input(shape)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(inputs)
    if shape[0] > 16:
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    outputs = MetricEmbedding(64)(x)
    return SimilarityModel(inputs, outputs)


def found_right(model, x, y):
    """Whether the nearest neighbour of each picture has its label."""
    return model.lookup(x, k=1, verbose=0).labels[:, 0] == y


def draw(model, x, y, names, path):
    """Six queries with their neighbours in a picture: how many are wrong, and of all.

    One query of an old class, one of each new class, and the two with most neighbours
    of another class, to see what goes wrong.
    """
    lookups = model.lookup(x, k=K, verbose=0)
    wrong = lookups.labels != y[:, None]
    chosen = [np.flatnonzero(y == label)[0] for label in [TRAINED[0], *NEW]]
    hard = np.argsort(-wrong.sum(axis=1), kind="stable")
    chosen += [i for i in hard if i not in chosen][:2]

    matplotlib.use("Agg")
    rows = []
    for i in chosen:
        plt = viz_neighbors_imgs(
            x[i], y[i], lookups[i], names, fig_size=(12, 2.2), cmap="Greys", show=False
        )
        figure = plt.gcf()
        figure.canvas.draw()
        rows.append(np.array(figure.canvas.buffer_rgba()))
        plt.close(figure)
    plt.imsave(path, np.concatenate(rows))
    return wrong[chosen].sum(), wrong[chosen].size


def same_elsewhere(folder, lookups):
    """Whether a new process answers the queries in the folder as we did."""
    done = subprocess.run(
        [sys.executable, __file__, "--query", "--out", folder],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"The new process failed:\n{done.stderr}")
    answer = json.loads(done.stdout)
    return answer["labels"] == lookups.labels.tolist() and np.allclose(
        answer["distances"], lookups.distances, atol=1e-5
    )


def query(folder):
    """What the new process does: load, look up, answer."""
    model = keras.models.load_model(folder / "model.keras")
    with np.load(folder / "queries.npz") as file:
        lookups = model.lookup(file["queries"], k=K, verbose=0)
    answer = {
        "labels": lookups.labels.tolist(),
        "distances": lookups.distances.tolist(),
    }
    print(json.dumps(answer))


def listed(labels, names):
    if names is None or names == [str(label) for label in range(len(names))]:
        names = [f"{label}" for label in range(10)]
    *others, last = [names[label] for label in labels]
    return f"{', '.join(others)} and {last}"


def share(right):
    return f"{100 * right.mean():.1f} %"


if __name__ == "__main__":
    main()
