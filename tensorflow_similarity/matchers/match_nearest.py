"""The label of the nearest neighbour."""

import keras
import numpy as np

from tensorflow_similarity.matchers.classification_match import ClassificationMatch


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MatchNearest(ClassificationMatch):
    """Gives each query the label and the distance of its nearest neighbour.

    A nearest neighbour without a label gives none.

    Args:
        name: str, for messages.
    """

    def __init__(self, name: str = "nearest"):
        super().__init__(name, "match_nearest")

    def derive_match(
        self, lookup_labels: np.ndarray, lookup_distances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first column."""
        return lookup_labels[:, :1], lookup_distances[:, :1]
