"""What a Keras model gains: an index of its embeddings."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import doors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.losses.label_note import LabelNote
from tensorflow_similarity.models import saving
from tensorflow_similarity.models.embedding import (
    BATCH_SIZE,
    embed,
    embed_batch,
    n_replicas,
    output_names,
    output_number,
)
from tensorflow_similarity.models.fingerprint import fingerprint
from tensorflow_similarity.models.index_settings import (
    IndexSettings,
    declared_distance,
)
from tensorflow_similarity.models.loss_layers import LabelCheck, attach
from tensorflow_similarity.search import Search
from tensorflow_similarity.stores import Store
from tensorflow_similarity.types import Lookup, Lookups

logger = logging.getLogger(__name__)


@dataclass
class _Similarity:
    """All that the mixin remembers, in one object that Keras does not look into."""

    settings: IndexSettings | None = None
    indexer: Indexer | None = None
    plan: saving.AssetsPlan = field(default_factory=saving.AssetsPlan)
    labels: LabelCheck = field(default_factory=lambda: LabelCheck([]))
    # Rises whenever the weights may have changed; compared before fingerprints are.
    weights_version: int = 0
    checked_version: Any = None
    # Whether it was said that the weights are not those of the index.
    warned: bool = False


class SimilarityMixin:
    """Index, lookup, and saving with the index, for any Keras model.

    `SimilarityModel` has it for functional models. For a model with a `call` of its
    own, put it first: `class Mine(SimilarityMixin, keras.Model)`.

    Every method embeds, asks the index, and returns.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._similarity = _Similarity()

    # Compiling.

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
                by number or name. Defaults to None: the first.
            stat_buffer_size: over how many lookups the timings of `index_summary` go.

        Raises:
            ValueError: for unknown names, for `distance="auto"` with a loss that has
                no distance, for another distance than the loss has, and for another
                distance than the items already in the index were added by.
        """
        number = output_number(self, embedding_output)
        names = output_names(self)
        settings = IndexSettings(
            distance=declared_distance(distance, loss, number, names),
            search=search,
            kv_store=kv_store,
            evaluator=evaluator,
            embedding_output=embedding_output,
            stat_buffer_size=stat_buffer_size,
        ).checked()
        if len(names) > 1 and embedding_output is None:
            logger.info("`embedding_output` was not given: %r is indexed.", names[0])
        self._refuse_another_index(settings)
        super().compile(optimizer, loss, *args, **kwargs)  # type: ignore[misc]
        trained = attach(self, loss)
        self._similarity.labels = LabelCheck(
            [part for part in trained if isinstance(part, LabelNote)]
        )
        self._similarity.settings = settings

    def get_compile_config(self) -> dict[str, Any]:
        """Keras' configuration with the settings of the index."""
        # Loading builds the optimizer, and warns if it was saved with fewer variables.
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None and self.built and not optimizer.built:  # type: ignore[attr-defined]
            optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]
        config: dict[str, Any] = super().get_compile_config()  # type: ignore[misc]
        if config and self._similarity.settings is not None:
            config = {**config, "similarity": self._similarity.settings.get_config()}
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
        optimizer = getattr(self, "optimizer", None)
        if hasattr(x, "resume") and optimizer is not None:
            x.resume(int(optimizer.iterations), kwargs.get("steps_per_epoch"))
        if hasattr(x, "feed") and n_replicas(self) == 1 and not args:
            feed = x.feed()
            if feed is not x:
                # One iteration is one pass; repeated, Keras makes one iterator in all.
                steps = {"steps_per_epoch": x.steps_per_epoch, "shuffle": False}
                x, kwargs = feed.repeat(), {**kwargs, **steps}
        check = self._similarity.labels
        if len(args) > 4:  # y, batch_size, epochs, verbose, callbacks
            args = (*args[:4], check.among(args[4]), *args[5:])
        else:
            kwargs = {**kwargs, "callbacks": check.among(kwargs.get("callbacks"))}
        with _fixed(kwargs.get("validation_data")):
            return super().fit(x, *args, **kwargs)  # type: ignore[misc]

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch`."""
        self._similarity.weights_version += 1
        result = super().train_on_batch(*args, **kwargs)  # type: ignore[misc]
        self._similarity.labels.check()
        return result

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`."""
        result = super().evaluate(*args, **kwargs)  # type: ignore[misc]
        self._similarity.labels.check()
        return result

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.test_on_batch`."""
        result = super().test_on_batch(*args, **kwargs)  # type: ignore[misc]
        self._similarity.labels.check()
        return result

    def set_weights(self, weights: Any) -> None:
        """`keras.Model.set_weights`."""
        self._similarity.weights_version += 1
        super().set_weights(weights)  # type: ignore[misc]

    def load_weights(self, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.load_weights`."""
        self._similarity.weights_version += 1
        super().load_weights(*args, **kwargs)  # type: ignore[misc]

    # The index.

    def create_index(
        self,
        distance: str | Distance = "cosine",
        search: str | Search = "nmslib",
        kv_store: str | Store = "memory",
        evaluator: str = "memory",
        embedding_output: int | str | None = None,
        stat_buffer_size: int = 1000,
    ) -> None:
        """Makes a new index in place of the present one; needs no `compile`.

        It is empty, unless `kv_store` is a store that holds items already.

        Args: as those of `compile`.

        Raises:
            ValueError: for unknown names, and for another distance than the model was
                compiled for.
        """
        output_number(self, embedding_output)
        loss = getattr(self, "loss", None) if getattr(self, "compiled", False) else None
        number = output_number(self, embedding_output)
        names = output_names(self)
        if loss is not None:
            declared_distance(distance, loss, number, names)
        self._similarity.settings = IndexSettings(
            distance=distances.get(distance),
            search=search,
            kv_store=kv_store,
            evaluator=evaluator,
            embedding_output=embedding_output,
            stat_buffer_size=stat_buffer_size,
        ).checked()
        self._similarity.indexer = None

    def index(
        self,
        x: Any,
        y: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        """Embeds examples and adds them to the index; they are found from then on.

        Args:
            x: examples, an array (n, ...), or for a model of several inputs a list or
                dict of arrays; a `tf.data.Dataset`, a `PyDataset` or a generator of
                batches `x` or `(x, y)`.
            y: labels, n integers of 64 bits or strings. Defaults to None: those that
                come with `x`, or none.
            data: n items to get back with each neighbour: pictures, texts, dicts.
            build: whether the search may build its structure now. With False new items
                are compared one by one until a later call builds it.
            verbose: 1 shows progress after two seconds, 0 never.
            batch_size: examples embedded at a time.

        Returns:
            The items' ids, int64, shape (n,), for `remove`.

        Raises:
            ValueError, TypeError: for wrong input; nothing is added then.
        """
        embeddings, labels = embed(self, x, self._output, batch_size, verbose)
        embeddings = doors.as_embeddings(embeddings, None, "the model's output")
        indexer = self._index_for(embeddings.shape[1])
        self._note_weights(indexer)
        labels = labels if y is None else y
        return indexer.batch_add(embeddings, labels, data, build, verbose)

    def index_single(
        self,
        x: Any,
        y: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
    ) -> int:
        """Embeds one example, without the batch axis, and adds it to the index.

        Args:
            x: the example.
            y: its label.
            data: what to get back with it.

        Returns:
            Its id.
        """
        labels = None if y is None else doors.as_array(y).reshape(-1)
        items = None if data is None else [data]
        return int(self.index(_one(x), labels, items, build, verbose)[0])

    def lookup(
        self, x: Any, k: int = 5, verbose: int = 1, batch_size: int = BATCH_SIZE
    ) -> Lookups:
        """The nearest neighbours of each example, nearest first.

        Args:
            x: examples, as `index` takes them.
            k: neighbours of each; more than there are items gives a short answer.
            verbose: 1 shows progress after two seconds, 0 never.
            batch_size: examples embedded at a time.

        Returns:
            `Lookups`: reads like a list of lists of `Lookup`, one list an example.

        Raises:
            RuntimeError: if the index is empty.
            ValueError: for wrong input, or k below 1.
        """
        indexer = self._filled_index()
        self._warn_if_old(indexer)
        doors.as_k(k)
        embeddings, _ = embed(self, x, self._output, batch_size, verbose)
        return indexer.batch_lookup(embeddings, k, verbose)

    def single_lookup(self, x: Any, k: int = 5) -> list[Lookup]:
        """The nearest neighbours of one example without the batch axis.

        Args:
            x: the example.
            k: neighbours; more than there are items gives a short answer.

        Raises:
            RuntimeError: if the index is empty.
            ValueError: for wrong input, or k below 1.
        """
        indexer = self._filled_index()
        self._warn_if_old(indexer)
        return indexer.single_lookup(embed_batch(self, _one(x), self._output), k)

    def remove(self, ids: Any) -> int:
        """Removes items by the ids that `index` returned or lookups hold.

        Returns:
            How many of them were there.
        """
        return self._existing_index().remove(ids)

    def reindex(self, x: Any = None, verbose: int = 1) -> None:
        """Embeds all items again, with the weights as they are now; ids stay.

        Args:
            x: the items' examples, in the order they were added. Defaults to None: the
                user data, where the examples were given as `data`.
            verbose: 1 shows progress after two seconds, 0 never.

        Raises:
            ValueError: if there is no user data, or another number of examples.
        """
        indexer = self._filled_index()
        if x is None:
            _, _, x = indexer.items()
            several = len(getattr(self, "inputs", None) or [None]) > 1
            if several or any(item is None for item in x):
                raise ValueError(
                    "`reindex()` embeds the items' user data again, and some have "
                    "none, or the model has several inputs. Give the examples: "
                    "`model.reindex(x)`."
                )
        embeddings, _ = embed(self, x, self._output, verbose=verbose)
        indexer.replace_embeddings(embeddings)
        indexer.fingerprint = None
        self._note_weights(indexer)

    def index_summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints what the index is, how it searches, and how fast it answered."""
        self._existing_index().print_stats(print_fn)

    def reset_index(self) -> None:
        """Removes all items from the index. Lookups made before keep theirs."""
        state = self._similarity
        if state.indexer is not None:
            state.indexer.reset()
        if state.settings is not None:
            state.indexer = None

    def index_size(self) -> int:
        """Number of items in the index; 0 without one."""
        indexer = self._similarity.indexer
        return 0 if indexer is None else indexer.size()

    def to_data_frame(self, num_items: int = 0) -> Any:
        """A pandas data frame of the items: embeddings, labels, data, by id.

        Args:
            num_items: only the first so many. Defaults to 0: all.
        """
        return self._existing_index().to_data_frame(num_items)

    @property
    def indexer(self) -> Indexer | None:
        """The index, None before the first item."""
        return self._similarity.indexer

    @property
    def _index(self) -> Indexer | None:
        """What existing programs reach for."""
        return self._similarity.indexer

    # Files.

    def save_index(
        self, filepath: str | Path, compression: bool = True, overwrite: bool = True
    ) -> None:
        """Writes the index to the folder `<filepath>/index`, whole or not at all.

        Args:
            compression: whether labels and user data are deflated.
            overwrite: whether an index there may be replaced.

        Raises:
            RuntimeError: if the model has no index.
            FileExistsError: if something else stands there.
        """
        self._existing_index().save(Path(filepath) / "index", compression, overwrite)

    def load_index(self, filepath: str | Path) -> None:
        """Reads the index that `save_index` or `save` wrote, in place of the present.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is damaged, newer, or measures by another distance than
                the model was compiled for.
        """
        indexer = Indexer.load(saving.find_index(filepath))
        settings = self._similarity.settings
        if settings is not None and settings.distance != indexer.distance:
            raise ValueError(
                f"The index in {str(filepath)!r} measures by "
                f"{indexer.distance.name!r}, the model was compiled for "
                f"{settings.distance.name!r}. Compile it with that distance, or index "
                "again."
            )
        self._similarity.indexer = indexer
        self._similarity.checked_version = None
        self._similarity.warned = False

    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        save_index: bool = True,
        compression: bool = True,
        include_optimizer: bool = True,
        save_format: str | None = None,
        signatures: Any = None,
        options: Any = None,
        save_traces: bool = True,
    ) -> None:
        """Saves the model with its index, whole or not at all.

        `keras.models.load_model` reads both forms, compiled and with the index, once
        tensorflow_similarity is imported.

        Args:
            filepath: a name in ".keras" for one file, without suffix for a folder.
            overwrite: whether what we saved there before may be replaced.
            zipped: says the form in place of the name. Defaults to None.
            save_index: whether the index goes with the model.
            compression: whether labels and user data of the index are deflated.
            include_optimizer, save_format, signatures, options, save_traces: accepted
                as existing programs pass them, not used.

        Raises:
            ValueError: for a name in ".h5" or of another suffix.
            FileExistsError: with `overwrite=False`, or if a folder there is not ours.
        """
        state = self._similarity
        before = (state.plan.include, state.plan.compression)
        state.plan.include, state.plan.compression = save_index, compression
        try:
            saving.save_model(
                self, state.indexer, state.plan, filepath, overwrite, zipped
            )
        finally:
            state.plan.include, state.plan.compression = before

    def save_assets(self, dir: str) -> None:
        """Keras' hook: the index goes into the model's archive."""
        saving.write_assets(self._similarity.indexer, self._similarity.plan, dir)

    def load_assets(self, dir: str) -> None:
        """Keras' hook: the index comes out of the model's archive."""
        self._similarity.indexer = saving.read_assets(dir)

    # How the methods above find their way.

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

    @property
    def _output(self) -> int | str | None:
        """The output that is indexed."""
        state = self._similarity
        source = state.settings if state.indexer is None else state.indexer
        return None if source is None else source.embedding_output

    def _index_for(self, embedding_size: int) -> Indexer:
        """The index, made now if there is none."""
        state = self._similarity
        if state.indexer is None:
            settings = state.settings or IndexSettings(distances.get("cosine"))
            state.indexer = settings.make_index(embedding_size)
        return state.indexer

    def _existing_index(self) -> Indexer:
        if self._similarity.indexer is None:
            raise RuntimeError(
                "The model has no index. Call `model.index(x, y)` first, or "
                "`model.load_index(path)`."
            )
        return self._similarity.indexer

    def _filled_index(self) -> Indexer:
        if not self.index_size():
            raise RuntimeError(
                "The model has no index, or an empty one. Call `model.index(x, y)` "
                "before `model.lookup(x)`."
            )
        return self._existing_index()

    def _version(self) -> tuple[int, int]:
        """Changes whenever the weights may have; cheap enough for each lookup."""
        optimizer = getattr(self, "optimizer", None)
        steps = 0 if optimizer is None else int(optimizer.iterations)
        return self._similarity.weights_version, steps

    def _note_weights(self, indexer: Indexer) -> None:
        """Remembers which weights embedded the index; warns if there were others."""
        if not indexer.size() or indexer.fingerprint is None:
            indexer.fingerprint = fingerprint(self)
            self._similarity.checked_version = self._version()
            self._similarity.warned = False
        else:
            self._warn_if_old(indexer)

    def _warn_if_old(self, indexer: Indexer) -> None:
        """Warns once if the weights are not those that embedded the index."""
        version = self._version()
        if self._similarity.checked_version == version:
            return
        self._similarity.checked_version = version
        if indexer.fingerprint is None or indexer.fingerprint == fingerprint(self):
            self._similarity.warned = False
            return
        if self._similarity.warned:
            return
        self._similarity.warned = True
        logger.warning(
            "The weights of the model are not those that the index was made with, so "
            "distances between old and new embeddings mean little. Call "
            "`model.reindex()` to embed the items again, or `model.reset_index()` and "
            "`model.index(x, y)`."
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


def _one(x: Any) -> Any:
    """One example with the batch axis that it lacks."""
    if isinstance(x, dict | list | tuple):
        return keras.tree.map_structure(lambda part: doors.as_array(part)[None], x)
    return doors.as_array(x)[None]
