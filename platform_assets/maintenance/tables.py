"""The upkeep of one table: merge, expire, remove, and say what that changed."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from platform_assets.documents.table import REJECTED_DOCUMENTS
from platform_assets.tracing import TABLES
from resources.warehouse import Compacted, Footprint, Removed, TableSpec, Warehouse

ALL_TABLES = {table.name: table for table in (*TABLES.values(), REJECTED_DOCUMENTS)}
TARGET_BYTES = 64 * 1024 * 1024
"""Size to which small files are merged: what a scan reads at a time."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What the upkeep of a table did."""

    before: Footprint
    after: Footprint
    compacted: Compacted
    expired: Removed
    orphans: Removed
    pinned: int
    """Snapshots that were kept because something is made from them."""

    def figures(self) -> dict[str, int]:
        """For the UI and the report."""
        sides = {"before": self.before, "after": self.after}
        counts = {
            f"{name.replace('_', ' ')} {side}": count
            for side, found in sides.items()
            for name, count in asdict(found).items()
        }
        return counts | {
            "files merged": self.compacted.files_before,
            "snapshots expired": self.expired.snapshots,
            "files of expired snapshots removed": self.expired.files,
            "orphans removed": self.orphans.files,
            "snapshots pinned": self.pinned,
        }


def maintain(
    warehouse: Warehouse, table: TableSpec, keep: Collection[str], older_than: datetime
) -> Upkeep:
    """Merge small files, expire snapshots but those in `keep`, remove what nothing refers to.

    Args:
        warehouse: Where the table is.
        table: Which one.
        keep: Pinned snapshots.
        older_than: Aware; what was in use at this time or later stays.
    """
    before = warehouse.footprint(table)
    compacted = warehouse.compact(table, TARGET_BYTES)
    expired = warehouse.expire(table, keep, older_than)
    orphans = warehouse.remove_orphans(table, older_than)
    after = warehouse.footprint(table)
    pinned = len(set(keep) & set(warehouse.snapshots(table)))
    return Upkeep(before, after, compacted, expired, orphans, pinned)
