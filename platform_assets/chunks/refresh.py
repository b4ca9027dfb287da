"""Brings the chunks of a corpus in line with its documents."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.chunks.chunking import ChunkingConfig, chunk_document
from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.reconcile import diff, fingerprint, fingerprints
from platform_assets.slices import Slices, Source
from platform_assets.streams import computed, cut
from platform_assets.tables import OwnRows, carry_out, rows_of
from resources.encoding import Tokenizer
from resources.engines import Engine
from resources.object_store import ObjectStore
from resources.parsing import Element
from resources.warehouse import Warehouse

WAVE_BYTES = 16 * 1024 * 1024
"""Bytes of the documents whose chunks are committed together."""
LEAST_BYTES = 4 * 1024
"""What a document counts for at least."""
Fingerprinted = tuple[str, str]
"""Id of a document and the fingerprint that its chunks are to have."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Documents in, rows of their chunks out; implements `engines.Task`."""

    corpus: str
    warehouse: Warehouse
    snapshot: str | None
    tokenizers: Sequence[Tokenizer]
    config: ChunkingConfig
    encodes: bool = False

    def open(self, _: int | None) -> Callable[[Sequence[Fingerprinted]], Iterable[pa.Table]]:
        """The function of a batch; the tokenizers' threads take the cores they are given."""
        return self._work

    def _work(self, batch: Sequence[Fingerprinted]) -> Iterator[pa.Table]:
        wanted = dict(batch)
        columns = ["doc_id", "key", "elements"]
        found = self.warehouse.scan(
            DOCUMENTS, {"corpus": self.corpus}, columns, list(wanted), self.snapshot
        )
        rows = (row | {"fingerprint": wanted[row["doc_id"]]} for row in found.to_pylist())
        chunks = (chunk for row in rows for chunk in _chunks(row, self.tokenizers, self.config))
        yield rows_of(CHUNKS, list(chunks))


def refresh(
    documents: Source,
    lake: ObjectStore,
    warehouse: Warehouse,
    tokenizers: Sequence[Tokenizer],
    config: ChunkingConfig,
    engine: Engine,
    code_version: str,
    branch: str | None = None,
) -> OwnRows:
    """Chunk the documents whose content, or whose chunking, has changed.

    `documents` are those that their provenance pins; for `branch` see `OwnRows`.
    """
    corpus = documents.scope["corpus"]
    scope = {"corpus": corpus}
    chunker = [config.digest, *(tokenizer.digest for tokenizer in tokenizers)]
    made_by, now = (code_version, *chunker), Source.now(warehouse, CHUNKS, scope)
    slices = Slices(lake, warehouse, f"chunks/{corpus}", made_by, [documents], [now])
    parsed = documents.scan(warehouse, ["doc_id", "digest"], slices.open)
    digests = parsed.column("digest").to_pylist()
    values = [fingerprint(code_version, digest, *chunker) for digest in digests]
    own = OwnRows(warehouse, CHUNKS, scope, branch, slices)
    wanted = fingerprints(parsed.column("doc_id"), values)
    plan = diff(wanted, own.fingerprints())
    chosen = wanted.filter(pc.is_in(wanted.column("id"), pa.array(plan.stale, pa.string())))
    prints = dict(zip(*(column.to_pylist() for column in chosen.columns), strict=True))
    sizes = _sizes(warehouse, corpus, plan.stale, slices.open)

    def batches(wave: Sequence[str]) -> list[list[Fingerprinted]]:
        parts = cut(wave, sizes, engine.parts)
        return [[(doc_id, prints[doc_id]) for doc_id in part] for part in parts]

    def committed() -> Iterator[tuple[Sequence[str], Sequence[pa.Table]]]:
        task = Chunk(corpus, warehouse, documents.snapshot, tokenizers, config)
        waves = own.waves(plan, sizes, WAVE_BYTES)
        for wave, tables in computed(engine, task, waves, batches):
            yield wave, [pa.concat_tables([rows_of(CHUNKS, []), *tables])]

    carry_out(plan.removed, committed(), [own])
    return own


def _sizes(
    warehouse: Warehouse, corpus: str, doc_ids: Sequence[str], slices: Collection[int]
) -> dict[str, int]:
    """Bytes of documents as the manifest has them, which only says how large waves are."""
    if not doc_ids:
        return {}
    found = warehouse.scan(RAW_OBJECTS, {"corpus": corpus}, ["doc_id", "size"], slices=slices)
    found = found.filter(pc.is_in(found.column("doc_id"), pa.array(doc_ids, pa.string())))
    sizes = pc.max_element_wise(found.column("size"), LEAST_BYTES).to_pylist()
    return dict(zip(found.column("doc_id").to_pylist(), sizes, strict=True))


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
