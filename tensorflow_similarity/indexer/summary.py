"""What an index says about itself."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensorflow_similarity.indexer.indexer import Indexer


def stats(
    size: int, n_lookups: int, buffer_size: int, durations: Sequence[float]
) -> dict[str, Any]:
    """The record that `Indexer.stats` returns; durations in seconds a query."""
    values = np.array(list(durations) or [0.0])
    return {
        "num_lookups": n_lookups,
        "size": size,
        "stat_buffer_size": buffer_size,
        "query_performance": {
            "min": float(values.min()),
            "max": float(values.max()),
            "avg": float(values.mean()),
            "median": float(np.median(values)),
            "stddev": float(values.std()),
        },
    }


def lines(indexer: "Indexer") -> Iterator[str]:
    """The lines of `index_summary`."""
    found = indexer.stats()
    state = indexer._snapshot.search
    how = indexer.search.describe([part.structure for part in state.segments])
    in_tail = state.vectors.size - state.n_built if state.segments else 0
    rows = {
        "items": f"{found['size']:,}",
        "embedding size": str(indexer.embedding_size),
        "distance": indexer.distance.name,
        "search": f"{indexer.search_type} ({how} at this size)",
        **({"compared": f"{in_tail:,} added since, one by one"} if in_tail else {}),
        **({"removed": f"{state.vectors.n_dead:,}"} if state.vectors.n_dead else {}),
        "store": indexer.kv_store_type,
        "memory": f"{indexer.nbytes() / 2**20:,.1f} MB",
        "lookups": f"{found['num_lookups']:,}",
    }
    if found["num_lookups"]:
        times = found["query_performance"]
        rows["ms a query"] = ", ".join(
            f"{name} {1000 * times[name]:.3f}" for name in ("median", "avg", "max")
        )
    yield "Index"
    for name, value in rows.items():
        yield f"  {name:<16}{value}"
