"""Rows that must go from a table's past as well.

Here: what any snapshot still holds of some groups, and deleting data files that only past
snapshots name, although these stay for other scopes.
Not here: expiry and orphans (iceberg_maintenance.py), what is erased (platform_assets/erasure).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.warehouse import Removed, Scope, TableSpec

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


def history(
    iceberg: "Table",
    table: TableSpec,
    scope: Scope,
    columns: Sequence[str],
    groups: Mapping[str, int],
) -> pa.Table:
    """Rows of some groups, given with their buckets, in any snapshot; a data file is read once."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    schema = pa.schema([table.schema.field(name) for name in columns])
    names = list(dict.fromkeys([*columns, table.group]))
    wanted = pa.array(list(groups), pa.string())
    buckets = {(f"{table.group}_bucket", bucket) for bucket in groups.values()}
    found = [schema.empty_table()]
    for path, file in _data_files(iceberg, scope).items():
        if not buckets & set(_partition(iceberg, file).items()):
            continue
        try:
            with iceberg.io.new_input(path).open() as stream:
                rows = pq.read_table(stream, columns=names)
        except FileNotFoundError:  # an earlier erasure took it
            continue
        rows = rows.filter(pc.is_in(rows.column(table.group), value_set=wanted))
        found.append(rows.select(list(columns)).cast(schema))
    return pa.concat_tables(found)


def forget(iceberg: "Table", scope: Scope, keep: Collection[str]) -> Removed:
    """Delete the data files of a scope that neither the current snapshot nor `keep` names.

    What a branch has added stays: its run may be about to publish it, and expiry drops branches
    that nobody will. What a branch began with goes, since it can be published no more.
    """
    needed = {*_data_files(iceberg, scope, _kept(iceberg, keep)), *_staged(iceberg, scope)}
    files, size = 0, 0
    for path, file in _data_files(iceberg, scope).items():
        if path not in needed and iceberg.io.new_input(path).exists():
            iceberg.io.delete(path)
            files, size = files + 1, size + file.file_size_in_bytes
    return Removed(files=files, bytes=size)


def _kept(iceberg: "Table", keep: Collection[str]) -> list["Snapshot"]:
    head = iceberg.current_snapshot()
    return [
        snapshot
        for snapshot in iceberg.metadata.snapshots
        if snapshot == head or str(snapshot.snapshot_id) in keep
    ]


def _staged(iceberg: "Table", scope: Scope) -> set[str]:
    """Data files that branches have and the table itself never had."""
    from pyiceberg.table.snapshots import ancestors_of

    heads = {ref.snapshot_id for ref in iceberg.metadata.refs.values()}
    branches = [each for each in iceberg.metadata.snapshots if each.snapshot_id in heads]
    shown = list(ancestors_of(iceberg.current_snapshot(), iceberg.metadata))
    return _data_files(iceberg, scope, branches).keys() - _data_files(iceberg, scope, shown).keys()


def _data_files(
    iceberg: "Table", scope: Scope, snapshots: Sequence["Snapshot"] | None = None
) -> dict[str, "DataFile"]:
    """Data files of a scope that some snapshots name, by default all, by path."""
    chosen = iceberg.metadata.snapshots if snapshots is None else snapshots
    manifests = {
        manifest.manifest_path: manifest
        for snapshot in chosen
        for manifest in snapshot.manifests(iceberg.io)
    }
    entries = (
        entry.data_file
        for manifest in manifests.values()
        for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True)
    )
    wanted = set(scope.items())
    return {
        file.file_path: file for file in entries if wanted <= set(_partition(iceberg, file).items())
    }


def _partition(iceberg: "Table", file: "DataFile") -> dict[str, object]:
    """Partition field -> value."""
    fields = iceberg.specs()[file.spec_id].fields
    return {field.name: file.partition[place] for place, field in enumerate(fields)}
