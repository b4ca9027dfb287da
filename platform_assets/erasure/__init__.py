"""Erasure: a document leaves everything the platform keeps; a search of every byte proves it."""
