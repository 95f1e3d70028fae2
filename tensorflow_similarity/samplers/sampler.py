"""What every sampler is: batches planned ahead, the same for the same seed."""

import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tensorflow_similarity.samplers._labels import check_count, check_seed
from tensorflow_similarity.samplers._sources import to_host

if TYPE_CHECKING:
    import tensorflow as tf

Augmenter = Callable[[Any, Any, int, bool], Any]
"""Answers (x, y) to (x, y, num_augmentations_per_example, is_warmup)."""

_KEPT_PASSES = 2
"""The pass in use, and the one that a reader ahead of it has begun."""


class Sampler(keras.utils.PyDataset):
    """Batches of P classes with K examples each, for `fit` and for custom loops.

    A pass is `steps_per_epoch` batches; Keras' epoch is one pass. Batch i of pass p
    depends on the seed, p and i only: the order in which batches are asked for, how
    often, and from which thread makes no difference. `on_epoch_end` goes to the next
    pass. `epoch` counts the passes done; `is_warmup` is true while `epoch < warmup`.

    Keras calls `on_epoch_end` once before the first epoch; that call is ignored. It
    also allows `fit(sampler, steps_per_epoch=n)`: `SimilarityModel.fit` then makes n
    the sampler's own number of steps. Other models leave the sampler as it is: with
    a smaller n a pass lasts for several epochs, with a larger n Keras warns and
    trains on the batches there are.

    With `workers` above 1, Keras on JAX and torch trains on batches twice that it
    fetched to look at them before the first epoch, and is late by them from then on;
    every backend trains on each batch once with the default of one worker.

    A subclass says which rows are in which batch (`_rows`) and fetches them
    (`_load`).

    Args:
        classes_per_batch: int >= 1. P.
        examples_per_class_per_batch: int >= 1. K. Defaults to 2, the fewest that
            give each example a positive.
        num_augmentations_per_example: int >= 1. Handed to the augmenter. Defaults
            to 1.
        steps_per_epoch: int >= 1. Batches in a pass. Defaults to 1000.
        augmenter: called with each batch as
            `augmenter(x, y, num_augmentations_per_example, is_warmup)`; answers
            (x, y). Defaults to None: batches stay as they are. Its own randomness is
            its own: only what it is called with follows the seed.
        warmup: int. Number of passes with `is_warmup` true. Defaults to 0; zero and
            below mean none.
        seed: int or None. Defaults to None: taken from Python's random generator,
            as Keras does, so `keras.utils.set_random_seed` decides it. Give a seed
            if another process is to go on with the run.
        fixed: bool. True gives the batches of the first pass on every pass, as
            `validation_data` should. Defaults to False.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of
            `keras.utils.PyDataset`.
    """

    def __init__(
        self,
        classes_per_batch: int,
        examples_per_class_per_batch: int = 2,
        num_augmentations_per_example: int = 1,
        steps_per_epoch: int = 1000,
        augmenter: Augmenter | None = None,
        warmup: int = 0,
        *,
        seed: int | None = None,
        fixed: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.classes_per_batch = check_count("classes_per_batch", classes_per_batch)
        self.examples_per_class_per_batch = check_count(
            "examples_per_class_per_batch", examples_per_class_per_batch
        )
        self.num_augmentations_per_example = check_count(
            "num_augmentations_per_example", num_augmentations_per_example
        )
        if augmenter is not None and not callable(augmenter):
            raise TypeError(
                "`augmenter` must be callable as augmenter(x, y, "
                "num_augmentations_per_example, is_warmup). Received: "
                f"augmenter={augmenter!r}."
            )
        self.augmenter = augmenter
        self.warmup = warmup
        self.fixed = bool(fixed)
        self.seed = check_seed(seed)
        self.epoch = 0
        self._steps_per_epoch = check_count("steps_per_epoch", steps_per_epoch)
        self._plans: dict[int, np.ndarray] = {}
        self._asked: set[int] = set()
        self._epoch_begun = False
        self._reset_is_next = False
        self._make_locks()

    @abstractmethod
    def _rows(self, begin: int, end: int) -> np.ndarray:
        """Rows of batches `begin` to `end` - 1, counted over all passes.

        Called from one thread at a time. Returns an integer array, shape
        (end - begin, batch_size).
        """

    @abstractmethod
    def _load(self, rows: np.ndarray) -> tuple[Any, Any]:
        """Examples and labels of these rows, before augmentation."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in a pass. May be changed between two passes."""
        return self._steps_per_epoch

    @steps_per_epoch.setter
    def steps_per_epoch(self, steps: int) -> None:
        steps = check_count("steps_per_epoch", steps)
        with self._lock:
            if steps != self._steps_per_epoch:
                self._steps_per_epoch = steps
                self._plans.clear()
                self._asked.clear()

    @property
    def batch_size(self) -> int:
        """Examples in a batch before augmentation."""
        return self.classes_per_batch * self.examples_per_class_per_batch

    @property
    def is_warmup(self) -> bool:
        """Whether the current pass is one of the first `warmup`."""
        return self.epoch < self.warmup

    @property
    def use_multiprocessing(self) -> bool:
        """Whether Keras fetches batches from processes. See `keras.utils.PyDataset`."""
        # Keras 3 reads this when `fit` or `evaluate` wraps the sampler, and calls
        # `on_epoch_end` to reset it before the first epoch: no pass has ended then.
        self._reset_is_next = True
        return bool(self._use_multiprocessing)

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self._use_multiprocessing = value

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Batch `index` of the current pass: NumPy arrays (x, y).

        Raises:
            IndexError: if there is no such batch in a pass.
        """
        n_steps = self.steps_per_epoch
        if not -n_steps <= index < n_steps:
            raise IndexError(
                f"A pass has {n_steps} batches. Received: index={index}. "
                "`generate_batch` also gives those of later passes."
            )
        index = int(index) % n_steps
        self._asked.add(index)
        if len(self._asked) == n_steps // 2:
            self._plan_ahead(self.epoch + 1)
        return self.generate_batch(index)

    def generate_batch(self, batch_id: int) -> tuple[Any, Any]:
        """Batch `batch_id`, counted from the first of the current pass.

        Args:
            batch_id: int >= 0. From `steps_per_epoch` on, those of later passes.

        Returns:
            NumPy arrays (x, y), augmented; x of shape (batch_size, ...) and y of
            shape (batch_size,) if the augmenter, where there is one, keeps them.
        """
        if batch_id < 0:
            raise ValueError(
                f"`batch_id` must not be negative. Received: batch_id={batch_id}."
            )
        later, index = divmod(int(batch_id), self.steps_per_epoch)
        epoch = self.epoch + later
        return self._batch(epoch, self._plan(epoch)[index])

    def on_epoch_begin(self) -> None:
        """Called by Keras before an epoch."""
        self._epoch_begun = True

    def on_epoch_end(self) -> None:
        """Goes to the next pass; called by Keras, or by you in a loop of your own.

        Within `fit` a pass ends when all of its batches were asked for.
        """
        with self._lock:
            reset, self._reset_is_next = self._reset_is_next, False
            begun, self._epoch_begun = self._epoch_begun, False
            if reset:
                self._asked.clear()
                return
            # Batches asked for in another process are not seen here.
            if begun and not self._use_multiprocessing:
                if len(self._asked) < self._steps_per_epoch:
                    return
            self.epoch += 1
            self._asked.clear()

    def resume(self, step: int, steps_per_epoch: int | None = None) -> None:
        """Goes to the pass in which training step `step` lies.

        `SimilarityModel.fit` calls it with the optimizer's iterations, so that a
        loaded model goes on with the batches that an uninterrupted run would have
        drawn. A pass that was interrupted begins anew.

        Args:
            step: int >= 0. Batches trained on so far, in epochs of equal length.
            steps_per_epoch: int >= 1 or None. Becomes the length of a pass. Defaults
                to None: stays what it is.
        """
        if step < 0:
            raise ValueError(f"`step` must not be negative. Received: step={step}.")
        with self._lock:
            if steps_per_epoch is not None:
                self.steps_per_epoch = steps_per_epoch
            self.epoch = int(step) // self._steps_per_epoch
            self._asked.clear()

    def as_tf_dataset(self) -> "tf.data.Dataset":
        """The same batches as a `tf.data.Dataset`, faster than the sampler itself.

        One iteration is one pass and has `steps_per_epoch` elements, so both
        `fit(dataset, epochs=n)` and `fit(dataset, epochs=n,
        steps_per_epoch=sampler.steps_per_epoch)` work; `shuffle=False` spares you
        Keras' warning that it does not shuffle datasets. The first begins at the
        sampler's current pass; an iteration that was read to its last batch ends the
        pass for the sampler too: `epoch`, `is_warmup`, `resume` are shared. Use
        `dataset.repeat()` for a stream without end.

        NumPy gathers each batch from the source into memory that TensorFlow takes
        over; the source itself is never copied. Small batches are gathered several
        at a time. An augmenter runs in Python, one batch per call, `workers` at a
        time; the first batch is made once more to learn its form.

        Raises:
            ImportError: if TensorFlow is not installed.
        """
        from tensorflow_similarity.samplers._tf_data import as_tf_dataset

        return as_tf_dataset(self)

    def feed(self) -> Any:
        """What `SimilarityModel.fit` reads instead of the sampler: the same, faster.

        On TensorFlow `as_tf_dataset()`, because Keras hands over a `PyDataset` one
        batch at a time through Python. The sampler itself on the other backends,
        with `workers` or processes of its own, and for a subclass with its own way
        to hand out batches or to end a pass.
        """
        handed_out = ("__getitem__", "__len__", "generate_batch")
        ended = ("on_epoch_begin", "on_epoch_end")
        own = any(
            getattr(type(self), name) is not getattr(Sampler, name)
            for name in (*handed_out, *ended)
        )
        if (
            own
            or keras.backend.backend() != "tensorflow"
            or self.workers > 1
            or self._use_multiprocessing
        ):
            return self
        return self.as_tf_dataset()

    def _plan(self, epoch: int) -> np.ndarray:
        """Rows of a pass, shape (steps_per_epoch, batch_size)."""
        number = 0 if self.fixed else epoch
        plan = self._plans.get(number)
        if plan is not None:
            return plan
        with self._planning:
            n_steps = self._steps_per_epoch
            if number not in self._plans:
                plan = self._rows(number * n_steps, (number + 1) * n_steps)
                if n_steps != self._steps_per_epoch:
                    return self._plan(epoch)
                if len(self._plans) >= _KEPT_PASSES:
                    del self._plans[next(iter(self._plans))]
                self._plans[number] = plan
            return self._plans[number]

    def _plan_ahead(self, epoch: int) -> None:
        """Plans a pass in the background, so that nobody waits for it later."""
        # A process that is forked meanwhile would wait for ever.
        if self.fixed or self._use_multiprocessing or epoch in self._plans:
            return
        threading.Thread(target=self._plan, args=(epoch,), daemon=True).start()

    def _end_pass(self, epoch: int) -> None:
        """Goes to the pass after `epoch`, unless the sampler is elsewhere already."""
        with self._lock:
            if self.epoch == epoch:
                self.epoch += 1
                self._asked.clear()

    def _batch(self, epoch: int, rows: np.ndarray) -> tuple[Any, Any]:
        x, y = self._load(rows)
        return self._augmented(x, y, epoch < self.warmup)

    def _augmented(self, x: Any, y: Any, is_warmup: bool) -> tuple[Any, Any]:
        if self.augmenter is None:
            return x, y
        batch = self.augmenter(x, y, self.num_augmentations_per_example, is_warmup)
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise TypeError(
                "`augmenter` must return (x, y). Received: "
                f"{type(batch).__name__}"
                + (f" of {len(batch)}." if isinstance(batch, tuple | list) else ".")
            )
        x, y = keras.tree.map_structure(lambda leaf: np.asarray(to_host(leaf)), batch)
        return x, y

    def __getstate__(self) -> dict[str, Any]:
        locks = ("_lock", "_planning")
        return {name: value for name, value in vars(self).items() if name not in locks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_locks()

    def _make_locks(self) -> None:
        self._lock = threading.RLock()  # of epoch, asked and steps
        self._planning = threading.RLock()
