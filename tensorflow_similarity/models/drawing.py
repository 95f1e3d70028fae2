"""A model that draws what it embeds."""

from typing import Any

import numpy as np

from tensorflow_similarity._core.embedding import BATCH_SIZE, embed, is_stream
from tensorflow_similarity.models.similarity_state import SimilarityState


class DrawingMixin:
    """Embeds, asks the projector and returns, for `SimilarityMixin`."""

    _similarity: SimilarityState

    def project(
        self,
        x: Any = None,
        y: Any = None,
        class_mapping: Any = None,
        images: Any = None,
        *,
        batch_size: int = BATCH_SIZE,
        **options: Any,
    ) -> Any:
        """Draws examples, or the index, by `visualization.projector`.

        Args:
            x: examples, as `index` takes them. Defaults to None: the items of the
                index, with their labels, ids, data and metadata.
            y: n labels. Defaults to None: those that `x` carries, if any.
            class_mapping: names of the labels: a list or a dict.
            images: n pictures. Defaults to None: `x` itself, where it is an array of
                pictures with values from 0 to 255; False for none.
            batch_size: examples embedded at a time.
            options: further arguments of `projector`: `layout=`, `errors=`, `show=`.

        Returns:
            The `visualization.Projection`.

        Raises:
            RuntimeError: without `x`, if there is no index.
            ValueError: for what `projector` refuses.

        Example:
            >>> import keras
            >>> import numpy as np
            >>> from tensorflow_similarity.models import SimilarityModel
            >>> inputs = keras.Input((2,))
            >>> model = SimilarityModel(inputs, keras.layers.Dense(2)(inputs))
            >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
            >>> model.project(x, [0, 1, 1], layout="pca", show=False)
            Projection(n_points=3, n_given=3, layout='pca')
        """
        from tensorflow_similarity.visualization import projector
        from tensorflow_similarity.visualization.layout import import_packages

        # Not after minutes of embedding.
        import_packages(options.get("layout", "umap"))
        state = self._similarity
        if x is None:
            index = state.existing_index()
            drawn = None if images is False else images
            return projector(index, y, class_mapping, drawn, **options)
        model: Any = self
        embedder = model._embedder(queries=False)
        embeddings, labels = embed(embedder, x, model._output, batch_size)
        if images is None and not is_stream(x):
            images = _pictures(x)
        source = state.settings if state.indexer is None else state.indexer
        if source is not None:
            options.setdefault("distance", source.distance)
        return projector(
            embeddings,
            labels if y is None else y,
            class_mapping,
            None if images is False else images,
            **options,
        )


def _pictures(x: Any) -> np.ndarray | None:
    """The examples themselves where they are pictures that can be drawn."""
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiu" or not x.size:
        return None
    is_picture = x.ndim == 3 or (x.ndim == 4 and x.shape[-1] in (1, 3, 4))
    return x if is_picture and x.min() >= 0 and x.max() <= 255 else None
