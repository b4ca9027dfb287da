"""Brings the chunks of a corpus in line with its documents."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from platform_assets.chunks.chunking import ChunkingConfig, chunk_document
from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS
from platform_assets.reconcile import diff, fingerprint, fingerprints
from platform_assets.tables import OwnRows, rows_of
from resources.encoding import Tokenizer
from resources.parsing import Element
from resources.warehouse import Warehouse

WAVE = 500
"""Documents in one commit."""


def refresh(
    corpus: str,
    warehouse: Warehouse,
    tokenizers: Sequence[Tokenizer],
    config: ChunkingConfig,
    code_version: str,
    snapshot: str | None,
    branch: str | None = None,
) -> OwnRows:
    """Chunk the documents whose content, or whose chunking, has changed.

    `snapshot` is the documents' as their provenance pins it; for `branch` see `OwnRows`.
    """
    scope = {"corpus": corpus}
    documents = warehouse.scan(DOCUMENTS, scope, ["doc_id", "digest"], snapshot=snapshot)
    chunker = [config.digest, *(tokenizer.digest for tokenizer in tokenizers)]
    digests = documents.column("digest").to_pylist()
    values = [fingerprint(code_version, digest, *chunker) for digest in digests]
    doc_ids = documents.column("doc_id").to_pylist()
    wanted = dict(zip(doc_ids, values, strict=True))
    own = OwnRows(warehouse, CHUNKS, scope, branch)

    def compute(stale: Sequence[str]) -> pa.Table:
        columns = ["doc_id", "key", "elements"]
        found = warehouse.scan(DOCUMENTS, scope, columns, stale, snapshot).to_pylist()
        rows = (row | {"fingerprint": wanted[row["doc_id"]]} for row in found)
        return rows_of(
            CHUNKS, [chunk for row in rows for chunk in _chunks(row, tokenizers, config)]
        )

    own.carry_out(diff(fingerprints(doc_ids, values), own.fingerprints()), compute, {}, WAVE)
    return own


def _chunks(
    row: dict[str, Any], tokenizers: Sequence[Tokenizer], config: ChunkingConfig
) -> Iterator[dict[str, object]]:
    elements = [
        Element(e["type"], e["text"], e["page"], tuple(e["heading_path"])) for e in row["elements"]
    ]
    for chunk in chunk_document(row["doc_id"], elements, tokenizers, config):
        yield {
            "doc_id": row["doc_id"],
            "chunk_id": chunk.chunk_id,
            "key": row["key"],
            "position": chunk.position,
            "text": chunk.text,
            "text_digest": chunk.text_digest,
            "token_count": chunk.token_count,
            "page": chunk.page,
            "heading_path": chunk.heading_path,
            "fingerprint": row["fingerprint"],
        }
