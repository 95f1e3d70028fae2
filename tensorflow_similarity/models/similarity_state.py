"""What a model remembers beside what Keras does."""

from dataclasses import dataclass, field, replace
from typing import Any

from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.models import saving
from tensorflow_similarity.models.grad_cache import GradCache
from tensorflow_similarity.models.index_settings import IndexSettings
from tensorflow_similarity.models.loss_layers import NoteCheck
from tensorflow_similarity.types import CalibrationResults


@dataclass
class SimilarityState:
    """All that the mixins remember, in one object that Keras does not look into."""

    settings: IndexSettings | None = None
    indexer: Indexer | None = None
    plan: saving.AssetsPlan = field(default_factory=saving.AssetsPlan)
    notes: NoteCheck = field(default_factory=lambda: NoteCheck([]))
    grad_cache: GradCache | None = None
    # Rises whenever the weights may have changed; compared before fingerprints are.
    weights_version: int = 0
    checked_version: Any = None
    # Whether it was said that the weights are not those of the index.
    warned: bool = False
    # The calibration of which it was said that items have changed since.
    warned_calibration: CalibrationResults | None = None

    def use(self, settings: IndexSettings) -> None:
        """New settings; a store that holds items already is an index at once."""
        self.settings = settings
        dim = settings.held_items()
        if dim and self.indexer is None:
            self.indexer = settings.make_index(dim)

    def take(self, indexer: Indexer | None) -> None:
        """Another index, whose store later ones go on with where it stays open."""
        self.indexer = indexer
        if indexer is None or self.settings is None or not indexer.store.persistent:
            return
        self.settings = replace(self.settings, kv_store=indexer.store)

    def existing_index(self) -> Indexer:
        """The index; RuntimeError without one."""
        if self.indexer is None:
            raise RuntimeError(
                "The model has no index. Call `model.index(x, y)` first, or "
                "`model.load_index(path)`."
            )
        return self.indexer

    def filled_index(self) -> Indexer:
        """The index; RuntimeError without one or if it is empty."""
        if not self.index_size():
            raise RuntimeError(
                "The model has no index, or an empty one. Call `model.index(x, y)` "
                "before `model.lookup(x)`."
            )
        return self.existing_index()

    def index_size(self) -> int:
        """Number of items in the index; 0 without one."""
        return 0 if self.indexer is None else self.indexer.size()
