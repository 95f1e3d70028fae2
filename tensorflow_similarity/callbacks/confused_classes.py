"""Tells a sampler which classes the model confuses."""

import logging
from typing import Any

import keras
import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.embedding import BATCH_SIZE
from tensorflow_similarity.callbacks._watched import check_every, distance_of, embedded
from tensorflow_similarity.evaluators import ClassConfusion, class_confusion
from tensorflow_similarity.samplers import ConfusedClassesSampler

logger = logging.getLogger(__name__)


class RefreshConfusedClasses(keras.callbacks.Callback):
    """Tells a `ConfusedClassesSampler` every few epochs which classes are confused.

    It embeds some examples with the weights as they are, looks up the nearest
    neighbours of each by exact search, counts of which classes they are, and hands this
    to the sampler for the passes that come. The model's index is not touched. From
    embeddings that are not finite nothing is learned: a warning, and the confusion
    stays as it was.

    Args:
        sampler: the `ConfusedClassesSampler` that `fit` reads, in one process and with
            one worker.
        x, y: examples to embed, and labels as the sampler was given them. Default to
            None: `n_examples` of the sampler's own.
        k: neighbours of each example. Defaults to 10.
        every_epochs: int, epochs from one refreshment to the next. Defaults to 1.
        n_examples: of the sampler's examples, at least 2, where no `x` is given.
            Defaults to 5,000: embedding them costs less than an epoch as a rule.
        batch_size: examples embedded at a time.

    Attributes:
        confusion: the last `ClassConfusion`, None before the first.

    Raises:
        ValueError: for x without y, or numbers out of range.
        TypeError: for another sampler.

    Example:

    >>> import numpy as np
    >>> from tensorflow_similarity.losses import TripletLoss
    >>> from tensorflow_similarity.models import SimilarityModel
    >>> sampler = ConfusedClassesSampler(
    ...     np.random.normal(size=(60, 4)), np.arange(60) % 6, steps_per_epoch=2
    ... )
    >>> inputs = keras.Input((4,))
    >>> model = SimilarityModel(inputs, keras.layers.Dense(2)(inputs))
    >>> model.compile("adam", loss=TripletLoss())
    >>> refresh = RefreshConfusedClasses(sampler)
    >>> history = model.fit(sampler, epochs=2, callbacks=[refresh], verbose=0)
    >>> refresh.confusion
    ClassConfusion(n_classes=6)
    """

    def __init__(
        self,
        sampler: ConfusedClassesSampler,
        x: Any = None,
        y: Any = None,
        k: int = 10,
        every_epochs: int = 1,
        n_examples: int = 5000,
        batch_size: int = BATCH_SIZE,
    ):
        super().__init__()
        if not isinstance(sampler, ConfusedClassesSampler):
            raise TypeError(
                "`sampler` must be a `ConfusedClassesSampler`. Received: "
                f"{type(sampler).__name__}."
            )
        if (x is None) != (y is None):
            raise ValueError("`x` and `y` belong together. Received only one of them.")
        for name, value in (
            ("k", k),
            ("every_epochs", every_epochs),
            ("batch_size", batch_size),
        ):
            check_every(name, value)
        doors.as_count(n_examples, "n_examples", least=2)
        self.sampler = sampler
        self.x, self.y = x, y
        self.k = k
        self.every_epochs = every_epochs
        self.n_examples = n_examples
        self.batch_size = batch_size
        self.confusion: ClassConfusion | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch + 1) % self.every_epochs:
            return
        x, y = self.x, self.y
        if x is None:
            x, y = self.sampler.get_slice(0, self.n_examples)
        embeddings, _ = embedded(self.model, x, False, self.batch_size)
        if not np.isfinite(embeddings).all():
            logger.warning(
                "The embeddings are not finite: which classes are confused stays as "
                "it was."
            )
            return
        distance = distance_of(self.model) or "cosine"
        self.confusion = class_confusion(embeddings, y, self.k, distance)
        # A pass that ends with the epoch has ended for the sampler too; otherwise the
        # one it is in goes on as it began.
        whole = self.params.get("steps") == self.sampler.steps_per_epoch
        first = self.sampler.epoch + (not whole)
        self.sampler.set_confusion(self.confusion, first_pass=first)
