"""Which pairs of a batch to learn from. `Miner` is the contract."""

from typing import Any

import keras

from tensorflow_similarity.miners.batch_miners import (
    BatchHardMiner,
    EasyPositiveMiner,
    SemiHardMiner,
)
from tensorflow_similarity.miners.distance_weighted_miner import DistanceWeightedMiner
from tensorflow_similarity.miners.margin_miners import (
    MultiSimilarityMiner,
    PairMarginMiner,
    TripletMarginMiner,
)
from tensorflow_similarity.miners.miner import Candidates, Miner, serialize

__all__ = [
    "BatchHardMiner",
    "Candidates",
    "DistanceWeightedMiner",
    "EasyPositiveMiner",
    "Miner",
    "MultiSimilarityMiner",
    "PairMarginMiner",
    "SemiHardMiner",
    "TripletMarginMiner",
    "get",
    "serialize",
]

_BY_NAME: dict[str, type[Miner]] = {
    "batch_hard": BatchHardMiner,
    "distance_weighted": DistanceWeightedMiner,
    "easy_positive": EasyPositiveMiner,
    "multi_similarity": MultiSimilarityMiner,
    "pair_margin": PairMarginMiner,
    "semi_hard": SemiHardMiner,
    "triplet_margin": TripletMarginMiner,
}


def get(miner: Miner | str | dict[str, Any] | None) -> Miner | None:
    """A miner from an object, a name ("semi_hard", "semi-hard") or a dict.

    Raises:
        ValueError: for an unknown name, or for something else.
    """
    if miner is None or isinstance(miner, Miner):
        return miner
    if isinstance(miner, str):
        known = _BY_NAME.get(miner.strip().lower().replace("-", "_"))
        if known is not None:
            return known()
    if isinstance(miner, dict):
        made = keras.saving.deserialize_keras_object(miner)
        if isinstance(made, Miner):
            return made
    raise ValueError(
        f"`miner` must be a Miner or one of {sorted(_BY_NAME)}. Received: "
        f"miner={miner!r}."
    )
