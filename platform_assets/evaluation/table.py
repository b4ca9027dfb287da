"""The table `retrieval_evaluation`."""

import pyarrow as pa

from platform_assets.queries.table import FEW
from resources.warehouse import TableSpec

EVALUATION = TableSpec.of(
    "retrieval_evaluation",
    "Retrieval quality: one row a test query and retriever, documents as the unit.",
    {
        "result_id": (pa.string(), "Query and retriever."),
        "query_id": (pa.string(), "Id of the test query."),
        "retriever": (
            pa.string(),
            "bm25 (the baseline, outside the vector database), dense or hybrid.",
        ),
        "ndcg_10": (pa.float64(), "nDCG@10; null where the query failed."),
        "mrr_10": (pa.float64(), "Reciprocal rank within the first 10."),
        "recall_10": (pa.float64(), "Share of the relevant documents within the first 10."),
        "recall_curve": (pa.list_(pa.float32()), "Recall at 1, 2, ... 100 chunks."),
        "error": (pa.string(), "Why the query failed; null where it did not."),
    },
    scope=("corpus", "encoder"),
    group="query_id",
    key="result_id",
    content=("result_id", "ndcg_10", "mrr_10", "recall_10", "error"),
    buckets=FEW,
)
