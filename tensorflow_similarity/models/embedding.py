"""From whatever holds examples to embeddings: what models use of `_core.embedding`."""

from tensorflow_similarity._core.embedding import (
    BATCH_SIZE,
    check_embedding,
    embed,
    embed_batch,
    embed_in_lots,
    is_stream,
    n_replicas,
    output_names,
    output_number,
)

__all__ = [
    "BATCH_SIZE",
    "check_embedding",
    "embed",
    "embed_batch",
    "embed_in_lots",
    "is_stream",
    "n_replicas",
    "output_names",
    "output_number",
]
