"""Numbers to watch while a model trains: `compile(metrics=[avg_pos("cosine")])`."""

from tensorflow_similarity.training_metrics.active_fraction import ActiveFraction
from tensorflow_similarity.training_metrics.alignment import Alignment
from tensorflow_similarity.training_metrics.batch_metric import BatchMetric
from tensorflow_similarity.training_metrics.distance_gap_metric import (
    DistanceGapMetric,
    dist_gap,
)
from tensorflow_similarity.training_metrics.distance_metric import (
    DistanceMetric,
    avg_neg,
    avg_pos,
    max_neg,
    max_pos,
    min_neg,
    min_pos,
    sum_neg,
    sum_pos,
)
from tensorflow_similarity.training_metrics.spread_metrics import (
    EffectiveRank,
    EmbeddingStd,
    Uniformity,
)

__all__ = [
    "ActiveFraction",
    "Alignment",
    "BatchMetric",
    "DistanceGapMetric",
    "DistanceMetric",
    "EffectiveRank",
    "EmbeddingStd",
    "Uniformity",
    "avg_neg",
    "avg_pos",
    "dist_gap",
    "max_neg",
    "max_pos",
    "min_neg",
    "min_pos",
    "sum_neg",
    "sum_pos",
]
