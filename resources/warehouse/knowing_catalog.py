"""A SQL catalog that knows the metadata of its tables.

Here: what was parsed or committed last, remembered by the name of its file, which never changes.
Not here: opening a catalog (sql_catalog.py).
pyiceberg 0.12 reads and parses a table's metadata, all its snapshots, whenever it loads the table:
in a run that changes one document, a hundred times.
"""

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import TableRequirement, TableUpdate


class KnowingCatalog(SqlCatalog):
    """Reads a table's metadata only where the database names another file than the last one."""

    def __init__(self, name: str, **properties: str) -> None:
        self._known: dict[str, tuple[str, TableMetadata]] = {}
        super().__init__(name, **properties)

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        known = self._known.get(orm_table.table_name)
        if known is None or known[0] != orm_table.metadata_location:
            table = super()._convert_orm_to_iceberg(orm_table)
            self._known[orm_table.table_name] = (table.metadata_location, table.metadata)
            return table
        location, metadata = known
        return Table(
            identifier=(*self.identifier_to_tuple(orm_table.table_namespace), orm_table.table_name),
            metadata=metadata,
            metadata_location=location,
            io=self._load_file_io(metadata.properties, location),
            catalog=self,
        )

    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """Commit, and know what was committed.

        Raises:
            CommitFailedException: somebody else was first.
        """
        done = super().commit_table(table, requirements, updates)
        self._known[table.name()[-1]] = (done.metadata_location, done.metadata)
        return done
