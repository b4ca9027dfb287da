"""Making a table that a catalog does not have yet.

Here: its properties, and how it is cut. Not here: the columns of those there (iceberg_schema.py).
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from resources.warehouse import TableSpec
from resources.warehouse.catalog_faults import NAMESPACE

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction

PROPERTIES = {
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
    # Bounds would repeat the beginnings of texts in manifests, which outlive the data files.
    "write.metadata.metrics.default": "counts",
    # Documents' ids are digests: by their bounds a removal leaves out files that have none of them.
    "write.metadata.metrics.column.doc_id": "truncate(16)",
    "write.parquet.row-group-limit": "32768",  # what is streamed is decoded a group at a time
}


def complete_properties(transaction: "Transaction") -> None:
    """Set those that a table of an earlier version lacks; what somebody set otherwise stays."""
    there = transaction.table_metadata.properties
    if lacking := {name: value for name, value in PROPERTIES.items() if name not in there}:
        transaction.set_properties(lacking)


def created(catalog: "Catalog", identifier: str, table: TableSpec) -> "Table":
    """A new table with its partitions, in one commit; another run may have been first."""
    from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError
    from pyiceberg.transforms import BucketTransform, IdentityTransform

    properties = {**PROPERTIES, "comment": table.comment}
    bucket: BucketTransform[str] = BucketTransform(_cut_for(catalog, table))
    # Catalogs differ in what they say of a table that somebody else has just created.
    with (
        suppress(TableAlreadyExistsError, CommitFailedException),
        catalog.create_table_transaction(
            identifier, table.schema, properties=properties
        ) as transaction,
    ):
        if transaction.table_metadata.spec().is_unpartitioned():  # SeaweedFS shows theirs
            with transaction.update_spec() as spec:
                for column in table.scope:
                    spec.add_field(column, IdentityTransform(), column)
                spec.add_field(table.group, bucket, f"{table.group}_bucket")
    return catalog.load_table(identifier)


def _cut_for(catalog: "Catalog", table: TableSpec) -> int:
    """Buckets for a new table: those of the tables with its group that are there."""
    from pyiceberg.exceptions import NoSuchTableError

    from resources.warehouse.iceberg_schema import cut_into

    for identifier in catalog.list_tables(NAMESPACE):
        with suppress(NoSuchTableError):  # it was listed, and is gone
            if number := cut_into(catalog.load_table(identifier).metadata, table.group):
                return number
    return table.buckets
