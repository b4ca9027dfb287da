"""The tables `documents` and `rejected_documents`."""

import pyarrow as pa

from resources.warehouse import TableSpec

ELEMENT = pa.struct(
    [
        ("type", pa.string()),
        ("text", pa.string()),
        ("page", pa.int32()),
        ("heading_path", pa.list_(pa.string())),
    ]
)

DOCUMENTS = TableSpec.of(
    "documents",
    "Parsed documents: one row a document.",
    {
        "doc_id": (pa.string(), "Id of the document."),
        "key": (pa.string(), "Object key within the corpus."),
        "sha256": (pa.string(), "Digest of the bytes that were parsed."),
        "title": (pa.string(), "Title, or the file name where the document has none."),
        "media_type": (pa.string(), "Type of the content, as found in the bytes."),
        "parser": (pa.string(), "Parser that read it."),
        "elements": (pa.list_(ELEMENT), "Elements in reading order."),
    },
    group="doc_id",
    key="doc_id",
    content=("key", "sha256", "title", "media_type", "elements"),
)

REJECTED_DOCUMENTS = TableSpec.of(
    "rejected_documents",
    "Dead letters: one row a document that could not be parsed.",
    {
        "doc_id": (pa.string(), "Id of the document."),
        "key": (pa.string(), "Object key within the corpus."),
        "sha256": (pa.string(), "Digest of the bytes that were tried."),
        "reason": (pa.string(), "Class of the reason: encrypted, corrupt, timeout and so on."),
        "message": (pa.string(), "What happened and what to do."),
    },
    group="doc_id",
    key="doc_id",
    content=("key", "sha256", "reason", "message"),
)
