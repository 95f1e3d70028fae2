"""A model that is saved with its index."""

from pathlib import Path
from typing import Any

from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.models import saving
from tensorflow_similarity.models.seeds import load_seeds, save_seeds
from tensorflow_similarity.models.similarity_state import SimilarityState


class FilesMixin:
    """Writes and reads the model and its index, for `SimilarityMixin`."""

    _similarity: SimilarityState

    def save_index(
        self, filepath: str | Path, compression: bool = True, overwrite: bool = True
    ) -> None:
        """Writes the index to the folder `<filepath>/index`, whole or not at all.

        Args:
            compression: whether labels and user data are deflated.
            overwrite: whether an index there may be replaced.

        Raises:
            RuntimeError: if the model has no index.
            FileExistsError: if something else stands there.
        """
        self._similarity.existing_index().save(
            Path(filepath) / "index", compression, overwrite
        )

    def load_index(self, filepath: str | Path) -> None:
        """Reads the index that `save_index` or `save` wrote, in place of the present.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is damaged, newer, or measures by another distance than
                the model was compiled for.
        """
        indexer = Indexer.load(saving.find_index(filepath))
        settings = self._similarity.settings
        if settings is not None and settings.distance != indexer.distance:
            raise ValueError(
                f"The index in {str(filepath)!r} measures by "
                f"{indexer.distance.name!r}, the model was compiled for "
                f"{settings.distance.name!r}. Compile it with that distance, or index "
                "again."
            )
        self._similarity.take(indexer)
        self._similarity.checked_version = None
        self._similarity.warned = False

    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        save_index: bool = True,
        compression: bool = True,
        include_optimizer: bool = True,
        save_format: str | None = None,
        signatures: Any = None,
        options: Any = None,
        save_traces: bool = True,
    ) -> None:
        """Saves the model with its index, whole or not at all.

        `keras.models.load_model` reads both forms, compiled and with the index, once
        tensorflow_similarity is imported.

        Args:
            filepath: a name in ".keras" for one file, without suffix for a folder.
            overwrite: whether what we saved there before may be replaced.
            zipped: says the form in place of the name. Defaults to None.
            save_index: whether the index goes with the model.
            compression: whether labels and user data of the index are deflated.
            include_optimizer, save_format, signatures, options, save_traces: accepted
                as existing programs pass them, not used.

        Raises:
            ValueError: for a name in ".h5" or of another suffix.
            FileExistsError: with `overwrite=False`, or if a folder there is not ours.
        """
        state = self._similarity
        before = (state.plan.include, state.plan.compression)
        state.plan.include, state.plan.compression = save_index, compression
        try:
            saving.save_model(
                self, state.indexer, state.plan, filepath, overwrite, zipped
            )
        finally:
            state.plan.include, state.plan.compression = before

    def save_assets(self, dir: str) -> None:
        """Keras' hook: the index goes into the model's archive."""
        saving.write_assets(self._similarity.indexer, self._similarity.plan, dir)

    def load_assets(self, dir: str) -> None:
        """Keras' hook: the index comes out of the model's archive."""
        self._similarity.take(saving.read_assets(dir))

    def save_own_variables(self, store: Any) -> None:
        """Keras' hook: the states of random layers go with the weights."""
        super().save_own_variables(store)  # type: ignore[misc]
        save_seeds(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Keras' hook: training goes on with the same randomness."""
        super().load_own_variables(load_seeds(self, store))  # type: ignore[misc]
