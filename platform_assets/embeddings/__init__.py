"""Embeddings: one vector a chunk and encoder; a text is encoded once for each encoder."""
