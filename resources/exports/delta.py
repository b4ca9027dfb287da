"""Delta Lake through deltalake: a folder or an object store, no Spark.

Here: reading and replacing partitions of a Delta table. Not here: which ones have changed.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from resources.exports import marks, place
from resources.object_store.clients import s3_place
from resources.settings import UsageError, installing, redacted
from resources.warehouse import Scope, TableSpec

if TYPE_CHECKING:
    from deltalake import DeltaTable


class DeltaExport:
    """Delta tables `ROOT/<name>`, partitioned by scope and bucket.

    Args:
        root: A folder, or a URL; credentials come from each object store's own variables.

    Raises:
        UsageError: the package deltalake is not installed.
    """

    def __init__(self, root: str) -> None:
        try:
            import deltalake  # noqa: F401
        except ModuleNotFoundError:
            raise UsageError(f"--format delta needs {installing('delta')}") from None
        self._root = root.rstrip("/") if "://" in root else str(Path(root).absolute())

    def rows(self, table: TableSpec, scope: Scope) -> pa.Table:
        """The `marks` and `place` of the exported rows of a scope."""
        fields = [*(table.schema.field(name) for name in marks(table)), (place(table), pa.int32())]
        columns = pa.schema(fields)
        with self._clear_errors():
            found = self._table(table)
            if found is None:
                return columns.empty_table()
            conditions = [pc.field(name) == value for name, value in scope.items()]
            dataset = found.to_pyarrow_dataset()
            rows: pa.Table = dataset.to_table(columns.names, filter=reduce(and_, conditions))
            return rows

    def replace(
        self, table: TableSpec, scope: Scope, buckets: Collection[int], rows: pa.Table
    ) -> int:
        """In one commit: put `rows` in place of everything that a scope has in some buckets."""
        from deltalake import write_deltalake

        bucket = place(table)
        conditions = [f"{name} = '{value}'" for name, value in scope.items()]  # checked slugs
        conditions.append(f"{bucket} IN ({', '.join(map(str, sorted(buckets)))})")
        with self._clear_errors():
            there = self._table(table) is not None
            write_deltalake(
                self._location(table),
                rows,
                partition_by=[*table.scope, bucket],
                mode="overwrite",
                predicate=" AND ".join(conditions) if there else None,
                name=table.name,
                description=table.comment,
                storage_options=_options(),
            )
            written = self._table(table)
        return int(written.version()) if written else 0

    def _location(self, table: TableSpec) -> str:
        return f"{self._root}/{table.name}"

    def _table(self, table: TableSpec) -> "DeltaTable | None":
        from deltalake import DeltaTable

        location = self._location(table)
        if not DeltaTable.is_deltatable(location, storage_options=_options()):
            return None
        return DeltaTable(location, storage_options=_options())

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError) as error:
            place = redacted(self._root) if "://" in self._root else self._root
            why = str(error).split("\n", 1)[0]
            raise OSError(f"cannot export to {place}: {why}") from None


def _options(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Whoever sets an endpoint of http:// chose to do without TLS."""
    endpoint, _ = s3_place(env)
    return {"AWS_ALLOW_HTTP": "true"} if (endpoint or "").startswith("http:") else {}
