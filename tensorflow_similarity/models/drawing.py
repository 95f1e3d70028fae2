"""A model that draws what it embeds."""

from typing import Any

import numpy as np

from tensorflow_similarity._core.embedding import BATCH_SIZE, embed
from tensorflow_similarity.models.similarity_state import SimilarityState


class DrawingMixin:
    """Embeds, asks the projector or the report, and returns, for `SimilarityMixin`."""

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
            y: n labels. Defaults to None: those that `x` carries, if any. Without `x`:
                labels for the items of the index, in its order, in place of its own.
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
        given, labels, options = self._drawn(x, y, batch_size, 0, options)
        pictures = _pictures(x) if images is None else images
        drawn = None if images is False else pictures
        return projector(given, labels, class_mapping, drawn, **options)

    def report(
        self,
        x: Any = None,
        y: Any = None,
        path: Any = None,
        images: Any = None,
        class_mapping: Any = None,
        *,
        batch_size: int = BATCH_SIZE,
        verbose: int = 1,
        **options: Any,
    ) -> Any:
        """Judges examples, or the index, on one page, by `visualization.report`.

        The page has retrieval and verification, curves, the model's calibration if
        there is one, the worst neighbours, the most confused classes, the projector
        and the health of the embeddings. The examples are judged among themselves: each
        asks for the nearest of the others.

        Args:
            x: examples, as `index` takes them. Defaults to None: the items of the
                index, with their labels, ids, data and metadata.
            y: n labels. Defaults to None: those that `x` carries, if any. Without `x`:
                labels for the items of the index, in its order, in place of its own.
            path: where to write the page, "report.html"; its folder must exist.
                Defaults to None: nowhere; the answer has `save_html`.
            images: n pictures. Defaults to None: `x` itself, where it is an array of
                pictures with values from 0 to 255; False for none.
            class_mapping: names of the labels: a list or a dict.
            batch_size: examples embedded at a time.
            verbose: 1 shows progress after two seconds, 0 never.
            options: further arguments of `report`: `layout=`, `max_items=`,
                `metadata=`, `calibration=None` for the page without it.

        Returns:
            The `visualization.EmbeddingReport`.

        Raises:
            RuntimeError: without `x`, if there is no index.
            ValueError: for what `visualization.report` refuses.
            TypeError, FileNotFoundError, IsADirectoryError, PermissionError: for a
                path that cannot be written, before anything is embedded.

        Example:
            >>> import keras
            >>> import numpy as np
            >>> from tensorflow_similarity.models import SimilarityModel
            >>> inputs = keras.Input((2,))
            >>> model = SimilarityModel(inputs, keras.layers.Dense(2)(inputs))
            >>> x = np.random.default_rng(0).normal(size=(20, 2))
            >>> found = model.report(x, np.arange(20) % 2, layout="pca")
            >>> sorted(found.missing)
            []
        """
        from tensorflow_similarity.visualization import report
        from tensorflow_similarity.visualization.layout import import_packages
        from tensorflow_similarity.visualization.pages import (
            PICTURES_HINT,
            checked_path,
        )

        if path is not None:
            checked_path(path, PICTURES_HINT)
        if options.get("layout", "umap") is not None:
            import_packages(options.get("layout", "umap"))
        indexer = self._similarity.indexer
        if indexer is not None and "distance" not in options:
            options.setdefault("calibration", indexer.calibration)
        given, labels, options = self._drawn(x, y, batch_size, verbose, options)
        pictures = _pictures(x) if images is None else images
        drawn = None if images is False else pictures
        return report(
            given, labels, path, drawn, class_mapping, verbose=verbose, **options
        )

    def _drawn(
        self, x: Any, y: Any, batch_size: int, verbose: int, options: dict[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Embeddings or the index, labels, and the options with the distance."""
        state = self._similarity
        if x is None:
            index = state.existing_index()
            if hasattr(y, "__len__") and len(y) != index.size():
                raise ValueError(
                    "Without `x`, `y` must hold one label for each of the "
                    f"{index.size()} items of the index, in its order. Received: "
                    f"{len(y)}. Leave `y` out for the labels that the index has, or "
                    "pass `x`, the examples."
                )
            return index, y, options
        model: Any = self
        embedder = model._embedder(queries=False)
        embeddings, labels = embed(embedder, x, model._output, batch_size, verbose)
        source = state.settings if state.indexer is None else state.indexer
        if source is not None:
            options = {"distance": source.distance} | options
        return embeddings, labels if y is None else y, options


def _pictures(x: Any) -> np.ndarray | None:
    """The examples themselves where they are pictures that can be drawn."""
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiu" or not x.size:
        return None
    is_picture = x.ndim == 3 or (x.ndim == 4 and x.shape[-1] in (1, 3, 4))
    return x if is_picture and x.min() >= 0 and x.max() <= 255 else None
