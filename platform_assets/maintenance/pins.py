"""Pins: the snapshots and checkpoints that something is still made from.

Here: which records count, and what they pin. Three kinds do: what is served, what a rollback would
serve, and the last materialisation of each asset partition, from which the next one is made.
Not here: what becomes of everything else (assets.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from platform_assets.documents.table import REJECTED_DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.provenance import Ledger, Record
from platform_assets.tracing import TABLES
from resources.vector_store import VectorStore

IN_DETAILS = {
    "rejected_snapshot": REJECTED_DOCUMENTS.name,
    "embeddings_snapshot": EMBEDDINGS.name,
}
"""Detail of a record -> the table of which it names a snapshot."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What may not go."""

    snapshots: Mapping[str, frozenset[str]]
    """Table -> snapshots."""
    records: frozenset[str]
    checkpoints: frozenset[str]
    """Digests of checkpoint folders."""

    def of(self, table: str) -> frozenset[str]:
        """Pinned snapshots of a table."""
        return self.snapshots.get(table, frozenset())


def pins(ledger: Ledger, vectors: VectorStore) -> Pins:
    """Everything that what is served, could be served again, or was made last goes back to.

    Raises:
        RuntimeError: a record on the way is gone or was altered, so nobody knows what it pins.
    """
    return pinned_by(ledger, [*ledger.latest_ids(), *served_ids(ledger, vectors)])


def pinned_by(ledger: Ledger, record_ids: Iterable[str]) -> Pins:
    """Like `pins`, of some records; those that an erasure made the ledger forget pin nothing."""
    try:
        records = ledger.chain(record_ids)
    except (FileNotFoundError, ValueError) as error:
        raise RuntimeError(
            f"the chain of provenance records is broken, so what it pins is unknown: {error}; "
            "`lakeloom trace CORPUS` names the link"
        ) from error
    records = {key: records[key] for key in records.keys() - ledger.forgotten()}
    snapshots: dict[str, set[str]] = {}
    for table, snapshot in (
        found for record in records.values() for found in named_snapshots(record)
    ):
        snapshots.setdefault(table, set()).add(snapshot)
    checkpoints = (record.details.get("checkpoint") for record in records.values())
    return Pins(
        {table: frozenset(found) for table, found in snapshots.items()},
        frozenset(records),
        frozenset(digest for digest in checkpoints if digest),
    )


def served_ids(ledger: Ledger, vectors: VectorStore) -> Iterator[str]:
    """Ids of the records behind what is served and what was served before, of every corpus."""
    for corpus in ledger.partitions("published_index"):
        for end in (vectors.served(corpus), vectors.previous(corpus)):
            if end is not None:
                yield end.record


def named_snapshots(record: Record) -> Iterator[tuple[str, str]]:
    """(table, snapshot) pairs in a record."""
    if record.snapshot and record.asset in TABLES:
        yield TABLES[record.asset].name, record.snapshot
    for detail, table in IN_DETAILS.items():
        if snapshot := record.details.get(detail):
            yield table, snapshot
