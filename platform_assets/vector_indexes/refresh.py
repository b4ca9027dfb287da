"""Builds the collection of a corpus and encoder: a clone of the last one and the difference."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.reconcile import (
    Progress,
    Report,
    diff,
    fingerprint,
    fingerprints,
    unwatched,
    waves,
)
from platform_assets.tables import digest_of_rows
from resources.vector_store import AlreadyBuiltError, Point, VectorStore
from resources.warehouse import Warehouse

WAVE_POINTS = 2_048
"""Points stored durably at a time."""


@dataclass(frozen=True, slots=True)
class IndexSource:
    """What a collection is made of."""

    corpus: str
    encoder: str
    encoder_digest: str
    dimensions: int
    chunks: str | None
    """Snapshot of the chunks."""
    embeddings: str | None
    """Snapshot of the embeddings."""
    code_version: str
    embedded_by: str
    """Code version of the embeddings; where one of the two is raised, all points are made anew."""
    generation: str = ""
    """Of the corpus's erasures (`erasure.tombstones`); a new one is a new collection."""

    def fingerprint(self, chunk_digest: str) -> str:
        """That of the point of a chunk."""
        made_by = (self.code_version, self.embedded_by, self.encoder_digest)
        return point_fingerprint(*made_by, chunk_digest)


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """A finished collection and how it came about."""

    collection: str
    digest: str
    report: Report


def point_fingerprint(
    code_version: str, embedded_by: str, encoder_digest: str, chunk_digest: str
) -> str:
    """Digest of everything a point is made of."""
    return fingerprint(code_version, embedded_by, encoder_digest, chunk_digest)


def collection_name(source: IndexSource, digest: str) -> str:
    """Name of a collection: corpus, encoder, the digest of its content, and the generation."""
    parts = (source.corpus, source.encoder, digest[:16], source.generation)
    return ".".join(part for part in parts if part)


def refresh(
    source: IndexSource,
    warehouse: Warehouse,
    vectors: VectorStore,
    last: str | None,
    progress: Progress = unwatched,
) -> BuiltIndex:
    """Build the collection for the current chunks and embeddings unless it is there already.

    Args:
        source: What to index.
        warehouse: Chunks and embeddings.
        vectors: The vector database.
        last: Collection to start from, by the same encoder; None to begin empty.
        progress: Called with the points upserted so far and those to upsert in all.
    """
    scope = {"corpus": source.corpus}
    rows = warehouse.scan(CHUNKS, scope, ["chunk_id", "doc_id", "digest"], snapshot=source.chunks)
    rows = rows.sort_by("chunk_id")
    ids, doc_ids, digests = (column.to_pylist() for column in rows.columns)
    wanted = dict(zip(ids, map(source.fingerprint, digests), strict=True))
    digest = digest_of_rows(wanted.items())
    name = collection_name(source, digest)
    report = Report(rows=len(wanted))
    if name not in vectors.collections():
        with (
            suppress(AlreadyBuiltError),  # by another run, while this one waited for it
            vectors.build(name, source.dimensions, clone_from=last) as builder,
        ):
            plan = diff(_side(wanted), _side(builder.fingerprints()))
            report.added, report.changed = len(plan.added), len(plan.changed)
            report.removed = report.work.deleted = len(plan.removed)
            builder.delete(plan.removed)
            stale = set(plan.stale)
            homes = zip(ids, doc_ids, strict=True)
            weights = Counter(doc_id for chunk_id, doc_id in homes if chunk_id in stale)
            for wave in waves(weights, WAVE_POINTS, warehouse.buckets):
                points = list(_points(source, warehouse, wave, stale))
                builder.upsert(points)
                report.work.upserted += len(points)
                progress(report.work.upserted, len(stale))
            builder.finish()
    return BuiltIndex(name, digest, report)


def _side(points: Mapping[str, str]) -> pa.Table:
    return fingerprints(list(points), list(points.values()))


def _points(
    source: IndexSource, warehouse: Warehouse, doc_ids: Sequence[str], stale: AbstractSet[str]
) -> Iterator[Point]:
    corpus = {"corpus": source.corpus}
    columns = ["chunk_id", "doc_id", "key", "text", "page", "heading_path", "digest"]
    chunks = warehouse.scan(CHUNKS, corpus, columns, doc_ids, source.chunks).to_pylist()
    scope = corpus | {"encoder": source.encoder, "encoder_digest": source.encoder_digest}
    stored = ["chunk_id", "vector"]
    rows = warehouse.scan(EMBEDDINGS, scope, stored, doc_ids, source.embeddings)
    ids, values = rows.column("chunk_id").to_pylist(), rows.column("vector").to_numpy()
    vectors = dict(zip(ids, values, strict=True))
    for chunk in chunks:
        if chunk["chunk_id"] not in stale:
            continue
        if chunk["chunk_id"] not in vectors:
            raise LookupError(
                f"a chunk of {chunk['key']} has no embedding by {source.encoder}: "
                "materialise embeddings before vector_index"
            )
        yield _point(source, chunk, vectors[chunk["chunk_id"]])


def _point(source: IndexSource, chunk: dict[str, Any], vector: Sequence[float]) -> Point:
    heading = chunk["heading_path"]
    return Point(
        point_id=chunk["chunk_id"],
        fingerprint=source.fingerprint(chunk["digest"]),
        vector=vector,
        text=chunk["text"],
        sparse_text="\n".join([*heading, chunk["text"]]),
        payload={
            "doc_id": chunk["doc_id"],
            "key": chunk["key"],
            "page": chunk["page"],
            "heading": heading,
        },
    )
