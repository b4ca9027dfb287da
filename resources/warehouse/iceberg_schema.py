"""Tables that an earlier version made: columns are added by metadata alone, nothing is rewritten.

Here: bringing a table's schema in line with its description, and how it was cut.
Not here: reading files that lack a column (iceberg_files.py).
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.warehouse import TableSpec

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata


def fitted(iceberg: "Table", table: TableSpec) -> "Table":
    """The table with every column of its description; a new column is null in the rows there are.

    Columns that the description lacks stay: a later version may have added them. A list of structs
    had better not be added: pyiceberg 0.12 makes its nulls empty lists when it writes a row again.

    Raises:
        ValueError: a column is there with a type that cannot become the one described.
    """
    from pyiceberg.exceptions import ResolveError, ValidationError

    if _holds(iceberg, table):
        return iceberg
    try:
        with iceberg.update_schema() as update:
            update.union_by_name(table.schema)
    except (ResolveError, ValidationError, ValueError) as error:
        raise _incompatible(table, str(error)) from error
    if not _holds(iceberg, table):
        raise _incompatible(table, "it is wider than this version's")
    return iceberg


def cut_into(metadata: "TableMetadata", group: str) -> int | None:
    """Number of buckets that the groups lie in; None of a table that has other groups."""
    from pyiceberg.transforms import BucketTransform

    for field in metadata.spec().fields:
        if field.name == f"{group}_bucket" and isinstance(field.transform, BucketTransform):
            return field.transform.num_buckets
    return None


def bucket_of(number: int, groups: pa.Array) -> pa.Array:
    """The bucket of each of several groups, of a number of buckets."""
    from pyiceberg.transforms import BucketTransform
    from pyiceberg.types import StringType

    if not len(groups):  # the transform cannot tell the type of an array without chunks
        return pa.array([], pa.int32())
    return BucketTransform(number).pyarrow_transform(StringType())(groups)


def _holds(iceberg: "Table", table: TableSpec) -> bool:
    return _described(table).items() <= _types(iceberg.schema()).items()


@lru_cache(maxsize=64)
def _described(table: TableSpec) -> dict[str, pa.DataType]:
    """Column -> type as Iceberg keeps it."""
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids

    return _types(_pyarrow_to_schema_without_ids(table.schema))


def _types(schema: "Schema") -> dict[str, pa.DataType]:
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return {field.name: field.type for field in schema_to_pyarrow(schema, include_field_ids=False)}


def _incompatible(table: TableSpec, why: str) -> ValueError:
    return ValueError(
        f"table {table.name} was made by another version of Lakeloom, and a column of it cannot "
        f"become what this one needs: {why}; use that version, or point LAKELOOM_CATALOG and "
        "LAKELOOM_LAKE at a new place and materialise again"
    )
