"""One store and one search, kept in step."""

from tensorflow_similarity.indexer.indexer import Indexer

__all__ = ["Indexer"]
