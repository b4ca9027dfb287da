"""The data files of a scope: which there are, and reading them at once.

Here: a table's plain data files as one Arrow dataset, several times as fast as pyiceberg, which
reads them one by one in Python.
Not here: which rows lie in which file (iceberg_slices.py), tables and commits (iceberg.py).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import chain
from operator import and_
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from resources.warehouse.iceberg_slices import Sliced

KEPT = 16
"""Plans that are remembered; one has some kilobytes a file."""
READERS = 8
"""Manifests that are read at a time."""
BATCH = 16_384
"""Rows handed on at a time: 25 MB of vectors."""

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import DataScan, FileScanTask
    from pyiceberg.table.metadata import TableMetadata

Chosen = tuple[Sequence["FileScanTask"], pc.Expression | None]
"""Some files and which of their rows; None is all."""


class Plans:
    """Which files a scope has as of a snapshot.

    Neither snapshots nor manifests ever change: one look at each will do, and a commit leaves most
    of a large table's manifests as they are.
    """

    def __init__(self) -> None:
        self._kept: dict[object, Sequence[FileScanTask]] = {}
        self._manifests: dict[object, dict[str, Sequence[FileScanTask]]] = {}
        self._lock = Lock()

    def files(self, planned: "DataScan") -> "Sequence[FileScanTask]":
        """The files of a scan; none of a table without a snapshot."""
        at = planned.snapshot()
        if at is None:
            return ()
        scope = (planned.table_metadata.table_uuid, str(planned.row_filter))
        key = (at.snapshot_id, *scope)
        with self._lock:
            if key not in self._kept:
                known = self._manifests.pop(scope, {})
                for kept in (self._kept, self._manifests):
                    if len(kept) >= KEPT:
                        kept.pop(next(iter(kept)))
                self._manifests[scope] = self._planned(planned, at.manifests(planned.io), known)
                self._kept[key] = tuple(chain.from_iterable(self._manifests[scope].values()))
            return self._kept[key]

    def _planned(
        self,
        planned: "DataScan",
        manifests: "Sequence[ManifestFile]",
        known: "Mapping[str, Sequence[FileScanTask]]",
    ) -> "dict[str, Sequence[FileScanTask]]":
        """Manifest -> its files of the scan; those of `known` are not read."""
        from pyiceberg.manifest import ManifestContent
        from pyiceberg.table import ManifestGroupPlanner

        if any(each.content != ManifestContent.DATA for each in manifests):
            return {"": tuple(planned.plan_files())}  # some tell of deleted rows of others' files
        planner = ManifestGroupPlanner(planned.table_metadata, planned.io, planned.row_filter)

        def files(manifest: "ManifestFile") -> "Sequence[FileScanTask]":
            path = manifest.manifest_path
            return known[path] if path in known else tuple(planner.plan_files([manifest]))

        with ThreadPoolExecutor(READERS) as readers:
            found = readers.map(files, manifests)
            return {each.manifest_path: of for each, of in zip(manifests, found, strict=True)}


def states(tasks: "Sequence[FileScanTask]", sliced: Sliced) -> dict[int, str]:
    """Slice -> digest of the names of the files that meet it, those of deleted rows included."""
    names: dict[int, list[str]] = {}
    for task in tasks:
        files = [file.file_path for file in (task.file, *task.delete_files)]
        for met in sliced.met_by(task):
            names.setdefault(met, []).extend(files)
    return {
        met: hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()
        for met, found in sorted(names.items())
    }


def read(
    planned: "DataScan",
    chosen: Iterable[Chosen],
    schema: pa.Schema,
    columns: Sequence[str],
    equal: Mapping[str, str],
) -> pa.Table:
    """Rows of some files of a planned scan.

    Args:
        planned: The scan; its own filter says the same as `equal`.
        chosen: Its files that are read.
        schema: All columns of the table; null in files that were written before there was one.
        columns: Columns to read, those that a choice of rows looks at among them.
        equal: Column -> the value it must have.
    """
    selected = pa.schema([schema.field(name) for name in columns])
    found = [selected.empty_table()]
    for tasks, choice in chosen:
        files = _plain(planned, tasks, schema) if tasks else None
        if files is not None:
            found.append(files.to_table(list(columns), filter=_all(equal, choice)).cast(selected))
        elif tasks:
            rows = _in_python(planned, tasks, columns).cast(selected)
            found.append(rows if choice is None else rows.filter(choice))
    return pa.concat_tables(found)


def stream(
    planned: "DataScan",
    chosen: Iterable[Chosen],
    schema: pa.Schema,
    columns: Sequence[str],
    equal: Mapping[str, str],
) -> Iterator[pa.RecordBatch]:
    """Rows of some files of a planned scan, file by file; for the arguments see `read`."""
    for task, choice in ((task, choice) for tasks, choice in chosen for task in tasks):
        files = _plain(planned, [task], schema)  # all at once would be read ahead into memory
        if files is None:
            rows = _in_python(planned, [task], columns)
            yield from (rows if choice is None else rows.filter(choice)).to_batches()
        else:
            choices = _all(equal, choice)
            yield from files.to_batches(list(columns), choices, BATCH, batch_readahead=1)


def _in_python(
    planned: "DataScan", tasks: "Sequence[FileScanTask]", columns: Sequence[str]
) -> pa.Table:
    """Rows of some files as pyiceberg reads them, whatever they are like."""
    from pyiceberg.io.pyarrow import ArrowScan

    metadata = planned.table_metadata
    projected = metadata.schema().select(*columns)
    read = ArrowScan(metadata, planned.io, projected, planned.row_filter)
    return read.to_table(tasks).select(columns)


def _plain(
    planned: "DataScan", tasks: "Sequence[FileScanTask]", schema: pa.Schema
) -> "Dataset | None":
    """The files as one dataset; None where there is more to them than their columns' names."""
    import pyarrow.dataset as ds
    from pyiceberg.io.pyarrow import PyArrowFileIO

    io = planned.io
    whole = not any(task.delete_files for task in tasks)
    if not (whole and _has_only_grown(planned.table_metadata) and isinstance(io, PyArrowFileIO)):
        return None
    located = [io.parse_location(task.file.file_path, io.properties) for task in tasks]
    scheme, netloc, _ = located[0]
    system = io.fs_by_scheme(scheme, netloc)
    paths = [path for _, _, path in located]
    return ds.dataset(paths, schema=schema, format="parquet", filesystem=system)


def _all(equal: Mapping[str, str], choice: pc.Expression | None) -> pc.Expression:
    terms = [pc.field(name) == value for name, value in equal.items()]
    return reduce(and_, terms if choice is None else [*terms, choice], pc.scalar(True))


def _has_only_grown(metadata: "TableMetadata") -> bool:
    """Whether columns were added and nothing else, so that they can be told by their names."""
    now = {field.name: (field.field_id, field.field_type) for field in metadata.schema().fields}
    earlier = (field for schema in metadata.schemas for field in schema.fields)
    return all(now.get(each.name) == (each.field_id, each.field_type) for each in earlier)
