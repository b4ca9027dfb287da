"""Vector indexes: immutable collections, and the alias that serves the best of a corpus."""
