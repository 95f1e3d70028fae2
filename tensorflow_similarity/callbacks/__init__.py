"""What `fit` calls as it goes: it watches a training, judges it, and saves it."""

from tensorflow_similarity.callbacks.confused_classes import RefreshConfusedClasses
from tensorflow_similarity.callbacks.eval_callback import EvalCallback
from tensorflow_similarity.callbacks.model_checkpoint import ModelCheckpoint
from tensorflow_similarity.callbacks.split_validation_loss import SplitValidationLoss
from tensorflow_similarity.callbacks.training_health import TrainingHealth

__all__ = [
    "EvalCallback",
    "ModelCheckpoint",
    "RefreshConfusedClasses",
    "SplitValidationLoss",
    "TrainingHealth",
]
