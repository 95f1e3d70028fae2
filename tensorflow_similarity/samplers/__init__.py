"""Samplers: batches in which every example has positives."""

from tensorflow_similarity.samplers.confused_classes_sampler import (
    ConfusedClassesSampler,
)
from tensorflow_similarity.samplers.multi_shot_memory_sampler import (
    MultiShotMemorySampler,
)
from tensorflow_similarity.samplers.sampler import Sampler
from tensorflow_similarity.samplers.select_examples import select_examples
from tensorflow_similarity.samplers.single_shot_memory_sampler import (
    SingleShotMemorySampler,
)
from tensorflow_similarity.samplers.tf_data_sampler import TFDataSampler
from tensorflow_similarity.samplers.tf_dataset_multi_shot_memory_sampler import (
    TFDatasetMultiShotMemorySampler,
)

__all__ = [
    "ConfusedClassesSampler",
    "MultiShotMemorySampler",
    "Sampler",
    "SingleShotMemorySampler",
    "TFDataSampler",
    "TFDatasetMultiShotMemorySampler",
    "select_examples",
]
