"""Tracing: from the served alias back to the bytes in the lake, every link verified.

Here: the walk along the provenance records and what makes each link hold.
Not here: writing records (provenance.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.chunks.table import CHUNKS
from platform_assets.digests import digest_of, digest_of_leaves, digest_of_rows, leaves, row_digests
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.evaluation.table import EVALUATION
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Ledger, Link, Record, sha256_text
from platform_assets.queries.table import QUERIES, TRAINING_PAIRS
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.vector_indexes.parts import digest_of_parts, parts_of, slices_of
from platform_assets.vector_indexes.refresh import point_fingerprint
from resources.object_store import ObjectStore
from resources.vector_store import Collection, VectorStore
from resources.warehouse import Scope, TableSpec, Warehouse

TABLES = {
    "raw_objects": RAW_OBJECTS,
    "documents": DOCUMENTS,
    "chunks": CHUNKS,
    "queries": QUERIES,
    "training_pairs": TRAINING_PAIRS,
    "embeddings": EMBEDDINGS,
    "retrieval_evaluation": EVALUATION,
}
COSINE_FLOOR = 0.999
"""Least cosine between a vector in the collection and the one in the table."""
BLOCK = 10_000
"""Points read at a time."""
SHOWN = 3


@dataclass(frozen=True, slots=True)
class TracedLink:
    """One link of the chain."""

    asset: str
    partition: str
    snapshot: str | None
    digest: str
    ok: bool
    why: str


@dataclass(frozen=True)
class Tracer:
    """Verifies records against what the layers hold now."""

    lake: ObjectStore
    warehouse: Warehouse
    vectors: VectorStore
    checkpoints: CheckpointStore

    def trace(self, corpus: str) -> list[TracedLink]:
        """The chain behind the published index of a corpus, the alias first.

        Raises:
            LookupError: nothing is published for the corpus.
        """
        served = self.vectors.served(corpus)
        if served is None:
            raise LookupError(
                f"{corpus} has no published index: run `lakeloom materialize --corpus {corpus}`"
            )
        found: dict[str, TracedLink] = {}
        ledger = Ledger(self.lake)
        pending = [(f"published_index/{corpus}", Link(served.record, ""))]
        while pending:
            name, link = pending.pop(0)
            if link.record in found:
                continue
            try:
                record = ledger.get(link.record)
            except (FileNotFoundError, ValueError) as error:
                why = str(error) or f"record {link.record[:12]} is gone"
                found[link.record] = _broken(name, link, why)
                continue
            if record.name != name:
                found[link.record] = _broken(name, link, f"its record is of {record.name}")
                continue
            found[link.record] = self._verified(record, link)
            pending += record.upstream.items()
        return list(found.values())

    @cached_property
    def _forgotten(self) -> frozenset[str]:
        """Records that an erasure made unreadable on purpose, such as an old training's."""
        return Ledger(self.lake).forgotten()

    def _verified(self, record: Record, link: Link) -> TracedLink:
        if record.record_id in self._forgotten:
            why = "forgotten: its rows went with an erased document"
            return TracedLink(record.asset, record.partition, None, record.digest, True, why)
        faults = []
        if link.digest and link.digest != record.digest:
            faults.append("the record's digest is not the one its downstream was made from")
        try:
            faults += self._faults(record)
        except Exception as error:  # noqa: BLE001 - whatever cannot be read is a broken link
            faults.append(f"cannot be read: {type(error).__name__}: {error}")
        why = "; ".join(faults) or "holds"
        return TracedLink(
            record.asset, record.partition, record.snapshot, record.digest, not faults, why
        )

    def _faults(self, record: Record) -> list[str]:
        checks: dict[str, Callable[[Record], Iterator[str]]] = {
            "checkpoints": self._checkpoint,
            "vector_index": self._collection,
            "published_index": self._alias,
            "raw_objects": self._objects,
            "documents": self._documents,
        }
        return list(checks.get(record.asset, self._table)(record))

    def _table(self, record: Record) -> Iterator[str]:
        table = TABLES[record.asset]
        yield from self._rows(table, record, record.snapshot, record.digest)
        yield from self._head(table, record, record.snapshot)

    def _rows(
        self, table: TableSpec, record: Record, snapshot: str | None, expected: str
    ) -> Iterator[str]:
        if snapshot is None:
            rows = table.schema.empty_table()
        else:
            rows = self.warehouse.scan(
                table, _scope(table, record), _traced(table), snapshot=snapshot
            )
        digests = pa.array(row_digests(rows, table.content), pa.string())
        read = rows.select(list(dict.fromkeys([table.group, table.key])))
        read = read.append_column("digest", digests)
        # Tables of few rows have one digest of them all, as every table had at first.
        if expected in (
            digest_of_leaves(leaves(self.warehouse, table, read)),
            digest_of(read, table.key),
        ):
            return
        altered = _altered(table, rows)
        which = f": rows {_some(altered)}" if altered else ": rows are missing or were added"
        yield f"table {table.name} was altered after it was materialised{which}"

    def _head(self, table: TableSpec, record: Record, pinned: str | None) -> Iterator[str]:
        """Rows as they are now; which there are may differ, since a run may be under way."""
        head = self.warehouse.snapshot(table)
        if head == pinned:
            return
        rows = self.warehouse.scan(table, _scope(table, record), _traced(table), snapshot=head)
        if altered := _altered(table, rows):
            yield f"table {table.name} was altered after it was materialised: rows {_some(altered)}"

    def _documents(self, record: Record) -> Iterator[str]:
        details = record.details
        yield from self._rows(DOCUMENTS, record, record.snapshot, details["accepted"])
        rejected_snapshot = details["rejected_snapshot"] or None
        yield from self._rows(REJECTED_DOCUMENTS, record, rejected_snapshot, details["rejected"])
        yield from self._head(DOCUMENTS, record, record.snapshot)
        yield from self._head(REJECTED_DOCUMENTS, record, rejected_snapshot)

    def _objects(self, record: Record) -> Iterator[str]:
        yield from self._table(record)
        if record.record_id == self._live(record.partition):
            yield from self._bytes(record)

    def _live(self, corpus: str) -> str | None:
        """The manifest behind what is served; that of an earlier training may be outdated."""
        served = self.vectors.served(corpus)
        ledger = Ledger(self.lake)
        if served is None:
            return None
        names = [f"vector_index/{corpus}|{served.encoder}"]
        names += [f"{asset}/{corpus}" for asset in ("chunks", "documents", "raw_objects")]
        found = served.record
        for name in names:
            try:
                found = ledger.get(found).upstream[name].record
            except (FileNotFoundError, ValueError, KeyError):
                return None  # the broken record is named where the walk meets it
        return found

    def _bytes(self, record: Record) -> Iterator[str]:
        scope = {"corpus": record.partition}
        rows = self.warehouse.scan(RAW_OBJECTS, scope, ["key", "sha256"], snapshot=record.snapshot)
        broken = []
        for row in rows.to_pylist():
            try:
                found = self.lake.sha256(f"{record.partition}/{row['key']}")
            except FileNotFoundError:
                found = ""
            if found != row["sha256"]:
                broken.append(row["key"])
        if broken:
            yield f"objects changed or gone since they were indexed: {_some(broken)}"

    def _checkpoint(self, record: Record) -> Iterator[str]:
        kept = {record.details[part] for part in ("checkpoint", "base") if part in record.details}
        for part in sorted(kept):
            if fault := self.checkpoints.broken(part):
                yield fault

    def _collection(self, record: Record) -> Iterator[str]:
        name, parts = record.details["collection"], parts_of(record.details)
        altered = self.vectors.parts(name) != tuple(parts.values())
        digests = {}
        for place, part in parts.items():
            collection = self.vectors.open(part)
            points = collection.fingerprints()
            stored = dict(_stored_fingerprints(collection, sorted(points), record))
            altered |= stored != points
            digests[place] = digest_of_rows(sorted(points.items()))
            yield from self._vectors(record, place, collection, points)
        if altered or digest_of_parts(digests.items()) != record.digest:
            yield f"collection {name} was altered after it was built"

    def _vectors(
        self, record: Record, place: str, collection: Collection, points: Mapping[str, str]
    ) -> Iterator[str]:
        """Vectors of the points of a part are those of the table."""
        corpus, encoder = corpus_and_encoder(record.partition)
        scope, columns = {"corpus": corpus, "encoder": encoder}, ["chunk_id", "vector"]
        snapshot = record.details["embeddings_snapshot"]
        chosen = slices_of(place, self.warehouse.states(EMBEDDINGS, scope, snapshot))
        rows = self.warehouse.scan(EMBEDDINGS, scope, columns, snapshot=snapshot, slices=chosen)
        for batch in rows.to_batches(max_chunksize=BLOCK):
            ids: list[str] = batch.column("chunk_id").to_pylist()
            known = [position for position, chunk_id in enumerate(ids) if chunk_id in points]
            if not known:
                continue
            indexed = collection.vectors([ids[position] for position in known])
            wanted = np.stack([batch.column("vector")[position].as_py() for position in known])
            if np.einsum("ij,ij->i", indexed, wanted).min() < COSINE_FLOOR:
                name = record.details["collection"]
                yield f"vectors in collection {name} are not those of the embeddings table"
                return

    def _alias(self, record: Record) -> Iterator[str]:
        served = self.vectors.served(record.partition)
        if served is None or served.collection != record.details["collection"]:
            yield "the alias does not point at the collection that was published"
        elif (served.encoder, served.retriever) != (
            record.details["encoder"],
            record.details["retriever"],
        ):
            yield "the alias names another encoder or retriever than was published"


