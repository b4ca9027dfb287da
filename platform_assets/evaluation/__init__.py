"""Retrieval evaluation: how good each encoder and retriever is on a corpus, and the plots of it.

Here: the assets and checks (`assets.py`, `checks.py`) and the pure code they delegate to.
Not here: where queries and judgements come from (platform_assets/queries), what is published
(platform_assets/vector_indexes).
"""
