"""The tables `queries` and `training_pairs`."""

import pyarrow as pa

from resources.warehouse import TableSpec

FEW = 4
"""Buckets of tables by query, which are read whole and are small in large corpora too."""
JUDGEMENT = pa.struct([("key", pa.string()), ("grade", pa.int32())])

QUERIES = TableSpec.of(
    "queries",
    "Evaluation queries with relevance judgements, split by document.",
    {
        "query_id": (pa.string(), "Id of the query."),
        "text": (pa.string(), "What is searched for."),
        "split": (pa.string(), "train or test; no document is judged for both."),
        "judgements": (pa.list_(JUDGEMENT), "Relevant documents and their grades."),
        "origin": (pa.string(), "uploaded beside the corpus, or derived from its titles."),
    },
    group="query_id",
    key="query_id",
    content=("query_id", "text", "split", "judgements", "origin"),
    buckets=FEW,
)

TRAINING_PAIRS = TableSpec.of(
    "training_pairs",
    "Training pairs: a query, a positive chunk and mined hard negatives.",
    {
        "query_id": (pa.string(), "Id of the training query."),
        "query": (pa.string(), "Text of the query."),
        "positive": (pa.string(), "Text of the chunk that answers it."),
        "positive_key": (pa.string(), "Document of the positive."),
        "negatives": (pa.list_(pa.string()), "Texts that look like answers and are none."),
        "negative_keys": (pa.list_(pa.string()), "Documents of the negatives."),
    },
    group="query_id",
    key="query_id",
    content=("query_id", "query", "positive", "positive_key", "negatives", "negative_keys"),
    buckets=FEW,
)
