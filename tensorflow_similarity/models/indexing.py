"""A model with an index: adding, finding, removing."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import doors
from tensorflow_similarity._core.embedding import (
    BATCH_SIZE,
    embed,
    embed_batch,
    embed_in_lots,
    is_stream,
    output_names,
    output_number,
)
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.models.fingerprint import fingerprint, steps_taken
from tensorflow_similarity.models.index_settings import (
    IndexSettings,
    declared_distance,
)
from tensorflow_similarity.models.similarity_state import SimilarityState
from tensorflow_similarity.search import Search
from tensorflow_similarity.stores import Store
from tensorflow_similarity.types import Lookup, Lookups

logger = logging.getLogger(__name__)


class IndexingMixin:
    """Embeds, asks the index and returns, for `SimilarityMixin`."""

    _similarity: SimilarityState

    @property
    def indexer(self) -> Indexer | None:
        """The index, None before the first item."""
        return self._similarity.indexer

    @property
    def _index(self) -> Indexer | None:
        """What existing programs reach for."""
        return self._similarity.indexer

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
        loss = getattr(self, "loss", None) if getattr(self, "compiled", False) else None
        number = output_number(self, embedding_output)
        names = output_names(self)
        if loss is not None:
            declared_distance(distance, loss, number, names)
        settings = IndexSettings(
            distance=distances.get(distance),
            search=search,
            kv_store=kv_store,
            evaluator=evaluator,
            embedding_output=embedding_output,
            stat_buffer_size=stat_buffer_size,
        ).checked()
        self._similarity.indexer = None
        self._similarity.use(settings)

    def index(
        self,
        x: Any,
        y: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
        batch_size: int = BATCH_SIZE,
        ids: Any = None,
        metadata: Any = None,
    ) -> np.ndarray:
        """Embeds examples and adds them to the index; they are found from then on.

        Batches of a stream are embedded and added as they come: of the examples, no
        more than some lots are in memory.

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
            ids: your own ids, n distinct integers or strings; an item that is there
                with one of them is replaced. Defaults to None: the index numbers its
                items. All items of an index have own ids or none has.
            metadata: plain values to filter by: a dict of columns of n values, a list
                of n dicts, or a data frame.

        Returns:
            The items' ids, shape (n,): yours, or int64 numbers never used twice.

        Raises:
            ValueError, TypeError: for wrong input; nothing is added then.
        """
        embedder = self._embedder(queries=False)
        if is_stream(x) and all(part is None for part in (y, data, ids, metadata)):
            lots = embed_in_lots(embedder, x, self._output, batch_size, verbose)
            return self._index_lots(lots, build)
        embeddings, labels = embed(embedder, x, self._output, batch_size, verbose)
        indexer = self._index_to_fill(embeddings)
        labels = labels if y is None else y
        return indexer.batch_add(
            embeddings, labels, data, build, verbose, ids, metadata
        )

    def index_single(
        self,
        x: Any,
        y: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
        id: int | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int | str:
        """Embeds one example, without the batch axis, and adds it to the index.

        Args:
            x: the example.
            y: its label.
            data: what to get back with it.
            id: your own id for it.
            metadata: dict of plain values to filter by.

        Returns:
            Its id.
        """
        added = self.index(
            _one(x),
            None if y is None else doors.as_array(y).reshape(-1),
            None if data is None else [data],
            build,
            verbose,
            ids=None if id is None else [id],
            metadata=None if metadata is None else [metadata],
        )
        its_id: int | str = added.tolist()[0]
        return its_id

    def lookup(
        self,
        x: Any = None,
        k: int = 5,
        verbose: int = 1,
        batch_size: int = BATCH_SIZE,
        *,
        id: Any = None,
        where: Mapping[str, Any] | None = None,
        exact: bool | None = None,
        max_distance: float | None = None,
        group_by: str | None = None,
    ) -> Lookups:
        """The nearest neighbours of each example, nearest first.

        Args:
            x: examples, as `index` takes them.
            k: neighbours of each; more than there are items gives a short answer.
            verbose: 1 shows progress after two seconds, 0 never.
            batch_size: examples embedded at a time.
            id: in place of `x`: ids of items of the index, whose neighbours are asked
                for; the items themselves are left out.
            where: conditions on metadata, labels and ids that neighbours must meet:
                `{"colour": "red", "price": {"<": 20}}`.
            exact: True compares with every item. With `where`, False lets an
                approximate structure answer. Defaults to None: exact with `where`, as
                the search does it without.
            max_distance: neighbours beyond are left out.
            group_by: "label" or a metadata column: of each group only the nearest.

        Returns:
            `Lookups`: reads like a list of lists of `Lookup`, one list an example.

        Raises:
            RuntimeError: if the index is empty.
            KeyError: for an id that is not there.
            ValueError: for wrong input, k below 1, or an unknown column.
        """
        if (x is None) == (id is None):
            raise ValueError(
                "`lookup` needs either `x`, examples, or `id`, items of the index."
            )
        indexer = self._similarity.filled_index()
        self._warn_if_old(indexer)
        asked = (doors.as_k(k), where, exact, max_distance, group_by)
        if id is not None:
            return indexer.lookup_ids(id, *asked)
        embedder = self._embedder(queries=True)
        embeddings, _ = embed(embedder, x, self._output, batch_size, verbose)
        return indexer.batch_lookup(embeddings, asked[0], verbose, *asked[1:])

    def single_lookup(
        self,
        x: Any,
        k: int = 5,
        *,
        where: Mapping[str, Any] | None = None,
        exact: bool | None = None,
        max_distance: float | None = None,
        group_by: str | None = None,
    ) -> list[Lookup]:
        """The nearest neighbours of one example without the batch axis.

        Args: as those of `lookup`.

        Raises:
            RuntimeError: if the index is empty.
            ValueError: for wrong input, k below 1, or an unknown column.
        """
        indexer = self._similarity.filled_index()
        self._warn_if_old(indexer)
        embedder = self._embedder(queries=True)
        query = embed_batch(embedder, _one(x), self._output)
        return indexer.single_lookup(query, k, where, exact, max_distance, group_by)

    def remove(self, ids: Any) -> int:
        """Removes items by the ids that `index` returned or lookups hold.

        Returns:
            How many of them were there.
        """
        return self._similarity.existing_index().remove(ids)

    def relabel(self, ids: Any, y: Any) -> None:
        """Gives items of the index other labels; nothing else about them changes.

        Raises:
            KeyError: for an id that is not there.
        """
        self._similarity.existing_index().relabel(ids, y)

    def vacuum(self) -> int:
        """Erases removed items for good; returns how many."""
        return self._similarity.existing_index().vacuum()

    def reindex(self, x: Any = None, verbose: int = 1) -> None:
        """Embeds all items again, with the weights as they are now; ids stay.

        Args:
            x: the items' examples, in the order they were added. Defaults to None: the
                user data, where the examples were given as `data`.
            verbose: 1 shows progress after two seconds, 0 never.

        Raises:
            ValueError: if there is no user data, or another number of examples.
        """
        indexer = self._similarity.filled_index()
        embedder = self._embedder(queries=False)
        if x is None:
            _, _, x = indexer.items()
            several = len(getattr(embedder, "inputs", None) or [None]) > 1
            if several or any(item is None for item in x):
                raise ValueError(
                    "`reindex()` embeds the items' user data again, and some have "
                    "none, or the model has several inputs. Give the examples: "
                    "`model.reindex(x)`."
                )
        embeddings, _ = embed(embedder, x, self._output, verbose=verbose)
        indexer.replace_embeddings(embeddings)
        indexer.fingerprint = None
        self._note_weights(indexer)

    def index_summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints what the index is, how it searches, and how fast it answered."""
        self._similarity.existing_index().print_stats(print_fn)

    def reset_index(self) -> None:
        """Removes all items from the index. Lookups made before keep theirs."""
        state = self._similarity
        if state.indexer is not None:
            state.indexer.reset()
        if state.settings is not None:
            state.indexer = None

    def index_size(self) -> int:
        """Number of items in the index; 0 without one."""
        return self._similarity.index_size()

    def to_data_frame(self, num_items: int = 0) -> Any:
        """A pandas data frame of the items: embeddings, labels, data, by id.

        Args:
            num_items: only the first so many. Defaults to 0: all.
        """
        return self._similarity.existing_index().to_data_frame(num_items)

    def _embedder(self, queries: bool) -> Any:
        """The model that embeds queries, or the items that are indexed: this one."""
        return self

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
            state.take(settings.make_index(embedding_size))
        return state.existing_index()

    def _version(self) -> tuple[int, int]:
        """Changes whenever the weights may have; cheap enough for each lookup."""
        return self._similarity.weights_version, steps_taken(self)

    def _fingerprint(self) -> str:
        """Of the weights that embed what is indexed."""
        return fingerprint(self._embedder(queries=False))

    def _index_to_fill(self, embeddings: np.ndarray) -> Indexer:
        """The index for such embeddings; it remembers which weights made them."""
        rows = doors.as_embeddings(embeddings, None, "the model's output")
        indexer = self._index_for(rows.shape[1])
        self._note_weights(indexer)
        return indexer

    def _index_lots(
        self, lots: Iterator[tuple[np.ndarray, Any]], build: bool
    ) -> np.ndarray:
        """Adds lots of embeddings with their labels, all or none; their ids."""
        added: list[np.ndarray] = []
        indexer = None
        try:
            for embeddings, labels in lots:
                indexer = self._index_to_fill(embeddings)
                added.append(indexer.batch_add(embeddings, labels, build=build))
        except BaseException:
            if indexer is not None and added:
                indexer.remove(np.concatenate(added))
            raise
        if not added:
            raise ValueError("`x` is empty: there is nothing to embed.")
        return np.concatenate(added)

    def _note_weights(self, indexer: Indexer) -> None:
        """Remembers which weights embedded the index; warns if there were others."""
        if not indexer.size() or indexer.fingerprint is None:
            indexer.fingerprint = self._fingerprint()
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
        if indexer.fingerprint is None or indexer.fingerprint == self._fingerprint():
            self._similarity.warned = False
            return
        if self._similarity.warned:
            return
        self._similarity.warned = True
        logger.warning(
            "The weights of the model are not those that the index was made with, so "
            "distances between old and new embeddings mean little. Call "
            "`model.reindex()` to embed the items again, or `model.reset_index()` and "
            "`model.index(x, y)`.%s",
            " Its calibration is as old: call `model.calibrate(x, y)` after that."
            if indexer.calibration is not None
            else "",
        )


def _one(x: Any) -> Any:
    """One example with the batch axis that it lacks."""
    if isinstance(x, dict | list | tuple):
        return keras.tree.map_structure(lambda part: doors.as_array(part)[None], x)
    return doors.as_array(x)[None]
