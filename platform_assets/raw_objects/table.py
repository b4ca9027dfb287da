"""The table `raw_objects` and the identity of a document."""

import pyarrow as pa

from platform_assets.provenance import sha256_text
from resources.warehouse import TableSpec

RAW_OBJECTS = TableSpec.of(
    "raw_objects",
    "Manifest of the lake: one row an object.",
    {
        "doc_id": (pa.string(), "Stable id of the document: digest of corpus and key."),
        "key": (pa.string(), "Object key within the corpus."),
        "size": (pa.int64(), "Bytes."),
        "etag": (pa.string(), "Entity tag as the store gave it."),
        "modified": (pa.timestamp("us", tz="UTC"), "Last modification, to the second."),
        "sha256": (pa.string(), "Digest of the object's bytes."),
    },
    group="doc_id",
    key="doc_id",
    content=("key", "sha256"),
)


def document_id(corpus: str, key: str) -> str:
    """Id of the document at `key`: 32 hex digits."""
    return sha256_text(f"{corpus}/{key}")[:32]
