"""All facts written to a Redis server anew, without removed rows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from tensorflow_similarity._core.columns import Items
from tensorflow_similarity.stores.changes import Change, Loaded
from tensorflow_similarity.stores.redis_data import Gathered, gathered
from tensorflow_similarity.stores.redis_records import Lot, item_lots
from tensorflow_similarity.stores.redis_server import RedisServer
from tensorflow_similarity.stores.snapshot import NewItems, StoreSnapshot


@dataclass
class Rewrite:
    """The facts after a change that leaves no row as it was.

    Args:
        after: the facts; user data stay where they are on the server.
        lots: of all items, for the first entry of a new generation.
        keys: names of what the facts before no longer need.
        fields: fields of what the facts after need in part.
    """

    after: StoreSnapshot
    lots: list[bytes | str]
    keys: list[str]
    fields: dict[str, list[int]]


def rewritten(
    change: Change, before: StoreSnapshot, server: RedisServer, put: list[str]
) -> Rewrite:
    """Puts the facts after the change on the server, to expire.

    Args:
        put: gets the names of what was put there.
    """
    source = change.snapshot if isinstance(change, Loaded) else before
    after = replace(source, items=Items())
    if not isinstance(change, Loaded):
        after = change.after(after)
    if after.vectors.n_dead:
        after = after.compacted()
    n = after.vectors.size
    rows = source.vectors.alive_rows() if n else np.empty(0, np.int64)
    data = gathered(source.items, rows, server)
    for first, items in data.local:
        name = server.new_name("data")
        server.put_data(name, items, put)
        data.codes[first : first + len(items)] = data.number(name)
        data.fields[first : first + len(items)] = np.arange(len(items))
    lots = server.put_lots(_lots(after, data, server), put)
    after = replace(after, items=Items().append(data.part(server, 0, n), n))
    return Rewrite(after, lots, *_left(before, data, server))


def _left(
    before: StoreSnapshot, data: Gathered, server: RedisServer
) -> tuple[list[str], dict[str, list[int]]]:
    """Names, and fields of other names, of user data that are no longer needed."""
    everything = np.arange(before.items.size)
    new, keys, fields = data.by_name(), [], {}
    for name, numbers in gathered(before.items, everything, server).by_name().items():
        if name not in new:
            keys.append(name)
        elif len(new[name]) < len(numbers):
            fields[name] = sorted(set(numbers) - set(new[name]))
    return keys, fields


def _lots(after: StoreSnapshot, data: Gathered, server: RedisServer) -> Iterable[Lot]:
    """All items in lots, each with where its user data stand."""
    if not after.vectors.dim:
        return
    rows = np.arange(after.vectors.size)
    items = NewItems(
        after.vectors.take(rows),
        after.labels,
        ids=None if after.own_ids is None else after.own_ids.values,
        metadata=after.metadata.at(rows),
    )
    first = 0
    for lot in item_lots(items, after.keys):
        end = first + len(lot["embeddings"])
        part = data.part(server, first, end)
        if part is not None:
            codes, fields = part.places(np.arange(end - first))
            lot |= {"names": list(part.names), "codes": codes, "fields": fields}
        yield lot
        first = end
