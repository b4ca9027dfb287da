"""A transaction that knows its table's metadata.

Here: a property of pyiceberg's, remembered, and how files are added. Not here: what is committed
(iceberg_commit.py).
pyiceberg 0.12 derives a transaction's metadata anew, by a deep copy of all snapshots, whenever it
is looked at, which is some thirty times a commit: a commit to a table of a thousand snapshots took
seconds.
"""

from typing import TYPE_CHECKING

from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.manifest import DataFile


class KnowingTransaction(Transaction):
    """Derives its metadata only after something was staged or the table was read again."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._known: tuple[TableMetadata, object, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata as it will be after the updates staged so far."""
        base, updates = self._table.metadata, self._updates
        if not updates:
            return base
        if self._known is None or self._known[0] is not base or self._known[1] is not updates:
            self._known = (base, updates, super().table_metadata)
        return self._known[2]

    def add(self, files: "Iterable[DataFile]", branch: str) -> None:
        """Append data files to a branch; manifests are merged if the table's properties say so."""
        with self._append_snapshot_producer({}, branch) as append:
            for file in files:
                append.append_data_file(file)
