"""Maintenance of an Iceberg table: expiry, orphans, and how much there is.

pyiceberg 0.12 expires snapshots in the metadata and leaves their files; it has no removal of
orphans and no compaction.

Here: what is done to one table, one attempt each. Not here: who may be kept waiting and for how
long (iceberg.py tries commits again), what has to be kept (platform_assets/maintenance/pins.py).
"""

import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO

from resources.warehouse import STAGED, Footprint, Removed
from resources.warehouse.iceberg_branches import drop

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

READ_AHEAD_BYTES = 1 << 20
"""Avro is read a byte at a time, and each read of a store is a request."""


def expire(iceberg: "Table", keep: Collection[str], older_than: datetime) -> Removed:
    """Expire snapshots in one commit, then delete the files that only they referred to.

    Files are deleted after the commit, and only those that no snapshot of the table as it is then
    refers to: a commit that goes on meanwhile builds on a snapshot that stays.
    """
    _drop_abandoned(iceberg, older_than)
    expired = [
        snapshot
        for snapshot, superseded in _superseded(iceberg)
        if str(snapshot.snapshot_id) not in keep and superseded < older_than.timestamp() * 1000
    ]
    if not expired:
        return Removed()
    had = _referenced(iceberg, expired)
    ids = [snapshot.snapshot_id for snapshot in expired]
    iceberg.maintenance.expire_snapshots().by_ids(ids).commit()
    gone = had - _referenced(iceberg, iceberg.metadata.snapshots)
    return replace(_delete(iceberg, _found(iceberg, gone)), snapshots=len(expired))


def remove_orphans(iceberg: "Table", older_than: datetime) -> Removed:
    """Delete files under the table's location that nothing refers to.

    Raises:
        RuntimeError: the listing lacks a file of the current snapshot, so it cannot be believed.
    """
    listed = list(_listed(iceberg))  # before the metadata: what is committed meanwhile is known
    iceberg.refresh()
    known = _referenced(iceberg, iceberg.metadata.snapshots) | _metadata_files(iceberg)
    head = iceberg.current_snapshot()
    missing = _referenced(iceberg, [head] if head else []) - {info.path for info in listed}
    if missing - {info.path for info in _listed(iceberg)}:
        raise RuntimeError(
            f"{iceberg.location()} does not list {min(missing)}, which the table refers to: "
            "no orphan is removed"
        )
    orphans = [info for info in listed if info.path not in known and info.mtime < older_than]
    return _delete(iceberg, orphans)


def footprint(iceberg: "Table") -> Footprint:
    """Snapshots, files and bytes of a table, old and unreferenced ones included."""
    head = iceberg.current_snapshot()
    listed = list(_listed(iceberg))
    return Footprint(
        snapshots=len(iceberg.metadata.snapshots),
        manifests=len(head.manifests(iceberg.io)) if head else 0,
        data_files=sum(1 for _ in iceberg.scan().plan_files()),
        files=len(listed),
        bytes=sum(info.size for info in listed),
    )


def _drop_abandoned(iceberg: "Table", older_than: datetime) -> None:
    """Remove the branches of runs that were killed before they published or dropped them."""
    for name, ref in dict(iceberg.metadata.refs).items():
        head = iceberg.snapshot_by_id(ref.snapshot_id)
        old = head is None or head.timestamp_ms < older_than.timestamp() * 1000
        if name.startswith(STAGED) and old:
            drop(iceberg, name)


def contents(iceberg: "Table") -> Iterator[tuple[str, BinaryIO]]:
    """Path of every file under the table's location, open to read."""
    system = _files(iceberg)
    for info in _listed(iceberg):
        with suppress(FileNotFoundError), system.open_input_file(info.path) as file:
            yield info.path, io.BufferedReader(file, READ_AHEAD_BYTES)


def _superseded(iceberg: "Table") -> Iterator[tuple["Snapshot", int]]:
    """Snapshots that no branch or tag points at, each with when the next one was made, in ms."""
    heads = {ref.snapshot_id for ref in iceberg.metadata.refs.values()}
    ordered = sorted(iceberg.metadata.snapshots, key=lambda each: each.sequence_number or 0)
    for snapshot, following in pairwise([*ordered, *ordered[-1:]]):  # of a dropped branch: itself
        if snapshot.snapshot_id not in heads:
            yield snapshot, following.timestamp_ms


def _referenced(iceberg: "Table", snapshots: Iterable["Snapshot"]) -> set[str]:
    """Paths of the manifest lists, manifests and live data files of snapshots."""
    lists, files = set(), set()
    manifests: dict[str, ManifestFile] = {}
    for snapshot in snapshots:
        lists.add(snapshot.manifest_list)
        manifests |= {found.manifest_path: found for found in snapshot.manifests(iceberg.io)}
    for manifest in manifests.values():
        entries = manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True)
        files |= {entry.data_file.file_path for entry in entries}
    return {_path(iceberg, location) for location in (*lists, *manifests, *files)}


def _metadata_files(iceberg: "Table") -> set[str]:
    """Paths of the metadata itself and of statistics."""
    metadata = iceberg.metadata
    logged = [entry.metadata_file for entry in metadata.metadata_log]
    statistics = [*metadata.statistics, *metadata.partition_statistics]
    named = [*logged, iceberg.metadata_location, *(each.statistics_path for each in statistics)]
    return {_path(iceberg, location) for location in named}


def _path(iceberg: "Table", location: str) -> str:
    """A location as the file system names it."""
    from pyiceberg.io.pyarrow import PyArrowFileIO

    return PyArrowFileIO.parse_location(location, iceberg.io.properties)[2]


def _files(iceberg: "Table") -> "FileSystem":
    from pyiceberg.io.pyarrow import PyArrowFileIO

    files = iceberg.io
    assert isinstance(files, PyArrowFileIO)
    scheme, netloc, _ = files.parse_location(iceberg.location(), files.properties)
    return files.fs_by_scheme(scheme, netloc)


def _listed(iceberg: "Table") -> Iterator["FileInfo"]:
    """Every file under the table's location."""
    from pyarrow.fs import FileSelector

    root = FileSelector(_path(iceberg, iceberg.location()), allow_not_found=True, recursive=True)
    return (info for info in _files(iceberg).get_file_info(root) if info.is_file)


def _found(iceberg: "Table", paths: Collection[str]) -> list["FileInfo"]:
    """Those of the files that are there."""
    return [info for info in _files(iceberg).get_file_info(sorted(paths)) if info.is_file]


def _delete(iceberg: "Table", files: Sequence["FileInfo"]) -> Removed:
    from pyiceberg.utils.concurrent import ExecutorFactory

    system = _files(iceberg)

    def delete(info: "FileInfo") -> None:
        try:
            system.delete_file(info.path)
        except FileNotFoundError:  # another maintenance was first
            return

    list(ExecutorFactory.get_or_create().map(delete, files))
    return Removed(files=len(files), bytes=sum(info.size for info in files))
