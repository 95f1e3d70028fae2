"""From whatever holds examples to embeddings, block by block."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import

# Measured: on two cores, blocks of 512 embed 1.4 times as fast as `predict`.
BATCH_SIZE = 512
_LOT = 32_768


def embed(
    model: keras.Model,
    x: Any,
    output: int | str | None = None,
    batch_size: int = BATCH_SIZE,
    verbose: int = 0,
) -> tuple[np.ndarray, Any]:
    """Embeddings of all examples, and their labels if `x` carries them.

    Args:
        model: a Keras model; its output, or the one named, is (batch, dim).
        x: an array (n, ...), a list or dict of arrays for a model of several inputs,
            a `tf.data.Dataset`, a `PyDataset` or a generator of batches `x` or
            `(x, y)`.
        output: which output holds embeddings, by number or name. Defaults to None:
            the first.
        batch_size: examples embedded at a time, where `x` is an array.
        verbose: 1 shows progress after two seconds, 0 never.

    Returns:
        embeddings: float32, shape (n, dim); labels: an array (n, ...), or None.

    Raises:
        ValueError: if the model answers with another number of rows than it was given,
            or `x` is empty.
    """
    parts = list(embed_in_lots(model, x, output, batch_size, verbose))
    if not parts:
        raise ValueError("`x` is empty: there is nothing to embed.")
    labels = [y for _, y in parts if y is not None]
    embeddings = np.concatenate([found for found, _ in parts])
    return embeddings, np.concatenate(labels) if labels else None


def embed_in_lots(
    model: keras.Model,
    x: Any,
    output: int | str | None = None,
    batch_size: int = BATCH_SIZE,
    verbose: int = 0,
) -> Iterator[tuple[np.ndarray, Any]]:
    """What `embed` answers, in lots of some ten thousand examples.

    Args: as those of `embed`.

    Yields:
        embeddings: float32, shape (n, dim); labels: an array (n, ...), or None.
    """
    tqdm = optional_import("tqdm.auto", purpose="Showing progress", package="tqdm")
    found: list[np.ndarray] = []
    labels: list[Any] = []
    n_found = 0
    batches, n_batches = _batches(model, x, batch_size)
    for inputs, y in tqdm.tqdm(
        batches, total=n_batches, desc="Embedding", delay=2, disable=not verbose
    ):
        found.append(embed_batch(model, inputs, output, batch_size))
        n_found += len(found[-1])
        if y is not None:
            labels.append(doors.as_array(y))
        if n_found >= _LOT:
            yield np.concatenate(found), np.concatenate(labels) if labels else None
            found, labels, n_found = [], [], 0
    if found:
        yield np.concatenate(found), np.concatenate(labels) if labels else None


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches one after the other, and is not held whole."""
    is_dataset = isinstance(x, keras.utils.PyDataset) or hasattr(x, "element_spec")
    return is_dataset or isinstance(x, Iterator)


