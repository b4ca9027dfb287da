"""Parsed documents, and the dead letters that could not be parsed."""
