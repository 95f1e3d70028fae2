"""Texts find pictures: two towers that share one index.

    python examples/two_towers.py

Queries are words for digits in three languages, "seven", "the digit sieben", read
letter by letter; items are pictures of digits, which come with scikit-learn. One model
embeds texts, another embeds pictures, and both learn to put a text beside the pictures
that it means. Then texts look pictures up, and pictures that training never saw look
texts up.
"""

import argparse
import os
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
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import InfoNCELoss
from tensorflow_similarity.models import TwoTowerModel

WORDS = {
    "English": "zero one two three four five six seven eight nine",
    "German": "null eins zwei drei vier fünf sechs sieben acht neun",
    "French": "zéro un deux trois quatre cinq six sept huit neuf",
}
PHRASES = ["{}", "a {}", "the digit {}", "number {}", "{} please"]
HELD_OUT_PHRASE = "show me a {}"
LETTERS = sorted(set("".join([*WORDS.values(), *PHRASES, HELD_OUT_PHRASE])))
LENGTH = 24
DIM = 32
K = 5
N_NEAREST = 30
SEED = 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/two_towers"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=100, help="steps in an epoch")
    tell(parser.parse_args())


def tell(options):
    """The main job, told step by step."""
    started = time.perf_counter()
    keras.utils.set_random_seed(SEED)
    options.out.mkdir(parents=True, exist_ok=True)
    (x_train, y_train), (x_test, y_test) = load_pictures()
    texts, meanings = make_texts(PHRASES)
    new_texts, new_meanings = make_texts([HELD_OUT_PHRASE])

    print(f"\ntensorflow_similarity {tfsim.__version__} on {keras.backend.backend()}\n")
    say(
        "Data",
        f"{len(x_train):,} pictures of digits to learn from and {len(x_test):,} held "
        f"out; {len(texts)} texts in {len(WORDS)} languages to learn from, such as "
        f'"{texts[7]}" and "{texts[-1]}", and {len(new_texts)} held out, such as '
        f'"{new_texts[7]}".',
    )

    # The loss takes row i of both for a pair and all other rows for negatives. Two
    # sevens in a batch would be pushed from each other's texts, so a batch has each
    # digit once.
    batches = OneOfEachDigit(
        tokens_of(texts), meanings, x_train, y_train, options.steps
    )
    model = TwoTowerModel(make_text_model(), make_picture_model(), name="digits")
    loss = InfoNCELoss(temperature=0.1, learn_temperature=True)
    model.compile(keras.optimizers.Adam(0.003), loss=loss)
    begun = time.perf_counter()
    history = model.fit(
        batches, epochs=options.epochs, shuffle=False, verbose=0
    ).history["loss"]
    seconds = time.perf_counter() - begun
    (log_scale,) = loss.trainable_variables
    scale = float(np.exp(keras.ops.convert_to_numpy(log_scale)))
    say(
        "Train",
        f"{options.epochs * options.steps} steps of one text and one picture of each "
        f"digit in {seconds:.1f} s: loss {history[0]:.4f} in the first epoch, "
        f"{history[-1]:.4f} in the last. The temperature went from 0.1 to "
        f"{1 / scale:.3f}.",
    )

    model.index(x_test, y_test, data=x_test, verbose=0)
    say("Index", f"the {model.index_size()} pictures held out, by the picture model.")
    say("Look up", "texts ask for pictures; a blind guess is right for 10 %.")
    for kind, asked, digits in (
        ("texts that were seen", texts, meanings),
        ("phrases never seen", new_texts, new_meanings),
    ):
        right = found_right(model, asked, digits)
        say(
            "",
            f"{len(asked)} {kind}: the nearest picture is right for "
            f"{share(right[:, 0])}, and {share(right)} of the nearest {N_NEAREST} are.",
        )

    # The other way round the towers change places, and nothing is trained anew.
    back = TwoTowerModel(model.item_model, model.query_model)
    back.index(tokens_of(texts), meanings, data=texts, verbose=0)
    right = back.lookup(x_test, k=1, verbose=0).labels[:, 0] == y_test
    say(
        "Turn",
        f"the {len(x_test)} pictures ask for texts: the nearest text is right for "
        f"{share(right)}.",
    )

    picture = options.out / "texts_and_pictures.png"
    draw(model, [new_texts[i] for i in (3, 7, 15, 18, 24, 29)], picture)
    say("Look", f"{picture}: six texts with their {K} nearest pictures.")

    path = options.out / "model.keras"
    lookups = model.lookup(tokens_of(texts), k=K, verbose=0)
    model.save(path)
    again = keras.models.load_model(path)
    found = again.lookup(tokens_of(texts), k=K, verbose=0)
    same = np.array_equal(found.ids, lookups.ids) and np.allclose(
        found.distances, lookups.distances, atol=1e-5
    )
    size = path.stat().st_size / 2**20
    say(
        "Save",
        f"{path}: both models and the index in one file of {size:.1f} MB. Loaded "
        f"again it finds {'the same pictures' if same else 'OTHER PICTURES'}.",
    )
    print(f"\nAll this took {time.perf_counter() - started:.0f} s.")
    if not same:
        sys.exit(1)


