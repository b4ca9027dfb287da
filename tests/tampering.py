"""Tables changed behind the platform's back, and set right again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from resources.warehouse import TableSpec
from tests.spies import Platform

Rows = list[dict[str, Any]]


@contextmanager
def tampered(
    platform: Platform, table: TableSpec, change: Callable[[Rows], None]
) -> Iterator[None]:
    """The rows of a table changed by a commit of somebody else's, for a while."""
    warehouse: Any = platform.state.warehouse
    iceberg = warehouse._table(table)
    before, rows = iceberg.current_snapshot().snapshot_id, iceberg.scan().to_arrow()
    changed = rows.to_pylist()
    change(changed)
    with iceberg.transaction() as transaction:
        transaction.delete("corpus != ''")
        transaction.append(pa.Table.from_pylist(changed, schema=rows.schema))
    try:
        yield
    finally:
        warehouse._table(table).manage_snapshots().set_current_snapshot(before).commit()
