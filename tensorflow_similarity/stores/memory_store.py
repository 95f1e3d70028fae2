"""Everything in memory, in columns."""

import keras

from tensorflow_similarity.stores.store import Store


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MemoryStore(Store):
    """Keeps embeddings in blocks of float32, and everything else in flat columns.

    User data given as an array stays one; other data are kept item by item. What is
    given is copied. Removed items are masked until `vacuum`; a saved store does not
    hold them.

    Example:
        >>> store = MemoryStore()
        >>> key = store.add([0.0, 1.0], label="cat", data={"page": 3})
        >>> embedding, label, data = store.get(key)
        >>> label, data
        ('cat', {'page': 3})
    """

    default_name = "memory"