def _broken(name: str, link: Link, why: str) -> TracedLink:
    asset, partition = name.split("/", 1)
    return TracedLink(asset, partition, None, link.digest, False, why)


def _scope(table: TableSpec, record: Record) -> Scope:
    if table.scope == ("corpus",):
        return {"corpus": record.partition}
    return dict(zip(table.scope, corpus_and_encoder(record.partition), strict=True))


def _traced(table: TableSpec) -> list[str]:
    return list(dict.fromkeys([table.group, table.key, *table.content, "digest"]))


def _altered(table: TableSpec, rows: pa.Table) -> list[str]:
    """Keys of rows whose content is not what their digest was made of."""
    keys, stored = rows.column(table.key).to_pylist(), rows.column("digest").to_pylist()
    digests = row_digests(rows, table.content)
    return [key for key, a, b in zip(keys, digests, stored, strict=True) if a != b]


def _stored_fingerprints(
    collection: Collection, point_ids: Sequence[str], record: Record
) -> Iterator[tuple[str, str]]:
    """Fingerprint of each point, computed anew from what is stored of it."""
    embedded_by = str(record.config["embedded_by"])
    made_by = (record.code_version, embedded_by, record.details["encoder_digest"])
    schema = pa.schema([CHUNKS.schema.field(name) for name in CHUNKS.content])
    for start in range(0, len(point_ids), BLOCK):
        hits = collection.points(point_ids[start : start + BLOCK])
        chunks = [
            {
                **hit.payload,
                "chunk_id": hit.point_id,
                "text": hit.text,
                "text_digest": sha256_text(hit.text),
                "heading_path": hit.payload["heading"],
            }
            for hit in hits
        ]
        digests = row_digests(pa.Table.from_pylist(chunks, schema=schema), CHUNKS.content)
        for hit, digest in zip(hits, digests, strict=True):
            yield hit.point_id, point_fingerprint(*made_by, digest)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
