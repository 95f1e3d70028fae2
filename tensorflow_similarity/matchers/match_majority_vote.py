"""The most frequent label among the neighbours."""

import keras
import numpy as np

from tensorflow_similarity.matchers.classification_match import ClassificationMatch
from tensorflow_similarity.matchers.votes import elect


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MatchMajorityVote(ClassificationMatch):
    """Gives each query the most frequent label among its k nearest neighbours.

    Its distance is that of the nearest neighbour with the winning label. Labels with
    equally many neighbours: the one with the nearest. Neighbours without a label, and
    places where there is no neighbour, do not vote.

    Args:
        name: str, for messages.

    Example:

    >>> matcher = MatchMajorityVote()
    >>> labels, distances = matcher.match([[7, 3, 3]], [[0.1, 0.2, 0.6]])
    >>> labels.tolist(), distances.tolist()
    ([3], [0.2])
    """

    def __init__(self, name: str = "majority_vote"):
        super().__init__(name, "match_majority_vote")

    def derive_match(
        self, lookup_labels: np.ndarray, lookup_distances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The winners of the vote, shape (n_queries, 1) each."""
        return elect(lookup_labels, lookup_distances, np.ones(lookup_distances.shape))
