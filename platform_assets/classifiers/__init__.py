"""Classifiers: documents told apart by the embeddings that are stored anyway."""