def say(topic, text):
    """A line or two of the report, with its topic in the margin."""
    print(
        textwrap.fill(text, 78, initial_indent=f"{topic:9}", subsequent_indent=" " * 9)
    )


def load_pictures():
    """((x, y) to train, (x, y) held out); pictures of 8 x 8 from 0 to 1."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = (data.images[..., None] / 16.0).astype("float32")
    y = data.target.astype("int32")
    order = np.random.default_rng(SEED).permutation(len(x))
    train, test = np.split(order, [len(x) * 2 // 3])
    return (x[train], y[train]), (x[test], y[test])


def make_texts(phrases):
    """Texts, and the digit that each means."""
    texts, meanings = [], []
    for phrase in phrases:
        for words in WORDS.values():
            for digit, word in enumerate(words.split()):
                texts.append(phrase.format(word))
                meanings.append(digit)
    return texts, np.array(meanings)


def tokens_of(texts):
    """Letters as numbers from 1, filled up with 0: (n, LENGTH)."""
    tokens = np.zeros((len(texts), LENGTH), "int32")
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = [LETTERS.index(letter) + 1 for letter in text]
    return tokens


class OneOfEachDigit(keras.utils.PyDataset):
    """Batches of ten pairs, a text and a picture of each digit."""

    def __init__(self, tokens, meanings, pictures, digits, steps):
        super().__init__()
        self.tokens, self.pictures, self.steps = tokens, pictures, steps
        self.texts_of = [np.flatnonzero(meanings == digit) for digit in range(10)]
        self.pictures_of = [np.flatnonzero(digits == digit) for digit in range(10)]
        self.epoch = 0

    def __len__(self):
        return self.steps

    def __getitem__(self, i):
        rng = np.random.default_rng([SEED, self.epoch, i])
        texts = [rng.choice(rows) for rows in self.texts_of]
        pictures = [rng.choice(rows) for rows in self.pictures_of]
        # A tuple of one: Keras would read a bare pair as (x, y).
        return ({"query": self.tokens[texts], "item": self.pictures[pictures]},)

    def on_epoch_end(self):
        self.epoch += 1


def make_text_model():
    """Letters, three or five in a row, and which of these occur anywhere."""
    inputs = layers.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(len(LETTERS) + 1, 16)(inputs)
    x = layers.Conv1D(64, 3, padding="same", activation="relu")(x)
    x = layers.Conv1D(64, 3, padding="same", activation="relu")(x)
    x = layers.GlobalMaxPooling1D()(x)
    return keras.Model(inputs, MetricEmbedding(DIM)(x), name="texts")


def make_picture_model():
    """A small convolutional network."""
    inputs = layers.Input((8, 8, 1))
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, MetricEmbedding(DIM)(x), name="pictures")


def found_right(model, texts, meanings):
    """Whether each of a text's nearest pictures is of the digit that it means."""
    lookups = model.lookup(tokens_of(texts), k=N_NEAREST, verbose=0)
    return lookups.labels == meanings[:, None]


def draw(model, texts, path):
    """A row of pictures for each text."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lookups = model.lookup(tokens_of(texts), k=K, verbose=0)
    figure, rows = plt.subplots(
        len(texts), K + 1, figsize=(9, 1.5 * len(texts)), width_ratios=[2.5, *[1] * K]
    )
    for text, neighbours, (first, *others) in zip(texts, lookups, rows, strict=True):
        first.text(1.0, 0.5, f'"{text}"', ha="right", va="center", fontsize=13)
        first.axis("off")
        for neighbour, axes in zip(neighbours, others, strict=True):
            axes.imshow(neighbour.data[..., 0], cmap="Greys")
            axes.set_title(
                f"{neighbour.label}, at {neighbour.distance:.2f}", fontsize=9
            )
            axes.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def share(right):
    return f"{100 * right.mean():.1f} %"


if __name__ == "__main__":
    main()
