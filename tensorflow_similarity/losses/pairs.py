"""What a loss sees of a batch: which rows belong together, and how far apart."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from tensorflow_similarity._core import replicas
from tensorflow_similarity._core.concrete import concrete
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.types import BoolTensor, FloatTensor, IntTensor, Tensor

Targets = Literal["labels", "labels_ids", "multi_hot", "relation"]
TARGETS: tuple[str, ...] = get_args(Targets)

UNKNOWN_LABEL = -1
"""The label of a row that forms no pair."""

_SHAPES = {
    "labels": "(batch,) or (batch, 1)",
    "labels_ids": "(batch, 2), a class id and an item id a row",
    "multi_hot": "(batch, n_classes)",
    "relation": "(batch, batch)",
}


@dataclass(frozen=True, eq=False)
class Keys:
    """Rows that queries are compared with, where they are not the queries.

    Args:
        targets: of the kind that the loss takes; None for a relation, whose columns
            are the keys.
        embeddings: float, shape (n_keys, dim).
        start_with_queries: whether the first are the queries, row for row.
    """

    targets: Tensor | None
    embeddings: FloatTensor
    start_with_queries: bool = False

    def gathered(self) -> "Keys":
        """Those of all replicas, on each replica."""
        (embeddings,) = replicas.gather(self.embeddings)
        targets = self.targets
        if targets is not None:
            (targets,) = replicas.gather(targets)
        return replace(self, targets=targets, embeddings=embeddings)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Queries, keys and how they relate. Made by `make_pairs`.

    Within a batch the keys are the queries; a memory or another view gives keys of its
    own. Every mask is bool, shape (n_queries, n_keys); no pair is both positive and
    negative, and one that is neither (a row and itself, an unknown label) is not used.

    Args:
        query_embeddings: float, shape (n_queries, dim). Also called anchors.
        key_embeddings: float, shape (n_keys, dim).
        query_labels: int, shape (n_queries,); multi-hot (n_queries, n_classes) for
            targets of that kind; None for a relation.
        key_labels: the same of the keys.
        self_mask: where query and key are the same item.
        positives: where query and key belong together.
        negatives: where they do not.
        distance: gives `distances`.
        relation: float, shape (n_queries, n_keys), as it was given; None for targets of
            another kind.
        keys_start_with_queries: whether key i is query i, for every query.
    """

    query_embeddings: FloatTensor
    key_embeddings: FloatTensor
    query_labels: IntTensor | None
    key_labels: IntTensor | None
    self_mask: BoolTensor
    positives: BoolTensor
    negatives: BoolTensor
    distance: Distance
    relation: FloatTensor | None = None
    keys_start_with_queries: bool = False

    @cached_property
    def distances(self) -> FloatTensor:
        """From each query to each key, shape (n_queries, n_keys)."""
        return self.distance(self.query_embeddings, self.key_embeddings)

    def distances_from(self, numbers: IntTensor) -> FloatTensor:
        """From the keys of these numbers, shape (n,), to each key: (n, n_keys)."""
        if self.key_embeddings is self.query_embeddings:
            return ops.take(self.distances, numbers, axis=0)
        some = ops.take(self.key_embeddings, numbers, axis=0)
        return self.distance(some, self.key_embeddings)

    def kept(self, positives: BoolTensor, negatives: BoolTensor) -> "Pairs":
        """The same with fewer pairs; distances that were computed stay."""
        pairs = replace(self, positives=positives, negatives=negatives)
        if "distances" in vars(self):
            vars(pairs)["distances"] = self.distances
        return pairs


