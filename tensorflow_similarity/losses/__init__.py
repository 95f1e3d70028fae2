"""Losses on embeddings. One loss a file; `MetricLoss` is the contract."""

from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.multi_similarity_loss import MultiSimilarityLoss
from tensorflow_similarity.losses.pairs import Pairs, make_pairs
from tensorflow_similarity.losses.trained_loss import TrainedLoss
from tensorflow_similarity.losses.triplet_loss import TripletLoss, TripletMarginLoss

__all__ = [
    "MetricLoss",
    "MultiSimilarityLoss",
    "Pairs",
    "TrainedLoss",
    "TripletLoss",
    "TripletMarginLoss",
    "make_pairs",
]
