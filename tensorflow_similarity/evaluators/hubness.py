"""Whether a few items are everybody's neighbours."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.search import LinearSearch

# Queries whose neighbours are counted together.
_BLOCK = 4096


def hubness(
    embeddings: Any, k: int = 10, *, distance: Any = "cosine"
) -> dict[str, float]:
    """How unevenly items occur among the k nearest neighbours of the others.

    N_j = how many items have item j among their k nearest, itself left out

        skewness        = mean((N - k)^3) / std(N)^3
        anti_hub_share  = share of items with N_j = 0: no query ever finds them
        hub_share       = share of all places that the 1 % most frequent items take
        largest         = the largest N_j

    The mean of N is k whatever the embeddings are; skewness is near 0 where each item
    is found about as often, and above about 1 where hubs answer every question, which
    many dimensions bring about. Equal distances rank by position, so items at one
    place make hubs of the first of them. With equal N the skewness is 0.

    Args:
        embeddings: shape (n, dim), n of at least 2.
        k: int of at least 1; at most n - 1 count. Defaults to 10, as in the paper.
        distance: name of a distance or a `Distance`. Defaults to "cosine".

    Returns:
        The four floats by name.

    Raises:
        ValueError: for embeddings that are not finite, fewer than two, or k below 1.

    Example:
        >>> corners = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
        >>> found = hubness(corners, k=1, distance="euclidean")
        >>> found["largest"], found["anti_hub_share"]
        (4.0, 0.6)

    Reference:
        Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space", JMLR 2010.
    """
    items = doors.as_embeddings(embeddings, None)
    k = doors.as_k(k)
    if len(items) < 2:
        raise ValueError(
            "`embeddings` must be at least two: no item is its own neighbour. "
            f"Received: {len(items)}."
        )
    k = min(k, len(items) - 1)
    search = LinearSearch(distance, items.shape[1])
    search.batch_add(items, np.arange(len(items)))
    counts = np.zeros(len(items), np.int64)
    for start in range(0, len(items), _BLOCK):
        own = np.arange(start, min(start + _BLOCK, len(items)))
        found, _ = search.batch_lookup(items[own], k + 1)
        keep = found != own[:, None]
        keep[keep.all(axis=1), -1] = False
        counts += np.bincount(found[keep], minlength=len(items))
    spread = counts.std()
    cubes = ((counts - counts.mean()) ** 3).mean()
    n_hubs = max(1, round(0.01 * len(items)))
    most = np.sort(counts)[-n_hubs:]
    return {
        "skewness": float(cubes / spread**3) if spread > 0 else 0.0,
        "anti_hub_share": float(np.mean(counts == 0)),
        "hub_share": float(most.sum() / counts.sum()),
        "largest": float(counts.max()),
    }
