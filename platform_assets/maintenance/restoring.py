"""Time travel: the index of a past published state, from the snapshots that its records pin.

Here: which state is meant, and building its collection again. Not here: serving it, which
`lakeloom rollback --to` does; the building itself (vector_indexes/refresh.py).
"""

from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.provenance import Ledger, Record
from platform_assets.reconcile import Progress, unwatched
from platform_assets.vector_indexes.parts import PARTS, is_outdated
from platform_assets.vector_indexes.refresh import BuiltIndex, IndexSource, refresh
from resources.object_store import ObjectStore
from resources.settings import UsageError
from resources.vector_store import VectorStore
from resources.warehouse import TableSpec, Warehouse

PREVIOUS = "previous"
"""Name of the state that was served before the present one."""
SHORTEST = 8
"""Digits of a record id that are enough to name it."""


def published_state(ledger: Ledger, vectors: VectorStore, corpus: str, as_of: str) -> Record:
    """The `published_index` record that a user means.

    Args:
        ledger: The records.
        vectors: Where the aliases are.
        corpus: Of which corpus.
        as_of: `previous`, or a record's id or its first digits.

    Raises:
        UsageError: there is no such state; names those there are.
    """
    if as_of == PREVIOUS:
        if before := vectors.previous(corpus):
            return ledger.get(before.record)
        raise UsageError(f"{corpus} has no earlier index")
    states = published_states(ledger, corpus)
    found = [record for key, record in states.items() if key.startswith(as_of)]
    if len(found) == 1 and len(as_of) >= SHORTEST:
        return found[0]
    known = ", ".join(key[:12] for key in states) or "none"
    raise UsageError(f"{as_of!r} names no published state of {corpus}; there are: {known}")


def published_states(ledger: Ledger, corpus: str) -> dict[str, Record]:
    """Every published state of a corpus by record id, the latest first."""
    name = f"published_index/{corpus}"
    return {key: record for key, record in ledger.newest_first() if record.name == name}


def index_of(ledger: Ledger, published: Record) -> Record:
    """The `vector_index` record of a published state."""
    name = f"vector_index/{published.partition}|{published.details['encoder']}"
    return ledger.get(published.upstream[name].record)


def rebuild(
    index: Record,
    ledger: Ledger,
    warehouse: Warehouse,
    vectors: VectorStore,
    lake: ObjectStore,
    generation: str,
    progress: Progress = unwatched,
) -> BuiltIndex:
    """Build the collection of a `vector_index` record again, unless it is still there.

    Args:
        index: The record.
        ledger: The records it goes back to.
        warehouse: The tables.
        vectors: Where to build it.
        lake: Where notes are.
        generation: The corpus's, see `erasure.tombstones`; a state of an earlier one is gone.
        progress: Called with the points upserted so far and those to upsert in all.

    Raises:
        LookupError: a snapshot that it was made from has expired, or a document of it was erased.
        ValueError: the collection is not the one that was served then.
    """
    corpus, encoder = index.partition.split("|")
    if is_outdated(index.details["collection"], generation):
        raise LookupError(
            f"a document was erased from {corpus} since: no state before that is kept"
        )
    digest = index.details["encoder_digest"]
    chunks = ledger.get(index.upstream[f"chunks/{corpus}"].record).snapshot
    embeddings = index.details["embeddings_snapshot"] or None
    for table, snapshot in ((CHUNKS, chunks), (EMBEDDINGS, embeddings)):
        _require(warehouse, table, snapshot)
    latest = ledger.latest("vector_index", index.partition)
    dimensions = int(index.details["dimensions"])
    versions = (index.code_version, str(index.config["embedded_by"]))
    made_of = (corpus, encoder, digest, dimensions, chunks, embeddings, *versions, generation)
    source = IndexSource(*made_of, PARTS in index.details)
    built = refresh(source, warehouse, vectors, lake, latest, progress)
    if (built.collection, built.digest) != (index.details["collection"], index.digest):
        raise ValueError(
            f"{built.collection} was built, {index.details['collection']} was served: "
            "the tables are not what they were; `lakeloom trace` names what was altered"
        )
    return built


def _require(warehouse: Warehouse, table: TableSpec, snapshot: str | None) -> None:
    if snapshot and snapshot not in warehouse.snapshots(table):
        raise LookupError(
            f"snapshot {snapshot} of {table.name} has expired: what is served, what was served "
            "before and the last day can be built again"
        )
