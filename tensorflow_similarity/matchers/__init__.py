"""From the neighbours of a query to a label for it, and counts at thresholds."""

from typing import Any

import keras

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.remade import from_config
from tensorflow_similarity.matchers.classification_match import (
    ClassificationMatch,
    Judged,
)
from tensorflow_similarity.matchers.counts import Counts, count
from tensorflow_similarity.matchers.match_distance_weighted_vote import (
    MatchDistanceWeightedVote,
)
from tensorflow_similarity.matchers.match_majority_vote import MatchMajorityVote
from tensorflow_similarity.matchers.match_nearest import MatchNearest

__all__ = [
    "ClassificationMatch",
    "Counts",
    "Judged",
    "MatchDistanceWeightedVote",
    "MatchMajorityVote",
    "MatchNearest",
    "count",
    "deserialize",
    "make_classification_matcher",
    "serialize",
]

_BY_NAME: dict[str, type[MatchNearest | MatchMajorityVote | MatchDistanceWeightedVote]]
_BY_NAME = {
    "match_nearest": MatchNearest,
    "match_majority_vote": MatchMajorityVote,
    "match_distance_weighted_vote": MatchDistanceWeightedVote,
    "nearest": MatchNearest,
    "majority_vote": MatchMajorityVote,
    "distance_weighted_vote": MatchDistanceWeightedVote,
}


def make_classification_matcher(
    matcher: str | ClassificationMatch,
) -> ClassificationMatch:
    """The matcher that a name stands for; a matcher itself is returned as it is.

    Args:
        matcher: a `ClassificationMatch`, or "match_nearest", "match_majority_vote",
            "match_distance_weighted_vote", with or without "match_", in any case.

    Raises:
        ValueError: for an unknown name.
        TypeError: for something that is neither a name nor a matcher.

    Example:

    >>> make_classification_matcher("match_nearest")
    MatchNearest(name='nearest')
    """
    if isinstance(matcher, ClassificationMatch):
        return matcher
    return doors.known(matcher, "matcher", _BY_NAME)()


def serialize(matcher: ClassificationMatch) -> dict[str, Any]:
    """A JSON-able dict from which `deserialize` makes an equal matcher."""
    config: dict[str, Any] = keras.saving.serialize_keras_object(matcher)
    return config


def deserialize(config: dict[str, Any]) -> ClassificationMatch:
    """The matcher that `serialize` described.

    Raises:
        ValueError: if it describes something else, or a class that Keras does not know.
    """
    made: ClassificationMatch = from_config(config, ClassificationMatch, "matcher")
    return made
