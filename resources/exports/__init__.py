"""Exports: copies of the tables in another table format, for those who read nothing else.

Here: the protocol. One file for each format implements it.
Not here: the tables themselves (resources/warehouse), what has changed (commands/export.py).
"""

from collections.abc import Collection
from typing import Protocol

import pyarrow as pa

from resources.warehouse import Scope, TableSpec


def marks(table: TableSpec) -> list[str]:
    """Columns of a table by which rows are compared, beside `place`."""
    return [table.group, "fingerprint", "digest"]


def place(table: TableSpec) -> str:
    """Column of an exported row with its bucket."""
    return f"{table.group}_bucket"


class TableExport(Protocol):
    """Tables in a folder or bucket, partitioned as the warehouse's are.

    Every method raises OSError, naming the place, where it cannot be read or written.
    """

    def rows(self, table: TableSpec, scope: Scope) -> pa.Table:
        """The `marks` and `place` of the exported rows of a scope; none if it never was."""
        ...

    def replace(
        self, table: TableSpec, scope: Scope, buckets: Collection[int], rows: pa.Table
    ) -> int:
        """In one commit: put `rows` in place of everything that a scope has in some buckets.

        Args:
            table: The table; it is made if it is not there.
            scope: Whose rows.
            buckets: Buckets of groups to replace as a whole.
            rows: All columns of the table, and `place` as int32.

        Returns:
            The table's version.
        """
        ...