def make_pairs(
    targets: Any,
    embeddings: FloatTensor,
    *,
    distance: Distance,
    kind: Targets = "labels",
    key_targets: Any = None,
    key_embeddings: FloatTensor | None = None,
    keys_start_with_queries: bool = False,
) -> Pairs:
    """The pairs of a batch with itself, or of a batch of queries with separate keys.

    | kind | targets | positive | negative | neither |
    | --- | --- | --- | --- | --- |
    | "labels" | class ids, (n,) or (n, 1) | same | other | label -1 |
    | "labels_ids" | [class id, item id], (n, 2) | same | other | label -1; same item |
    | "multi_hot" | 0 or 1, (n, n_classes) | share one | share none | row without any |
    | "relation" | relevance, (n_queries, n_keys) | above 0 | 0 | below 0 |

    "labels_ids" is for batches in which one item may occur twice, as a repeat or as the
    older copy in a memory: the two are not a pair. An item id of -1 is unknown and
    equals no other. "relation" need not be symmetric: row i speaks for query i.

    Args:
        targets: as above, for the queries. Integers are never cast to float.
        embeddings: float, shape (n_queries, dim).
        distance: measures the pairs, when a loss asks for it.
        kind: what `targets` are. Defaults to "labels".
        key_targets: as above, for the keys. Defaults to None: the keys are the queries.
            Not with "relation", whose columns are the keys already.
        key_embeddings: float, shape (n_keys, dim). Defaults to None: the queries.
        keys_start_with_queries: whether the first keys are the queries, row for row,
            as where a memory follows the batch: key i is then no pair of query i.
            Defaults to False: no key is a query.

    Raises:
        ValueError: if the shapes of targets and embeddings do not fit together, or only
            one of `key_targets` and `key_embeddings` is given where both are needed.
        TypeError: if the targets are strings.
    """
    targets = to_targets(targets, kind)
    check_targets(targets, embeddings, kind, "y_true", "y_pred")
    within = key_embeddings is None
    keys: Tensor = embeddings if within else key_embeddings
    if (key_targets is not None) != (not within and kind != "relation"):
        raise ValueError(
            "Separate keys need both `key_embeddings` and `key_targets`; a relation "
            "needs `key_embeddings` alone, its columns are the keys. Received: "
            f"kind={kind!r}, `key_embeddings` {'absent' if within else 'given'}, "
            f"`key_targets` {'absent' if key_targets is None else 'given'}."
        )
    if key_targets is None:
        key_targets = targets
    else:
        key_targets = to_targets(key_targets, kind)
        check_targets(key_targets, keys, kind, "key_targets", "key_embeddings")

    n_queries, n_keys = ops.shape(embeddings)[0], ops.shape(keys)[0]
    if within:
        self_mask = ops.eye(n_queries, dtype="bool")
    elif keys_start_with_queries:
        self_mask = _outer_equal(
            ops.arange(n_queries, dtype="int32"), ops.arange(n_keys, dtype="int32")
        )
    else:
        self_mask = ops.zeros((n_queries, n_keys), dtype="bool")

    relation = query_labels = key_labels = None
    if kind == "relation":
        if _differ(targets.shape[1], keys.shape[0]):
            raise ValueError(
                'With targets="relation" the targets must have one column a key. '
                f"Received: targets of shape {tuple(targets.shape)}, keys of shape "
                f"{tuple(keys.shape)}."
            )
        relation = ops.cast(targets, embeddings.dtype)
        same, known = relation > 0, relation >= 0
    elif kind == "multi_hot":
        query_labels, key_labels = targets, key_targets
        has, key_has = targets > 0, key_targets > 0
        shared = ops.matmul(
            ops.cast(has, embeddings.dtype),
            ops.transpose(ops.cast(key_has, embeddings.dtype)),
        )
        same = shared > 0
        known = _outer_and(ops.any(has, axis=1), ops.any(key_has, axis=1))
    else:
        if kind == "labels_ids":
            ids, key_ids = targets[:, 1], key_targets[:, 1]
            same_id = _outer_equal(ids, key_ids)
            known_id = (ids != UNKNOWN_LABEL)[:, None]
            self_mask = ops.logical_or(self_mask, ops.logical_and(same_id, known_id))
            targets, key_targets = targets[:, 0], key_targets[:, 0]
        query_labels = ops.reshape(targets, (-1,))
        key_labels = ops.reshape(key_targets, (-1,))
        same = _outer_equal(query_labels, key_labels)
        known = _outer_and(query_labels != UNKNOWN_LABEL, key_labels != UNKNOWN_LABEL)

    usable = ops.logical_and(known, ops.logical_not(self_mask))
    return Pairs(
        query_embeddings=embeddings,
        key_embeddings=keys,
        query_labels=query_labels,
        key_labels=key_labels,
        self_mask=self_mask,
        positives=ops.logical_and(usable, same),
        negatives=ops.logical_and(usable, ops.logical_not(same)),
        distance=distance,
        relation=relation,
        keys_start_with_queries=within or keys_start_with_queries,
    )


