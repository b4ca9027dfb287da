"""The warehouse on Apache Iceberg through pyiceberg.

Here: tables, scans and atomic replacement of groups of rows. Not here: what the tables mean.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import lru_cache, partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from resources.process_lock import alone
from resources.warehouse import MAIN, Compacted, Footprint, Known, Removed, Scope, TableSpec
from resources.warehouse.catalog_faults import NAMESPACE, clear_errors, patiently
from resources.warehouse.iceberg_commit import commit, until_nobody_interferes
from resources.warehouse.iceberg_files import Chosen, Plans, read, states, stream
from resources.warehouse.iceberg_schema import bucket_of, cut_into
from resources.warehouse.iceberg_slices import Sliced, slices_of

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import DataScan, Table

Done = TypeVar("Done")


class IcebergWarehouse:
    """Iceberg tables in one namespace of a catalog.

    Args:
        catalog: Where they are named.
        locks: Folder by which writers on this machine take turns; without it, and between
            machines, whoever is second does its commit again, and a slow one may starve.
    """

    def __init__(self, catalog: "Catalog", locks: Path | None = None) -> None:
        self._catalog = catalog
        self._locks = locks
        self._plans = Plans()
        self._cuts: dict[str, int] = {}

    def __reduce__(self) -> tuple[Callable[..., "IcebergWarehouse"], tuple[object, ...]]:
        """Pickled as what opens its catalog, the database's password included."""
        catalog = self._catalog
        return _reopened, (type(catalog), catalog.name, catalog.properties, self._locks)

    def snapshot(self, table: TableSpec, branch: str | None = None) -> str | None:
        """Id of the current snapshot of the table, or of a branch of it."""
        return _head(self._table(table), branch or MAIN)

    def scan(
        self,
        table: TableSpec,
        scope: Scope,
        columns: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        snapshot: str | None = None,
        slices: Collection[int] | None = None,
    ) -> pa.Table:
        """Rows of one scope, optionally of some groups or slices, optionally as of a snapshot."""
        schema = _selected(table.schema, columns)
        chooser = [] if groups is None and slices is None else [table.group]
        names = list(dict.fromkeys([*schema.names, *chooser]))
        planned = self._scan(table, scope, names, snapshot)
        chosen = self._chosen(table, planned, groups, slices)
        found = read(planned, chosen, table.schema, names, scope)
        return found.select(schema.names).cast(schema)

    def states(self, table: TableSpec, scope: Scope, snapshot: str | None = None) -> dict[int, str]:
        """Slice -> digest of the names of its data files."""
        planned = self._scan(table, scope, [table.group], snapshot)
        return states(self._plans.files(planned), Sliced(planned.table_metadata, table.group))

    def batches(
        self,
        table: TableSpec,
        scope: Scope,
        columns: Sequence[str] | None = None,
        snapshot: str | None = None,
        slices: Collection[int] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Like `scan`, streamed."""
        schema = _selected(table.schema, columns)
        chooser = [] if slices is None else [table.group]
        names = list(dict.fromkeys([*schema.names, *chooser]))
        planned = self._scan(table, scope, names, snapshot)
        chosen = self._chosen(table, planned, None, slices)
        for batch in stream(planned, chosen, table.schema, names, scope):
            yield pa.RecordBatch.from_arrays(
                [batch.column(field.name).cast(field.type) for field in schema], schema=schema
            )

    def replace(
        self,
        table: TableSpec,
        scope: Scope,
        groups: Iterable[str],
        rows: pa.Table,
        known: Known | None = None,
        branch: str | None = None,
    ) -> str | None:
        """In one commit: remove the rows of `groups` in `scope`, add `rows`.

        A commit that meets another writer's rows of these groups is done again on what is there
        then, so the last writer's rows stand, once.
        """
        from resources.warehouse.iceberg_branches import begun

        groups, target = set(groups), branch or MAIN
        added = rows.select(table.schema.names).cast(table.schema)
        with clear_errors(self._catalog.properties):
            for attempt in until_nobody_interferes():
                with attempt, self._turn(table):
                    iceberg = begun(self._table(table), target)
                    unmoved = known is not None and known.snapshot == _head(iceberg, target)
                    present = groups.intersection(known.groups) if known and unmoved else groups
                    claimed, removed = (
                        _filter(scope, table.group, each) if each else None
                        for each in (groups, present)
                    )
                    base = commit(iceberg, claimed, removed, added, table.group, target)
        return _head(iceberg, target) if known and base == known.snapshot else None

    def publish(self, table: TableSpec, branch: str) -> bool:
        """Make what a branch holds the table's current rows; False if others were first."""
        from resources.warehouse.iceberg_branches import publish

        return self._committed(table, partial(publish, branch=branch))

    def drop_branch(self, table: TableSpec, branch: str) -> None:
        """Forget a branch and what was committed there."""
        from resources.warehouse.iceberg_branches import drop

        self._committed(table, partial(drop, branch=branch))

    def buckets(self, table: TableSpec, groups: pa.Array) -> pa.Array:
        """The bucket of each of several groups."""
        if table.name not in self._cuts:  # SeaweedFS shows a table a moment before its partitions
            found = cut_into(self._table(table).metadata, table.group)
            self._cuts[table.name] = found or table.buckets
        return bucket_of(self._cuts[table.name], groups)

    def slices(self, table: TableSpec, groups: pa.Array) -> pa.Array:
        """The slice of each of several groups."""
        return slices_of(self.buckets(table, groups), groups)

    def snapshots(self, table: TableSpec) -> list[str]:
        """Ids of the snapshots that can be read, the oldest first."""
        found = self._table(table).metadata.snapshots
        ordered = sorted(found, key=lambda snapshot: snapshot.sequence_number or 0)
        return [str(snapshot.snapshot_id) for snapshot in ordered]

    def expire(self, table: TableSpec, keep: Collection[str], older_than: datetime) -> Removed:
        """Expire snapshots and delete every file that none of the remaining ones needs."""
        from resources.warehouse.iceberg_maintenance import expire

        return self._committed(table, partial(expire, keep=keep, older_than=older_than))

    def remove_orphans(self, table: TableSpec, older_than: datetime) -> Removed:
        """Delete files that no snapshot needs, as crashes and lost races leave them."""
        from resources.warehouse.iceberg_maintenance import remove_orphans

        with self._turn(table):  # nobody of this machine is between a file and its commit
            return remove_orphans(self._table(table), older_than)

    def compact(self, table: TableSpec, target_bytes: int) -> Compacted:
        """Merge small files of a partition where there are more than a few; cut what slices share.

        The rows stay as they are.
        """
        from resources.warehouse.iceberg_compaction import COMMIT_BYTES, compact, scopes

        done = Compacted()
        for values in scopes(self._table(table), len(table.scope)):
            scope = _filter(dict(zip(table.scope, values, strict=True)), table.group, None)
            again = partial(compact, scope=scope, group=table.group, target_bytes=target_bytes)
            while True:
                done += (merged := self._committed(table, again))
                if merged.bytes < COMMIT_BYTES:
                    break
        return done

    def history(
        self, table: TableSpec, scope: Scope, columns: Sequence[str], groups: Sequence[str]
    ) -> pa.Table:
        """Rows of some groups in any snapshot that can be read."""
        from resources.warehouse.iceberg_erasure import history

        found = self.buckets(table, pa.array(groups, pa.string())).to_pylist()
        buckets = dict(zip(groups, found, strict=True))
        return history(self._table(table), table, scope, columns, buckets)

    def forget(self, table: TableSpec, scope: Scope, keep: Collection[str]) -> Removed:
        """Delete the data files of a scope that neither the current snapshot nor `keep` names."""
        from resources.warehouse.iceberg_erasure import forget

        with self._turn(table):
            return forget(self._table(table), scope, keep)

    def location(self, table: TableSpec) -> str:
        """URL of the folder in which all files of the table lie."""
        return self._table(table).location()

    def files(self, table: TableSpec) -> Iterator[tuple[str, BinaryIO]]:
        """Path of every file of the table, those that nothing refers to included, open to read."""
        from resources.warehouse.iceberg_maintenance import contents

        return contents(self._table(table))

    def rows(self, table: TableSpec) -> int:
        """Rows of all scopes of a table."""
        snapshot = self._table(table).current_snapshot()
        summary = snapshot.summary if snapshot else None
        return int(summary["total-records"] or 0) if summary else 0

    def footprint(self, table: TableSpec) -> Footprint:
        """What the table takes up now."""
        from resources.warehouse.iceberg_maintenance import footprint

        return footprint(self._table(table))

    def _committed(self, table: TableSpec, work: Callable[["Table"], Done]) -> Done:
        """Work that commits, done again on what is there then if somebody else was first."""

        def once() -> Done:
            with self._turn(table):
                return work(self._table(table))

        with clear_errors(self._catalog.properties):
            return until_nobody_interferes()(once)

    def _turn(self, table: TableSpec) -> AbstractContextManager[None]:
        return alone(self._locks / f"{table.name}.lock") if self._locks else nullcontext()

    def _table(self, table: TableSpec) -> "Table":
        from pyiceberg.exceptions import NoSuchTableError

        from resources.warehouse.iceberg_creation import created
        from resources.warehouse.iceberg_schema import fitted

        identifier = f"{NAMESPACE}.{table.name}"

        def loaded() -> "Table":
            try:
                return fitted(self._catalog.load_table(identifier), table)
            except NoSuchTableError:
                return created(self._catalog, identifier, table)

        return patiently(loaded, self._catalog.properties)

    def _scan(
        self,
        table: TableSpec,
        scope: Scope,
        columns: Sequence[str],
        snapshot: str | None,
    ) -> "DataScan":
        iceberg = self._table(table)
        if snapshot and iceberg.snapshot_by_id(int(snapshot)) is None:
            raise LookupError(f"snapshot {snapshot} of {table.name} is not there: it has expired")
        return iceberg.scan(
            row_filter=_filter(scope, table.group, None),
            selected_fields=tuple(columns),
            snapshot_id=int(snapshot) if snapshot else None,
        )

    def _chosen(
        self,
        table: TableSpec,
        planned: "DataScan",
        groups: Sequence[str] | None,
        slices: Collection[int] | None,
    ) -> Iterator[Chosen]:
        """The files of a planned scan in which rows of some groups or slices may be."""
        tasks, metadata = self._plans.files(planned), planned.table_metadata
        sliced = Sliced(metadata, table.group)
        if groups is not None:
            wanted = pa.array(groups, pa.string())
            number = cut_into(metadata, table.group) or table.buckets
            slices = set(slices_of(bucket_of(number, wanted), wanted).to_pylist())
            tasks = [task for some, _ in sliced.chosen(tasks, slices) for task in some]
            yield tasks, pc.field(table.group).isin(wanted)
        elif slices is not None:
            yield from sliced.chosen(tasks, slices)
        else:
            yield tasks, None


@lru_cache(maxsize=1)
def _catalog_of(kind: type["Catalog"], name: str, properties: str) -> "Catalog":
    return kind(name, **json.loads(properties))


def _reopened(
    kind: type["Catalog"], name: str, properties: Mapping[str, str], locks: Path | None
) -> IcebergWarehouse:
    """What was pickled; a process opens a catalog once."""
    return IcebergWarehouse(_catalog_of(kind, name, json.dumps(properties)), locks)


def _head(iceberg: "Table", branch: str) -> str | None:
    head = iceberg.snapshot_by_name(branch)
    return str(head.snapshot_id) if head else None


def _selected(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    return pa.schema([schema.field(name) for name in columns or schema.names])


def _filter(
    scope: Mapping[str, str], group: str, groups: Collection[str] | None
) -> "BooleanExpression":
    from pyiceberg import expressions

    typed: Any = expressions  # pyiceberg's stubs do not know its own positional arguments
    terms = [typed.EqualTo(name, value) for name, value in scope.items()]
    if groups is not None:
        terms.append(typed.In(group, set(groups)))
    everything: BooleanExpression = expressions.AlwaysTrue()
    return reduce(typed.And, terms, everything)
