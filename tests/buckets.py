"""Where in a table a group's rows lie."""

import pyarrow as pa

from resources.warehouse import TableSpec, Warehouse


def bucket_of(warehouse: Warehouse, table: TableSpec, group: str) -> int:
    return int(warehouse.buckets(table, pa.array([group]))[0].as_py())