def to_targets(targets: Any, kind: Targets) -> Tensor:
    """Targets as a tensor whose integers are signed, wide enough for -1, never floats.

    Raises:
        TypeError: if they are strings, or class ids that are not integers.
        ValueError: if JAX, without 64-bit integers, would wrap some of them.
    """
    if targets is None:
        raise ValueError(
            "`y_true` is missing: the loss must know which rows belong together. Give "
            f'`y`, for targets="{kind}" of shape {_SHAPES[kind]}.'
        )
    if not ops.is_tensor(targets):
        targets = np.asarray(targets)
        if targets.dtype.kind in "USO":
            raise TypeError(
                "`y_true` must be numbers. Received: strings or objects, dtype "
                f"{targets.dtype}. Encode them with "
                "`numpy.unique(labels, return_inverse=True)`."
            )
        if (
            keras.backend.backend() == "jax"
            and targets.dtype.kind in "iu"
            and targets.dtype.itemsize == 8
            and not _has_64_bits()
            and targets.size
            and not -(2**31) <= targets.min() <= targets.max() < 2**31
        ):
            raise ValueError(
                "`y_true` has integers beyond 32 bits, which JAX would wrap. Received: "
                f"values from {targets.min()} to {targets.max()}. Encode them with "
                "`numpy.unique(labels, return_inverse=True)` or set JAX_ENABLE_X64=1."
            )
    targets = ops.convert_to_tensor(targets)
    if kind == "labels" and not _has_rank(targets):
        targets = ops.reshape(targets, (-1,))
    dtype = keras.backend.standardize_dtype(targets.dtype)
    # Under `tf.distribute`, Keras 3.15 traces a model with the mean of two batches.
    is_traced_mean = replicas.has_strategy() and concrete(targets) is None
    if kind in ("labels", "labels_ids") and "float" in dtype and not is_traced_mean:
        raise TypeError(
            "`y_true` must be integers: class ids beyond 2**24 are no longer apart as "
            f"float32. Received: dtype {dtype}. Cast where the labels come from, as in "
            "`labels.astype('int64')`."
        )
    if dtype == "string":
        raise TypeError(
            "`y_true` must be numbers. Received: a tensor of strings. Encode them with "
            "`keras.layers.StringLookup`, or with `numpy.unique(labels, "
            "return_inverse=True)` beforehand."
        )
    if dtype in ("bool", "int8", "int16", "uint8", "uint16"):
        return ops.cast(targets, "int32")
    if dtype in ("uint32", "uint64"):
        return ops.cast(targets, widest_integer())
    return targets


def check_targets(
    targets: Tensor,
    embeddings: Tensor,
    kind: Targets,
    targets_name: str,
    embeddings_name: str,
) -> None:
    """Raises ValueError unless these targets can belong to these embeddings."""
    if len(embeddings.shape) != 2:
        raise ValueError(
            f"`{embeddings_name}` must be embeddings of shape (batch, dim). Received: "
            f"{embeddings_name} of shape {tuple(embeddings.shape)}. Pool or flatten "
            "before the last layer."
        )
    if not _has_rank(targets):
        raise ValueError(
            f'With targets="{kind}" `{targets_name}` must have shape {_SHAPES[kind]}. '
            f"Received: {targets_name} with another number of axes than before."
        )
    shape = tuple(targets.shape)
    fits = len(shape) == 2
    if kind == "labels":
        fits = len(shape) == 1 or (fits and shape[1] in (1, None))
    elif kind == "labels_ids":
        fits = fits and shape[1] in (2, None)
    elif kind == "multi_hot":
        # One column is labels that were meant otherwise.
        fits = fits and shape[1] != 1
    if not fits:
        raise ValueError(
            f'With targets="{kind}" `{targets_name}` must have shape {_SHAPES[kind]}. '
            f"Received: {targets_name} of shape {shape}. Other kinds: "
            + ", ".join(f'targets="{k}" {_SHAPES[k]}' for k in TARGETS if k != kind)
            + "."
        )
    if _differ(shape[0], embeddings.shape[0]):
        raise ValueError(
            f"`{targets_name}` and `{embeddings_name}` must have the same number of "
            f"rows. Received: {targets_name} of shape {shape}, {embeddings_name} of "
            f"shape {tuple(embeddings.shape)}."
        )


def widest_integer() -> str:
    """The dtype in which the backend keeps class ids."""
    return "int64" if _has_64_bits() else "int32"


def _has_64_bits() -> bool:
    """Whether the backend keeps 64-bit integers: JAX does not unless told so."""
    dtype = ops.convert_to_tensor(np.zeros((), "int64")).dtype
    return bool(keras.backend.standardize_dtype(dtype) == "int64")


def _has_rank(targets: Tensor) -> bool:
    """False in a graph of TensorFlow that has seen targets of unequal rank."""
    return getattr(targets.shape, "rank", 0) is not None


def _differ(n: int | None, m: int | None) -> bool:
    return n is not None and m is not None and n != m


def _outer_equal(a: Tensor, b: Tensor) -> BoolTensor:
    return ops.equal(a[:, None], b[None, :])


def _outer_and(a: BoolTensor, b: BoolTensor) -> BoolTensor:
    return ops.logical_and(a[:, None], b[None, :])
