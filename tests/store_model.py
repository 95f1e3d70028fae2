"""A dictionary that says what a store must hold after random operations."""

import copy

import numpy as np

WIDTH = 8
TEXTS = ["a", "b", "", "ü猫", None]


def some_data(rng, n):
    """User data of n items, of any kind."""
    kind = rng.integers(6)
    if kind == 0:
        return None
    if kind == 1:
        return rng.normal(size=(n, 2, 3)).astype(np.float32)
    if kind == 2:
        return [{"page": i, "text": str(i)} for i in range(n)]
    if kind == 3:
        return [None if i % 2 else b"x" * int(rng.integers(6000)) for i in range(n)]
    return [int(rng.integers(1000)) for _ in range(n)]


class Model:
    """Items by key, in the order of their rows: embedding, label, data, id, metadata.

    Args:
        with_ids: whether each item gets an id of the user, which comes again at times.
    """

    def __init__(self, with_ids):
        self.with_ids = with_ids
        self.items = {}
        self.next_key = 0
        self.next_id = 0

    def copy(self):
        return copy.deepcopy(self)

    def plan(self, rng):
        """A random operation that a store of these items can do."""
        names = ["add", "remove", "relabel", "embed", "vacuum", "reset"]
        name = rng.choice(names, p=[0.63, 0.15, 0.15, 0.02, 0.04, 0.01])
        keys = np.array(list(self.items), np.int64)
        if name == "add":
            n = int(rng.choice([0, 1, 1, 1, 2, 5, 40]))
            ids = None
            if self.with_ids:
                fresh = np.arange(self.next_id, self.next_id + n)
                known = rng.integers(0, self.next_id + 1, n)
                ids = np.unique(np.where(rng.random(n) < 0.3, known, fresh))
                n = len(ids)
            metadata = {"price": rng.integers(9, size=n).astype(float)}
            if rng.random() < 0.5:
                metadata["shop"] = [str(rng.integers(3)) for _ in range(n)]
            return {
                "name": "add",
                "embeddings": rng.normal(size=(n, WIDTH)).astype(np.float32),
                "labels": [TEXTS[i] for i in rng.integers(len(TEXTS), size=n)],
                "data": some_data(rng, n),
                "ids": ids,
                "metadata": metadata,
            }
        if name in ("remove", "relabel") and len(keys):
            keys = rng.choice(keys, rng.integers(1, min(len(keys), 10) + 1), False)
            labels = [TEXTS[i] for i in rng.integers(len(TEXTS), size=len(keys))]
            return {"name": name, "keys": np.sort(keys), "labels": labels}
        if name == "embed":
            new = rng.normal(size=(len(keys), WIDTH)).astype(np.float32)
            return {"name": name, "embeddings": new}
        return {"name": name if name in ("vacuum", "reset") else "vacuum"}

    def apply(self, do):
        """What is there after the operation."""
        name = do["name"]
        if name == "add":
            columns = [{"price": p} for p in do["metadata"]["price"].tolist()]
            for record, shop in zip(
                columns, do["metadata"].get("shop", []), strict=False
            ):
                record["shop"] = shop
            for i, embedding in enumerate(do["embeddings"]):
                own = None if do["ids"] is None else int(do["ids"][i])
                for key in [k for k, item in self.items.items() if item[3] == own]:
                    if own is not None:
                        del self.items[key]
                data = None if do["data"] is None else do["data"][i]
                item = embedding, do["labels"][i], data, own, columns[i]
                self.items[self.next_key] = item
                self.next_key += 1
                if own is not None:
                    self.next_id = max(self.next_id, own + 1)
        elif name == "remove":
            for key in do["keys"].tolist():
                del self.items[key]
        elif name == "relabel":
            for key, label in zip(do["keys"].tolist(), do["labels"], strict=True):
                embedding, _, *rest = self.items[key]
                self.items[key] = (embedding, label, *rest)
        elif name == "embed":
            for key, embedding in zip(self.items, do["embeddings"], strict=True):
                self.items[key] = (embedding, *self.items[key][1:])
        elif name == "reset":
            self.items = {}


def perform(store, do):
    """The operation on a store."""
    name = do["name"]
    if name == "add":
        store.batch_add(
            *(do[part] for part in ("embeddings", "labels", "data", "ids", "metadata"))
        )
    elif name == "remove":
        store.remove(do["keys"])
    elif name == "relabel":
        store.relabel(do["keys"], do["labels"])
    elif name == "embed":
        store.replace_embeddings(do["embeddings"])
    elif name == "vacuum":
        store.vacuum()
    else:
        store.reset()


def differs(store, model):
    """What a store holds otherwise than the model, None if nothing."""
    snapshot = store.snapshot()
    rows = snapshot.vectors.alive_rows()
    keys = snapshot.keys[rows].tolist()
    if keys != list(model.items):
        return f"keys {keys} for {list(model.items)}"
    embeddings, labels, data = store.batch_get(keys)
    metadata = snapshot.metadata.records(rows)
    for i, (key, expected) in enumerate(model.items.items()):
        own = None if not model.with_ids else int(snapshot.ids[rows[i]])
        found = embeddings[i], labels[i], data[i], own, metadata[i]
        for a, b in zip(found, expected, strict=True):
            if not _same(a, b):
                return f"item {key}: {found} for {expected}"
        if own is not None and snapshot.rows_of_ids(np.array([own]))[0] != rows[i]:
            return f"id {own} is not found at row {rows[i]}"
    if keys and snapshot.next_key != model.next_key:
        return f"next key {snapshot.next_key} for {model.next_key}"
    return None


def _same(a, b):
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return type(a) is type(b) and a == b
