"""The label with the most weight among the neighbours, near ones weighing more."""

import keras
import numpy as np

from tensorflow_similarity.matchers.classification_match import ClassificationMatch
from tensorflow_similarity.matchers.votes import elect


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MatchDistanceWeightedVote(ClassificationMatch):
    """Gives each query the label whose neighbours weigh most, near ones more.

    The i-th of the neighbours that were found, nearest first, weighs

        (d_last - d_i) / (d_last - d_first),  and 1 if all distances are equal,

    which is the same in any unit, and for distances below zero. The nearest weighs 1
    and the farthest 0, so two neighbours vote as the nearest alone; take k of at least
    3. The distance of the winner is that of its nearest neighbour. Ties go to the
    nearest; neighbours without a label do not vote.

    Args:
        name: str, for messages.

    Example:

    >>> matcher = MatchDistanceWeightedVote()
    >>> rows = [[7, 3, 3, 5]], [[0.1, 0.8, 0.9, 1.0]]
    >>> matcher.match(*rows)[0].tolist()      # 7 weighs 1, 3 weighs 2/9 + 1/9
    [7]

    Reference:
        Dudani, "The Distance-Weighted k-Nearest-Neighbor Rule", IEEE Transactions on
        Systems, Man, and Cybernetics, 1976.
    """

    def __init__(self, name: str = "distance_weighted_vote"):
        super().__init__(name, "match_distance_weighted_vote")

    def derive_match(
        self, lookup_labels: np.ndarray, lookup_distances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The winners of the vote, shape (n_queries, 1) each."""
        found = np.isfinite(lookup_distances)
        distances = np.where(found, lookup_distances, 0.0)
        first = distances[:, :1]
        last = np.where(found, distances, -np.inf).max(axis=1, keepdims=True)
        span = np.where(found.any(axis=1, keepdims=True), last - first, 0.0)
        safe = np.where(span > 0, span, 1.0)
        last = np.where(np.isfinite(last), last, 0.0)
        weights = np.where(span > 0, (last - distances) / safe, 1.0)
        return elect(lookup_labels, lookup_distances, weights * found)
