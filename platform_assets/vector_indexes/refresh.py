"""Builds the index of a corpus and encoder: a clone of the last collection and the difference.

A large index consists of collections with some slices of the tables each (parts.py); only those
whose slices changed are read and built, one after the other, so memory is bounded by a part.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from platform_assets.chunks.table import CHUNKS
from platform_assets.digests import digest_of_rows
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.provenance import Record, sha256_text
from platform_assets.reconcile import (
    Progress,
    Report,
    diff,
    fingerprint,
    fingerprints,
    unwatched,
    waves,
)
from platform_assets.settled import Settled
from platform_assets.vector_indexes.measuring import Measuring
from platform_assets.vector_indexes.parts import (
    PARTS,
    WHOLE,
    details_of,
    digest_of_parts,
    is_outdated,
    parts_of,
    slices_of,
    states_of_parts,
)
from resources.object_store import ObjectStore
from resources.vector_store import AlreadyBuiltError, Point, VectorStore
from resources.warehouse import Warehouse

WAVE_POINTS = 2_048
"""Points stored durably at a time."""
TRIES = 3
"""How often parts are made again that another run dropped before anything consisted of them."""


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
    large: bool = False
    """Whether it is made of parts (`parts.is_large`)."""

    def fingerprint(self, chunk_digest: str) -> str:
        """That of the point of a chunk."""
        made_by = (self.code_version, self.embedded_by, self.encoder_digest)
        return point_fingerprint(*made_by, chunk_digest)


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """A finished index and how it came about."""

    collection: str
    digest: str
    report: Report
    parts: Mapping[str, str]
    """Part -> collection (`parts.parts_of`)."""

    @property
    def details(self) -> dict[str, str]:
        """What a record says of it."""
        return details_of(self.collection, self.parts)


@dataclass(frozen=True, slots=True)
class Part:
    """A finished collection of some slices, or of all."""

    collection: str
    digest: str
    points: int


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
    lake: ObjectStore,
    latest: Record | None,
    progress: Progress = unwatched,
) -> BuiltIndex:
    """Build the index of the current chunks and embeddings unless it is there already.

    Args:
        source: What to index.
        warehouse: Chunks and embeddings.
        vectors: The vector database.
        lake: Where notes about parts and collections are.
        latest: Record of the last index of the corpus and encoder. Its collections are the start,
            unless their vectors are another encoder's, they keep what was erased, or they are cut
            otherwise.
        progress: Called with the points upserted so far and those to upsert in all, of parts those
            in the ones begun.
    """
    if latest:
        Measuring(lake, warehouse, vectors).forget_missing(latest)
    builder = _Builder(source, warehouse, vectors, _to_clone(source, latest), progress)
    if source.large:
        return _refresh_parts(builder, lake)
    whole = builder.part(WHOLE, None)
    builder.report.rows = whole.points
    return BuiltIndex(whole.collection, whole.digest, builder.report, {WHOLE: whole.collection})


def _to_clone(source: IndexSource, latest: Record | None) -> dict[str, str]:
    """Part -> the collection to start from."""
    if latest is None or latest.details["encoder_digest"] != source.encoder_digest:
        return {}
    if is_outdated(latest.details["collection"], source.generation):
        return {}  # a clone would keep the bytes of what was erased
    return parts_of(latest.details) if (PARTS in latest.details) is source.large else {}


def _refresh_parts(builder: "_Builder", lake: ObjectStore) -> BuiltIndex:
    """Build the parts that differ and gather all.

    Until then nothing consists of the new ones, so another encoder's publication may drop them.
    """
    source = builder.source
    for left in reversed(range(TRIES)):
        parts = _parts(builder, lake)
        digest = digest_of_parts((place, part.digest) for place, part in parts.items())
        named = {place: part.collection for place, part in parts.items()}
        name = collection_name(source, digest)
        try:
            builder.vectors.gather(name, list(named.values()))
            break
        except LookupError:
            if not left:
                raise
    builder.report.rows = sum(part.points for part in parts.values())
    gone = [name for place, name in builder.last.items() if place not in parts]
    builder.report.removed += sum(map(builder.size, gone))
    return BuiltIndex(name, digest, builder.report, named)


def _parts(builder: "_Builder", lake: ObjectStore) -> dict[str, Part]:
    """The parts with chunks; one whose files are those of the last time is not read.

    Killed between two parts, a run finds the finished ones by their names.
    """
    source, scope = builder.source, {"corpus": builder.source.corpus}
    made_by = (source.code_version, source.embedded_by, source.encoder_digest, source.generation)
    slices = builder.warehouse.states(CHUNKS, scope, source.chunks)
    states = {
        place: sha256_text("|".join([state, *made_by, str(source.dimensions)]))
        for place, state in states_of_parts(slices).items()
    }
    settled = Settled.read(lake, f"vector_index/{source.corpus}|{source.encoder}", states)
    finished = set(builder.vectors.collections())
    known = {place: Part(**noted) for place, noted in settled.known.items()}
    parts = {
        place: known[place]
        if place in known and known[place].collection in finished
        else builder.part(place, slices_of(place, slices))
        for place in states
    }
    settled.keep(states, {place: asdict(part) for place, part in parts.items()})
    return parts


@dataclass(slots=True)
class _Builder:
    """Builds collections and counts what that took."""

    source: IndexSource
    warehouse: Warehouse
    vectors: VectorStore
    last: Mapping[str, str]
    """Part -> collection to start from."""
    progress: Progress
    report: Report = field(default_factory=Report)
    begun: int = 0
    """Points to upsert in the collections begun."""

    def part(self, place: str, slices: Collection[int] | None) -> Part:
        """The collection of a part with some slices, or all, built unless it is there."""
        source, columns = self.source, ["chunk_id", "doc_id", "digest"]
        scope = {"corpus": source.corpus}
        rows = self.warehouse.scan(CHUNKS, scope, columns, snapshot=source.chunks, slices=slices)
        rows = rows.sort_by("chunk_id")
        ids, doc_ids, digests = (column.to_pylist() for column in rows.columns)
        wanted = dict(zip(ids, map(source.fingerprint, digests), strict=True))
        digest = digest_of_rows(wanted.items())
        name = collection_name(source, digest)
        if name not in self.vectors.collections():
            homes = dict(zip(ids, doc_ids, strict=True))
            with suppress(AlreadyBuiltError):  # by another run, while this one waited for it
                self._build(name, wanted, homes, self.last.get(place))
        return Part(name, digest, len(wanted))

    def size(self, name: str) -> int:
        """Points of a collection that may be gone."""
        there = name in self.vectors.collections()
        return len(self.vectors.open(name).ids()) if there else 0

    def _build(
        self, name: str, wanted: Mapping[str, str], homes: Mapping[str, str], last: str | None
    ) -> None:
        source, report = self.source, self.report
        with self.vectors.build(name, source.dimensions, clone_from=last) as builder:
            plan = diff(_side(wanted), _side(builder.fingerprints()))
            report.added += len(plan.added)
            report.changed += len(plan.changed)
            report.removed += len(plan.removed)
            report.work.deleted += len(plan.removed)
            builder.delete(plan.removed)
            stale = set(plan.stale)
            self.begun += len(stale)
            weights = Counter(homes[chunk_id] for chunk_id in stale)
            places = partial(self.warehouse.slices, CHUNKS)
            for wave in waves(weights, WAVE_POINTS, places):
                points = list(_points(source, self.warehouse, wave, stale))
                builder.upsert(points)
                report.work.upserted += len(points)
                self.progress(report.work.upserted, self.begun)
            builder.finish()


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
