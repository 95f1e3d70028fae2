"""`multimodal_example.ipynb`: a loop of one's own, and an index without `compile`.

The CLIP model itself (`TFCLIPModel`, `layers.Input((77))`) is the user's: small dense
towers stand here. So is `.save("x.h5")`, which is refused with what to write instead.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import tensorflow_similarity as tfsim

tf = pytest.importorskip("tensorflow")

N = 50
BATCH = 16


@pytest.fixture(scope="module")
def notebook():
    """Pictures and descriptions that are two views of the same numbers."""
    from tensorflow import keras
    from tensorflow.keras import layers

    tf.keras.utils.set_random_seed(11)
    rng = np.random.default_rng(2)
    hidden = rng.normal(size=(N, 6))
    imgs = (hidden @ rng.normal(size=(6, 20))).astype("float32")
    texts = (hidden @ rng.normal(size=(6, 12))).astype("float32")

    img_inputs, text_inputs = layers.Input((20,)), layers.Input((12,))
    img_output = tfsim.layers.MetricEmbedding(8)(img_inputs)
    text_output = tfsim.layers.MetricEmbedding(8)(text_inputs)
    img_model = keras.Model(img_inputs, img_output)
    text_model = keras.Model(text_inputs, text_output)
    loss_fn = tfsim.losses.MultiNegativesRankLoss()
    optimizer = keras.optimizers.Adam(0.02)
    weights = img_model.trainable_weights + text_model.trainable_weights

    @tf.function
    def train_step(img, text):
        with tf.GradientTape() as tape:
            loss = loss_fn(text_model(text), img_model(img))
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return loss

    ds = tf.data.Dataset.from_tensor_slices((imgs, texts)).batch(BATCH)
    losses = [[float(train_step(*batch)) for batch in ds] for _ in range(40)]

    image_index = tfsim.models.SimilarityModel(img_model.inputs, img_model.outputs)
    image_index.create_index(distance="cosine", search="linear", kv_store="memory")
    described = [
        {"imgs": tf.constant(imgs[i]), "desc": f"picture {i}"} for i in range(N)
    ]
    image_index.index(imgs, data=described)
    query_emb = text_model.predict(texts[:3], verbose=0)
    lookups = image_index._index.batch_lookup(predictions=query_emb, k=5, verbose=0)
    return SimpleNamespace(**locals())


def test_loss_is_called_on_tensors_with_a_short_last_batch(notebook):
    losses = np.array(notebook.losses)
    assert losses.shape == (40, 4)  # 16, 16, 16 and 2 rows
    assert np.isfinite(losses).all()
    assert losses[-1, :3].mean() < 0.5 * losses[0, :3].mean()


def test_texts_find_their_pictures_without_compile(notebook):
    assert notebook.image_index.index_size() == N
    for i, row in enumerate(notebook.lookups):
        assert [item.rank for item in row] == [1, 2, 3, 4, 5]
        assert f"picture {i}" in [item.data["desc"] for item in row]
    first = notebook.lookups[0][0]
    assert first.label is None and 0 <= first.distance <= 2
    i = int(first.data["desc"].split()[1])
    np.testing.assert_array_equal(np.asarray(first.data["imgs"]), notebook.imgs[i])


def test_hdf5_is_refused_with_what_to_write(notebook, tmp_path):
    with pytest.raises(ValueError, match="'.keras'.*save_weights"):
        notebook.image_index.save(str(tmp_path / "x.h5"))
    notebook.image_index.save(str(tmp_path / "x.keras"))
    again = tf.keras.models.load_model(tmp_path / "x.keras")
    there = again._index.batch_lookup(predictions=notebook.query_emb, k=5, verbose=0)
    np.testing.assert_allclose(there.distances, notebook.lookups.distances, atol=1e-6)


def test_compile_with_a_distance_alone_makes_the_same_index(notebook):
    model = tfsim.models.SimilarityModel(
        notebook.img_model.inputs, notebook.img_model.outputs
    )
    model.compile(distance="cosine")
    model.index(notebook.imgs, data=notebook.described, verbose=0)
    there = model._index.batch_lookup(predictions=notebook.query_emb, k=5, verbose=0)
    np.testing.assert_allclose(there.distances, notebook.lookups.distances, atol=1e-6)
