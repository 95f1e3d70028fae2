"""The functional Keras model with an index."""

import keras

from tensorflow_similarity.models.similarity_mixin import SimilarityMixin


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SimilarityModel(SimilarityMixin, keras.Model):
    """A Keras model whose output is an embedding, with an index of embeddings.

    Built, trained and saved like any functional model; see `SimilarityMixin` for what
    it adds. For a model with a `call` of its own write
    `class Mine(SimilarityMixin, keras.Model)`.

    Args:
        inputs: `keras.Input` or a structure of them.
        outputs: the embedding, shape (batch, dim), or a structure of outputs of which
            one is the embedding.
        name: string.

    Example:
        >>> import numpy as np
        >>> inputs = keras.Input((2,))
        >>> model = SimilarityModel(inputs, keras.layers.UnitNormalization()(inputs))
        >>> ids = model.index(np.array([[1.0, 0.0], [0.0, 1.0]]), y=[3, 7])
        >>> for neighbour in model.single_lookup(np.array([0.1, 2.0])):
        ...     print(neighbour.rank, neighbour.label)
        1 7
        2 3
    """
