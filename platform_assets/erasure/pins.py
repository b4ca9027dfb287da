"""What an erasure leaves of a corpus's past: nothing but what was made last.

Here: which records of a corpus still count after an erasure, and forgetting the others, which then
pin nothing. A pin of another corpus stays; it keeps nothing of this one.
Not here: pins in general (platform_assets/maintenance/pins.py).
"""

from collections.abc import Iterable, Mapping

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.maintenance.pins import named_snapshots, served_ids
from platform_assets.provenance import Ledger, Record
from resources.vector_store import VectorStore

OF_NO_CORPUS = (
    *("recipes", "checkpoints", "promoted_encoder", "language_models", "table_maintenance"),
)
"""Assets whose partitions are recipes or tables."""


def forget_past(corpus: str, ledger: Ledger, vectors: VectorStore) -> Mapping[str, frozenset[str]]:
    """Make the ledger forget what of the corpus was not made last; returns what was.

    To be called when the corpus was carried through without the document.

    Returns:
        Table -> snapshots that the corpus was last made from, which hold nothing erased.
    """
    own = _last_made(corpus, ledger)
    everything = ledger.chain([*ledger.latest_ids(), *served_ids(ledger, vectors)])
    of_corpus = {key for key, record in everything.items() if is_of(record, corpus)}
    ledger.forget(sorted(of_corpus - own.keys()))
    return _by_table(own.values())


def is_of(record: Record, corpus: str) -> bool:
    """Whether a record is of a partition of the corpus."""
    return record.asset not in OF_NO_CORPUS and record.partition.split("|")[0] == corpus


def _last_made(corpus: str, ledger: Ledger) -> dict[str, Record]:
    """Records of what was made last of the corpus by present encoders, and what is served of.

    Of the others nothing is followed: training pairs that were kept, and whatever was trained on
    them, may have come from what is erased.
    """
    present = {corpus, *(f"{corpus}|{encoder}" for encoder in load_recipes())}
    found = {
        record_id: record
        for record_id in ledger.latest_ids()
        if is_of(record := ledger.get(record_id), corpus) and record.partition in present
    }
    pending = [each for each in found if found[each].asset == "published_index"]
    while pending:
        upstream = ledger.get(pending.pop()).upstream.values()
        behind = {link.record: ledger.get(link.record) for link in upstream}
        own = {record_id: record for record_id, record in behind.items() if is_of(record, corpus)}
        pending += own
        found |= own
    return found


def _by_table(records: Iterable[Record]) -> dict[str, frozenset[str]]:
    snapshots: dict[str, set[str]] = {}
    for record in records:
        for table, snapshot in named_snapshots(record):
            snapshots.setdefault(table, set()).add(snapshot)
    return {table: frozenset(found) for table, found in snapshots.items()}
