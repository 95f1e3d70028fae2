"""What `fit` calls as it goes: it watches a training, and saves it."""

from tensorflow_similarity.callbacks.model_checkpoint import ModelCheckpoint
from tensorflow_similarity.callbacks.training_health import TrainingHealth

__all__ = ["ModelCheckpoint", "TrainingHealth"]
