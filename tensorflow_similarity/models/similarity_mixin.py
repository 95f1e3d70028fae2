"""What a Keras model gains: training by metric losses, and an index of embeddings."""

from typing import Any

from tensorflow_similarity.models.drawing import DrawingMixin
from tensorflow_similarity.models.files import FilesMixin
from tensorflow_similarity.models.judging import JudgingMixin
from tensorflow_similarity.models.loss_layers import container
from tensorflow_similarity.models.similarity_state import SimilarityState
from tensorflow_similarity.models.training import TrainingMixin


class SimilarityMixin(TrainingMixin, JudgingMixin, DrawingMixin, FilesMixin):
    """Index, lookup, calibration, and saving with the index, for any Keras model.

    `SimilarityModel` has it for functional models. For a model with a `call` of its
    own, put it first: `class Mine(SimilarityMixin, keras.Model)`.

    Every method embeds, asks the index, and returns.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._similarity = SimilarityState()
        if getattr(self, "outputs", None) is None:
            # A model with a `call` of its own takes no layers once it is built.
            container(self)
