"""The table `chunks`."""

import pyarrow as pa

from resources.warehouse import TableSpec

CHUNKS = TableSpec.of(
    "chunks",
    "Chunk sets: one row a chunk, bounded in the encoder's own tokens.",
    {
        "doc_id": (pa.string(), "Id of the document."),
        "chunk_id": (pa.string(), "Content-based id, a UUID; an edit elsewhere leaves it alone."),
        "key": (pa.string(), "Object key of the document within the corpus."),
        "position": (pa.int32(), "Zero-based place in the document."),
        "text": (pa.string(), "The text that is embedded, searched and shown."),
        "text_digest": (pa.string(), "sha256 of the text."),
        "token_count": (pa.int32(), "Tokens of the text as the encoder counts them."),
        "page": (pa.int32(), "One-based page, sheet or slide; null where there is none."),
        "heading_path": (pa.list_(pa.string()), "Headings above the chunk, outermost first."),
    },
    group="doc_id",
    key="chunk_id",
    content=("doc_id", "chunk_id", "key", "text", "text_digest", "page", "heading_path"),
)
