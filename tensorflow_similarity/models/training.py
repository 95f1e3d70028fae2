"""A model that trains metric losses: what `compile` and `fit` do beside Keras' own."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tensorflow_similarity._core.embedding import (
    check_embedding,
    n_replicas,
    output_names,
    output_number,
)
from tensorflow_similarity._core.phase import phase
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.models.devices import check_compilable, check_even
from tensorflow_similarity.models.fingerprint import steps_taken
from tensorflow_similarity.models.grad_cache import GradCache, check_chunk
from tensorflow_similarity.models.index_settings import (
    IndexSettings,
    declared_distance,
    first_compared,
)
from tensorflow_similarity.models.loss_layers import NoteCheck, attach
from tensorflow_similarity.models.sampler_resume import SamplerResume
from tensorflow_similarity.models.saving import portable
from tensorflow_similarity.models.similarity_state import SimilarityState
from tensorflow_similarity.search import Search
from tensorflow_similarity.stores import Store

logger = logging.getLogger(__name__)


class TrainingMixin:
    """Compiles, trains and evaluates, for `SimilarityMixin`."""

    _similarity: SimilarityState

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *args: Any,
        distance: str | Distance = "auto",
        search: str | Search = "nmslib",
        kv_store: str | Store = "memory",
        evaluator: str = "memory",
        embedding_output: int | str | None = None,
        stat_buffer_size: int = 1000,
        grad_cache_chunk: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training as Keras does, and remembers what index to make.

        Args:
            optimizer, loss, *args, **kwargs: as `keras.Model.compile` takes them.
            distance: by which embeddings are compared in the index. Defaults to
                "auto": the distance that the loss trains for, cosine without a loss.
            search: "nmslib", exact while the index is small and a graph beyond;
                "linear", exact at any size; or a `Search`.
            kv_store: "memory", or a `Store`.
            evaluator: "memory"; accepted as existing programs pass it.
            embedding_output: for a model of several outputs, the one that is indexed,
                by number or name. Defaults to None: the first whose loss has a
                distance, or the first.
            stat_buffer_size: over how many lookups the timings of `index_summary` go.
            grad_cache_chunk: int of at least 1: how many rows of a batch the network
                computes at a time in training. The loss sees the whole batch, and the
                gradient is that of the whole batch; memory is that of one chunk, and
                the network runs forwards twice. `BatchNormalization` and the like
                see one chunk. Defaults to None: all at once.

        Raises:
            ValueError: if the output to be indexed is not of shape (batch, dim), for
                unknown names, for `distance="auto"` with a loss that has
                no distance, for another distance than the loss has, and for another
                distance than the items already in the index were added by.
        """
        names = output_names(self)
        if embedding_output is None and len(names) > 1:
            embedding_output = first_compared(loss, names)
            logger.info("`embedding_output` was not given: %r", names[embedding_output])
        number = output_number(self, embedding_output)
        check_embedding(self, number, names)
        settings = IndexSettings(
            distance=declared_distance(distance, loss, number, names),
            search=search,
            kv_store=kv_store,
            evaluator=evaluator,
            embedding_output=embedding_output,
            stat_buffer_size=stat_buffer_size,
        ).checked()
        self._refuse_another_index(settings)
        if grad_cache_chunk is not None:
            check_chunk(self, grad_cache_chunk)
        if kwargs.get("jit_compile") is True:
            check_compilable(self)
        super().compile(optimizer, loss, *args, **kwargs)  # type: ignore[misc]
        trained = attach(self, loss)
        self._similarity.grad_cache = None
        if grad_cache_chunk is not None:
            self._similarity.grad_cache = GradCache(grad_cache_chunk)
        self._similarity.notes = NoteCheck(trained)
        self._similarity.use(settings)

    def get_compile_config(self) -> dict[str, Any]:
        """Keras' configuration with the settings of the index."""
        # Loading builds the optimizer, and warns if it was saved with fewer variables.
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None and self.built and not optimizer.built:  # type: ignore[attr-defined]
            optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]
        config: dict[str, Any] = super().get_compile_config()  # type: ignore[misc]
        if config:
            config = {**config, "optimizer": portable(config["optimizer"])}
        if config and self._similarity.settings is not None:
            config = {**config, "similarity": self._similarity.settings.get_config()}
            if self._similarity.grad_cache is not None:
                config["grad_cache_chunk"] = self._similarity.grad_cache.chunk
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` says; the optimizer's slots included."""
        settings = IndexSettings.from_config(config["similarity"])
        config = {key: value for key, value in config.items() if key != "similarity"}
        self.compile(**keras.saving.deserialize_keras_object(config), **vars(settings))
        if self.optimizer is not None and self.built:  # type: ignore[attr-defined]
            self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    # Training: what changes weights makes the index's embeddings old.

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`; a sampler goes on where the optimizer left off.

        `steps_per_epoch`, if given, becomes the length of the sampler's pass. On
        TensorFlow a sampler is read through `tf.data`, which costs half as much as
        Keras' way with a `PyDataset`. A sampler given as `validation_data` gives the
        same batches in every epoch.

        Raises:
            ValueError: at the end of an epoch with labels that a loss with classes does
                not know.
        """
        self._similarity.weights_version += 1
        if self._similarity.grad_cache is not None:
            size = args[1] if len(args) > 1 else kwargs.get("batch_size")
            self._similarity.grad_cache.check_batch(x, size, n_replicas(self))
        check_even(x, args[1] if len(args) > 1 else kwargs.get("batch_size"))
        added: list[Any] = []
        if self._similarity.notes.losses:
            added.append(self._similarity.notes)
        if hasattr(x, "resume") and getattr(self, "optimizer", None) is not None:
            resume = SamplerResume(x, kwargs.get("steps_per_epoch"))
            x.resume(steps_taken(self), resume.steps_per_epoch)
            added.append(resume)
            if len(args) < 7:  # y, batch_size, epochs, verbose, callbacks, split, data
                # Its batches are random already, in an order that can be resumed.
                kwargs = {"shuffle": False, **kwargs}
        if hasattr(x, "feed") and n_replicas(self) == 1 and not args:
            feed = x.feed()
            if feed is not x:
                # One iteration is one pass; repeated, Keras makes one iterator in all.
                # It would fill the last of several steps per execution from the next.
                steps: int | None = x.steps_per_epoch
                if steps % self.steps_per_execution:  # type: ignore[attr-defined]
                    steps = None
                x = feed if steps is None else feed.repeat()
                kwargs = {**kwargs, "steps_per_epoch": steps, "shuffle": False}
        if hasattr(x, "element_spec") and len(args) < 7:
            # Keras never shuffles a `tf.data.Dataset`, and warns unless told not to.
            kwargs = {"shuffle": False, **kwargs}
        for one in added:
            if len(args) > 4:  # y, batch_size, epochs, verbose, callbacks
                args = (*args[:4], one.among(args[4]), *args[5:])
            else:
                kwargs = {**kwargs, "callbacks": one.among(kwargs.get("callbacks"))}
        with _fixed(kwargs.get("validation_data")):
            return super().fit(x, *args, **kwargs)  # type: ignore[misc]

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The model's answer; in training by chunks, if it was compiled so."""
        forward = super().__call__  # type: ignore[misc]
        grad_cache = self._similarity.grad_cache
        if grad_cache is None or args or kwargs.get("training") is not True:
            return forward(inputs, *args, **kwargs)
        return grad_cache(self, forward, inputs, kwargs)

    def stateless_call(
        self,
        trainable_variables: Any,
        non_trainable_variables: Any,
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.stateless_call`; in training by chunks, if compiled so."""
        if self._similarity.grad_cache is None or kwargs.get("training") is not True:
            return super().stateless_call(  # type: ignore[misc]
                trainable_variables,
                non_trainable_variables,
                *args,
                return_losses=return_losses,
                **kwargs,
            )
        # Keras' own goes to `call` and past `__call__`.
        variables = [*self.trainable_variables, *self.non_trainable_variables]  # type: ignore[attr-defined]
        mapping = [*trainable_variables, *non_trainable_variables]
        with keras.StatelessScope(
            state_mapping=list(zip(variables, mapping, strict=True)),
            collect_losses=return_losses,
        ) as scope:
            outputs = self(*args, **kwargs)
            losses = [self.losses] if return_losses else []  # type: ignore[attr-defined]
        moved = [scope.get_current_value(v) for v in self.non_trainable_variables]  # type: ignore[attr-defined]
        return outputs, moved, *losses

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """`keras.Model.compute_loss`; its losses know whether they train."""
        with phase(bool(training)):
            return super().compute_loss(  # type: ignore[misc]
                x=x,
                y=y,
                y_pred=y_pred,
                sample_weight=sample_weight,
                training=training,
            )

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch`."""
        if self._similarity.grad_cache is not None:
            rows = len(keras.tree.flatten(args[0] if args else kwargs["x"])[0])
            self._similarity.grad_cache.check_rows(rows, n_replicas(self))
        self._similarity.weights_version += 1
        result = super().train_on_batch(*args, **kwargs)  # type: ignore[misc]
        self._similarity.notes.check()
        return result

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`."""
        x = args[0] if args else kwargs.get("x")
        check_even(x, args[2] if len(args) > 2 else kwargs.get("batch_size"))
        result = super().evaluate(*args, **kwargs)  # type: ignore[misc]
        self._similarity.notes.check()
        return result

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.test_on_batch`."""
        result = super().test_on_batch(*args, **kwargs)  # type: ignore[misc]
        self._similarity.notes.check()
        return result

    def set_weights(self, weights: Any) -> None:
        """`keras.Model.set_weights`."""
        self._similarity.weights_version += 1
        super().set_weights(weights)  # type: ignore[misc]

    def load_weights(self, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.load_weights`."""
        self._similarity.weights_version += 1
        super().load_weights(*args, **kwargs)  # type: ignore[misc]

    def _refuse_another_index(self, settings: IndexSettings) -> None:
        """Raises if the items in the index do not fit these settings."""
        indexer = self._similarity.indexer
        if indexer is None or not indexer.size():
            self._similarity.indexer = None
            return
        there = (indexer.distance, output_number(self, indexer.embedding_output))
        asked = (settings.distance, output_number(self, settings.embedding_output))
        if there != asked:
            raise ValueError(
                f"The index holds {indexer.size()} items by the distance "
                f"{there[0].name!r} from output {there[1]}, and cannot go on with "
                f"{asked[0].name!r} from output {asked[1]}. Call "
                "`model.reset_index()` first."
            )


@contextmanager
def _fixed(validation_data: Any) -> Iterator[None]:
    """A sampler for validation gives the same batches in every epoch meanwhile."""
    if not hasattr(validation_data, "fixed"):
        yield
        return
    before, validation_data.fixed = validation_data.fixed, True
    try:
        yield
    finally:
        validation_data.fixed = before
