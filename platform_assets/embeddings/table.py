"""The table `embeddings`."""

import pyarrow as pa

from resources.warehouse import TableSpec

EMBEDDINGS = TableSpec.of(
    "embeddings",
    "Embeddings: one row a chunk and encoder.",
    {
        "doc_id": (pa.string(), "Id of the document."),
        "chunk_id": (pa.string(), "Id of the chunk."),
        "text_digest": (pa.string(), "sha256 of the text that was encoded."),
        "encoder_digest": (pa.string(), "Weights, tokenizer, pooling, precision and backend."),
        "vector": (pa.list_(pa.float32()), "Unit-length vector."),
    },
    scope=("corpus", "encoder"),
    group="doc_id",
    key="chunk_id",
    content=("chunk_id", "text_digest", "encoder_digest", "vector"),
)
