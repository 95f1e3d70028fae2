"""Batches of P classes with K examples each, from a `tf.data.Dataset` of examples."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.samplers._sources import to_host
from tensorflow_similarity.samplers.multi_shot_memory_sampler import (
    MultiShotMemorySampler,
)

if TYPE_CHECKING:
    import tensorflow as tf

_BLOCK = 1024
"""Examples read at a time."""


def TFDataSampler(
    ds: "tf.data.Dataset",
    classes_per_batch: int = 2,
    examples_per_class_per_batch: int = 2,
    class_list: Iterable[Any] | None = None,
    total_examples_per_class: int | None = None,
    augmenter: Callable[..., Any] | None = None,
    load_fn: Callable[..., Any] | None = None,
    warmup: int = 0,
    label_output: int | str | None = None,
    *,
    seed: int | None = None,
) -> "tf.data.Dataset":
    """Turns a `tf.data.Dataset` of examples into an endless one of balanced batches.

    Draws as `MultiShotMemorySampler` does: the examples of a class stand side by side,
    and none repeats before all of its class were used. `ds` is read once and kept in
    memory; let it hold paths or encoded pictures, and decode in `load_fn`, if the
    pictures themselves are too many.

    Args:
        ds: finite, one example an element, not batched: (x, y) or (x, y, ...), where x
            and y may be tensors, tuples or dicts, each of one shape throughout.
        classes_per_batch: int >= 1. Defaults to 2, the fewest that give each example a
            negative.
        examples_per_class_per_batch: int >= 1. Defaults to 2, the fewest that give each
            example a positive.
        class_list: labels of the classes to draw from. Defaults to None: all, sorted.
            The attribute `class_list` of what is returned holds them.
        total_examples_per_class: int >= 1. Random examples of each class to use, the
            same throughout. Defaults to None: all.
        augmenter: called on each example as `augmenter(x, y, ...)`, on tensors in a
            graph; answers the same. Defaults to None.
        load_fn: likewise, before the augmenter. Defaults to None.
        warmup: int. The first so many examples of each iteration are not augmented.
            Defaults to 0; zero and below mean none.
        label_output: where y is a tuple or a dict, which entry is the label. Defaults
            to None: y is the label.
        seed: int or None. Defaults to None: `keras.utils.set_random_seed` decides.

    Returns:
        A `tf.data.Dataset` without end of batches of classes_per_batch *
        examples_per_class_per_batch examples, in the form of the elements of `ds`. A
        label that stands alone is int32: the label given if it is an integer within
        int32; otherwise (strings, 64-bit ids) its place in the attribute `class_list`.
        `map` and the like answer datasets without that attribute. Give
        `steps_per_epoch` to `fit`, which else never ends its epoch.

    Raises:
        ImportError: if TensorFlow is not installed.
        TypeError: if `ds` is not a `tf.data.Dataset`, or `warmup` not an integer.
        ValueError: if `ds` is infinite, of unknown length or batched, if its elements
            are not (x, y, ...), differ in shape, or are ragged or sparse, or if
            `label_output` is missing or unknown; else as `MultiShotMemorySampler`.

    Example:

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> x, y = np.arange(12.0), np.arange(12) % 4
    >>> ds = tf.data.Dataset.from_tensor_slices((x, y))
    >>> batches = TFDataSampler(ds, classes_per_batch=3, class_list=[0, 1, 3], seed=1)
    >>> batch_x, batch_y = next(iter(batches))
    >>> sorted(batch_y.numpy().tolist())
    [0, 0, 1, 1, 3, 3]
    """
    tf = optional_import("tensorflow", purpose="TFDataSampler")
    if not isinstance(ds, tf.data.Dataset):
        raise TypeError(
            f"`ds` must be a tf.data.Dataset. Received: {type(ds).__name__}. Pass "
            "`tf.data.Dataset.from_tensor_slices((x, y))`, or arrays to "
            "`MultiShotMemorySampler(x, y)`."
        )
    if isinstance(warmup, bool) or not isinstance(warmup, int | np.integer):
        raise TypeError(
            "`warmup` must be an integer, the number of examples that are not "
            f"augmented. Received: warmup={warmup!r}."
        )
    label_of = _label_picker(ds.element_spec, label_output)
    _check_elements(tf, ds.element_spec, label_of)
    examples = _read(tf, ds)
    n_examples = len(tf.nest.flatten(examples)[0])
    sampler = MultiShotMemorySampler(
        np.arange(n_examples),
        _as_text(label_of(examples[1])),
        None,
        classes_per_batch,
        examples_per_class_per_batch,
        class_list=None if class_list is None else _as_text(class_list),
        total_examples_per_class=total_examples_per_class,
        seed=seed,
    )
    # Tensors that functions capture are not copied into their graphs.
    examples = tf.nest.map_structure(tf.convert_to_tensor, examples)

    def fetch(rows: Any, labels: Any) -> Any:
        batch = tf.nest.map_structure(lambda part: tf.gather(part, rows), examples)
        y = labels if label_output is None else batch[1]
        return (batch[0], y, *batch[2:])

    batches = sampler.as_tf_dataset().repeat().map(fetch)
    if load_fn is not None or augmenter is not None:
        single = batches.unbatch()
        if load_fn is not None:
            single = single.map(load_fn, num_parallel_calls=tf.data.AUTOTUNE)
        if augmenter is not None:
            single = _augmented(tf, single, augmenter, max(0, int(warmup)))
        batches = single.batch(sampler.batch_size, drop_remainder=True)
    batches = batches.prefetch(tf.data.AUTOTUNE)
    batches.class_list = sampler.class_list
    return batches


def _as_text(labels: Any) -> Any:
    """Labels with the bytes that TensorFlow makes of strings as strings again."""
    if not hasattr(labels, "__array__"):  # a set, the keys of a dict
        labels = list(labels)
    found = np.asarray(to_host(labels))
    if found.dtype.kind not in "OS":
        return labels
    flat = [_decoded(label) for label in found.reshape(-1).tolist()]
    return np.array(flat, object).reshape(found.shape)


def _decoded(label: Any) -> Any:
    if not isinstance(label, bytes):
        return label
    # Bytes that are no text stay apart from each other, whatever they hold.
    return label.decode("utf-8", "surrogateescape")


def _augmented(
    tf: Any, examples: Any, augmenter: Callable[..., Any], warmup: int
) -> Any:
    """The examples, those from number `warmup` on augmented."""
    if not warmup:
        return examples.map(augmenter, num_parallel_calls=tf.data.AUTOTUNE)

    def later(number: Any, example: Any) -> Any:
        return tf.cond(number < warmup, lambda: example, lambda: augmenter(*example))

    numbered = examples.enumerate()
    return numbered.map(later, num_parallel_calls=tf.data.AUTOTUNE)


def _label_picker(spec: Any, label_output: int | str | None) -> Callable[[Any], Any]:
    """Finds the label in a y of this form."""
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise ValueError(
            "`ds` must have elements (x, y) or (x, y, ...). Received elements of "
            f"the form {spec}."
        )
    known: list[int | str] = []
    if isinstance(spec[1], dict):
        known = list(spec[1])
    elif isinstance(spec[1], tuple | list):
        known = list(range(len(spec[1])))
    if not known and label_output is None:
        return lambda y: y
    # True is in [0, 1] for Python.
    is_name = isinstance(label_output, int | str | np.integer)
    if isinstance(label_output, bool) or not is_name or label_output not in known:
        of_many = f"one of {known}, since y has several parts"
        raise ValueError(
            f"`label_output` must be {of_many if known else 'None: y is the label'}. "
            f"Received: label_output={label_output!r}."
        )
    return lambda y: y[label_output]


def _check_elements(tf: Any, spec: Any, label_of: Callable[[Any], Any]) -> None:
    """Refuses elements that are no single examples of plain tensors."""
    parts = tf.nest.flatten(spec)
    for part in parts:
        if not isinstance(part, tf.TensorSpec):
            raise ValueError(
                "`ds` must hold plain tensors, each of one shape throughout. Received: "
                f"a {type(part).__name__}. Pad a ragged tensor with `to_tensor()` "
                "before it becomes a data set; make a sparse one dense with "
                "`tf.sparse.to_dense`."
            )
    label = label_of(spec[1])
    if not isinstance(label, tf.TensorSpec):
        raise ValueError(
            f"The label must be one tensor, not parts of its own. Received: {label}."
        )
    if any(part.shape.rank is None for part in parts) or label.shape.rank == 0:
        return
    heads = {part.shape[0] if part.shape.rank else "none" for part in parts}
    looks_batched = len(heads) == 1 and heads != {1}
    if not looks_batched and label.shape.as_list() in ([1], [None]):
        return
    cures = []
    if looks_batched:
        cures += ["`ds` looks batched: leave `.batch` out, or undo it: `ds.unbatch()`."]
    if label.shape[0] is not None:
        cures += ["For one-hot labels: `ds.map(lambda x, y: (x, tf.argmax(y)))`."]
    raise ValueError(
        "`ds` must hold one example an element, with one label. Received: a label of "
        f"shape {label.shape}. {' '.join(cures)}"
    )


def _read(tf: Any, ds: Any) -> Any:
    """All examples as arrays, in the form of the elements."""
    n_examples = int(ds.cardinality())
    if n_examples == tf.data.INFINITE_CARDINALITY:
        raise ValueError("Dataset must be finite. `ds.take(n)` ends it.")
    if n_examples == tf.data.UNKNOWN_CARDINALITY:
        raise ValueError(
            "Dataset cardinality must be known. Say it: "
            "`ds.apply(tf.data.experimental.assert_cardinality(n))`."
        )
    if not n_examples:
        raise ValueError("`ds` must hold at least one example. Received: none.")
    try:
        blocks = list(ds.batch(_BLOCK).as_numpy_iterator())
    except tf.errors.InvalidArgumentError as error:
        if "to the batch" not in str(error) and "different shapes" not in str(error):
            raise
        raise ValueError(
            "The examples of `ds` differ in shape. Bring them to one shape with "
            "`ds.map`, or let `ds` hold paths or encoded pictures and decode them in "
            "`load_fn`."
        ) from error
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *blocks)