def embed_batch(
    model: keras.Model,
    inputs: Any,
    output: int | str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The embedding output for one batch as it is, n rows; the index checks it."""
    n = _n_rows(inputs)
    # Each new batch size is compiled anew, so odd ones are filled up.
    padded = n if n == batch_size else 1 << max(n - 1, 0).bit_length()
    # A replica without a row would run layers on nothing, which some refuse.
    replicas = n_replicas(model)
    padded = -(-padded // replicas) * replicas
    if padded > n:
        inputs = keras.tree.map_structure(lambda part: _padded(part, padded), inputs)
    if replicas > 1:
        # `predict_on_batch` answers with every replica's copy of the rows.
        answer = model.predict(inputs, batch_size=padded, verbose=0)
    else:
        answer = model.predict_on_batch(inputs)
    # The common case first: looking into structures costs as much as a small query.
    if not isinstance(answer, np.ndarray):
        answer = doors.as_array(_chosen(model, answer, output))
    embeddings: np.ndarray = answer
    if len(embeddings) != padded:
        raise ValueError(
            f"The model answered {len(embeddings)} rows for {padded} examples. An "
            "embedding model must give one row for each example."
        )
    return embeddings[:n]


def n_replicas(model: Any) -> int:
    """How many replicas the model was made for; 1 without a TensorFlow strategy."""
    strategy = getattr(model, "distribute_strategy", None)
    return int(getattr(strategy, "num_replicas_in_sync", 1))


def output_number(model: keras.Model, output: int | str | None) -> int:
    """Which output is meant, as a number; None means the first.

    Raises:
        TypeError: if it is neither a number nor a name.
        ValueError: if the model has no such output.
    """
    if output is None:
        return 0
    names = output_names(model)
    if isinstance(output, bool) or not isinstance(output, int | str):
        raise TypeError(
            "`embedding_output` must be None, a number or a name. Received: "
            f"embedding_output={output!r}."
        )
    if isinstance(output, str):
        if output not in names:
            raise ValueError(
                "`embedding_output` must be a number or one of the model's outputs "
                f"{names}. Received: embedding_output={output!r}."
            )
        return names.index(output)
    if names and not 0 <= output < len(names):
        raise ValueError(
            f"`embedding_output` must be from 0 to {len(names) - 1}: the model has "
            f"{len(names)} outputs, {names}. Received: embedding_output={output!r}."
        )
    return output


def output_names(model: keras.Model) -> list[str]:
    """Names of a functional model's outputs, in the order in which they are numbered.

    Those of outputs given as a dict are its keys, as in `compile(loss={...})`; in a
    list the names of the layers. A model with a `call` of its own has none to know.
    """
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict):
        return sorted(structure)
    return list(getattr(model, "output_names", None) or [])


def check_embedding(model: keras.Model, number: int, names: Sequence[str]) -> None:
    """Raises ValueError if an output is known to hold no embeddings."""
    outputs = keras.tree.flatten(getattr(model, "outputs", None) or [])
    if number >= len(outputs) or len(outputs[number].shape) == 2:
        return
    flat = [names[i] for i, output in enumerate(outputs) if len(output.shape) == 2]
    cure = f"Choose another by `embedding_output`, of {flat}" if flat else "Pool it"
    raise ValueError(
        f"The output {names[number]!r} is to be indexed, so its shape must be "
        f"(batch, dim). Received: shape {tuple(outputs[number].shape)}. {cure}, or "
        "flatten it."
    )


def _chosen(model: keras.Model, answer: Any, output: int | str | None) -> Any:
    if isinstance(answer, dict) and isinstance(output, str) and output in answer:
        return answer[output]
    parts = keras.tree.flatten(answer)
    return parts[output_number(model, output)]


def _batches(
    model: keras.Model, x: Any, batch_size: int
) -> tuple[Iterator[tuple[Any, Any]], int | None]:
    """Batches of (inputs, labels or None), and how many there will be if known."""
    if isinstance(x, keras.utils.PyDataset):
        n_batches = x.num_batches
        if n_batches is None:
            raise ValueError("`x` is an endless PyDataset. Give one with a length.")
        return (_pair(x[i]) for i in range(n_batches)), n_batches
    if hasattr(x, "element_spec"):  # a tf.data.Dataset
        n_batches = int(x.cardinality())
        if n_batches == -1:  # tf.data.INFINITE_CARDINALITY
            raise ValueError("`x` is an endless tf.data.Dataset. Use `.take(n)`.")
        return map(_pair, iter(x)), n_batches if n_batches >= 0 else None
    if isinstance(x, Iterator):
        return map(_pair, x), None
    x = _as_arrays(model, x)
    starts = range(0, _n_rows(x), batch_size)
    return ((_rows(x, i, i + batch_size), None) for i in starts), len(starts)


def _pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, tuple):
        return batch[0], batch[1] if len(batch) > 1 else None
    return batch, None


def _as_arrays(model: keras.Model, x: Any) -> Any:
    """One array, or the arrays of several inputs in their structure."""
    several = len(getattr(model, "inputs", None) or [None]) > 1
    if isinstance(x, dict):
        return {key: doors.as_array(part) for key, part in x.items()}
    if several and isinstance(x, list | tuple):
        return [doors.as_array(part) for part in x]
    try:
        array = doors.as_array(x)
    except ValueError as error:
        raise ValueError(
            "`x` must be an array of examples of one shape. Received examples of "
            "unequal shape; resize or pad them first."
        ) from error
    if not array.ndim:
        raise ValueError(
            "`x` must hold examples along its first axis. Received: a single value."
        )
    return array


def _n_rows(inputs: Any) -> int:
    if isinstance(inputs, np.ndarray):
        return len(inputs)
    sizes: Sequence[int] = [len(part) for part in keras.tree.flatten(inputs)]
    if len(set(sizes)) > 1:
        raise ValueError(
            "The arrays of `x` must have equal lengths. Received: lengths "
            f"{sorted(set(sizes))}."
        )
    return sizes[0]


def _rows(x: Any, start: int, end: int) -> Any:
    return keras.tree.map_structure(lambda part: part[start:end], x)


def _padded(part: Any, n: int) -> np.ndarray:
    array = doors.as_array(part)
    fill = itertools.repeat(array[-1:], n - len(array))
    return np.concatenate([array, *fill])
