"""Slices: the groups of a bucket in the order of their ids, cut into `SLICES`.

A bucket of a large table has tens of thousands of rows, of which a change touches few. Its files
are therefore written slice by slice, and manifests keep the bounds of documents' ids, so that a
slice can be found, read and told from its former self without the rest. A bucket with few rows has
one file for all its slices.

Here: which slice a group is in, which a file meets, how rows are cut into files.
Not here: reading files (iceberg_files.py), commits (iceberg_commit.py).
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import reduce
from itertools import count
from operator import or_
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from resources.warehouse import SLICES
from resources.warehouse.iceberg_schema import bucket_of, cut_into

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask
    from pyiceberg.table.metadata import TableMetadata

_FIRSTS = "123456789abcdef"
"""Where slices after the first begin; ids that are hexadecimal digests fill all alike."""
LARGE_ROWS = 8_192
"""Rows of a bucket above which they are written slice by slice."""


def slices_of(buckets: pa.Array, groups: pa.Array) -> pa.Array:
    """The slice of each of several groups, numbered over all buckets, which are given."""
    return pc.add(pc.multiply(buckets.cast(pa.int32()), SLICES), _ranks(groups))


class Sliced:
    """Tells which slices the files of a table meet."""

    def __init__(self, metadata: "TableMetadata", group: str) -> None:
        self._group = group
        self._field = metadata.schema().find_field(group).field_id
        self.told_apart = _keeps_bounds(metadata, group)
        """Whether files that are written now say which slices they meet."""

    def met_by(self, task: "FileScanTask") -> range:
        """Slices in which a file has rows, if need be some more: of its bucket those in bounds."""
        first, bounds = SLICES * bucket_of_file(task), self._bounds(task)
        if bounds is None:
            return range(first, first + SLICES)
        lower, upper = map(_rank, bounds)
        return range(first + lower, first + upper + 1)

    def _bounds(self, task: "FileScanTask") -> tuple[str, str] | None:
        """Ids between which a file's are, if its manifest has them."""
        lower, upper = (
            (bounds or {}).get(self._field)
            for bounds in (task.file.lower_bounds, task.file.upper_bounds)
        )
        return None if lower is None or upper is None else (lower.decode(), upper.decode())

    def chosen(
        self, tasks: "Sequence[FileScanTask]", slices: Collection[int]
    ) -> "Iterator[tuple[list[FileScanTask], pc.Expression | None]]":
        """The files that meet some slices; with those that meet others, too, what to choose."""
        whole = []
        cut: dict[int, list[FileScanTask]] = defaultdict(list)
        for task in tasks:
            met = self.met_by(task)
            if all(each in slices for each in met):
                whole.append(task)
            elif any(each in slices for each in met):
                cut[bucket_of_file(task)].append(task)
        if whole:
            yield whole, None
        for bucket, of_bucket in cut.items():
            ranks = [each for each in range(SLICES) if SLICES * bucket + each in slices]
            yield of_bucket, reduce(or_, (self._is_in(rank) for rank in ranks))

    def _is_in(self, rank: int) -> pc.Expression:
        group, always = pc.field(self._group), pc.scalar(True)
        after = group >= _FIRSTS[rank - 1] if rank else always
        return after & (group < _FIRSTS[rank] if rank < len(_FIRSTS) else always)


def bucket_of_file(task: "FileScanTask") -> int:
    """The bucket of a file's rows, which is its last partition."""
    partition = task.file.partition
    return int(partition[len(partition) - 1])


def data_files(
    metadata: "TableMetadata", io: "FileIO", rows: pa.Table, group: str, large: int | None = None
) -> "Iterator[DataFile]":
    """Write rows: of each large bucket a file for every slice, of each other bucket one.

    Args:
        metadata: The table's.
        io: Where its files go.
        rows: All columns.
        group: The column that is bucketed.
        large: Rows above which a bucket counts as large; `LARGE_ROWS` unless given.
    """
    from pyiceberg.io.pyarrow import _dataframe_to_data_files

    commit, counter = uuid4(), count()  # files are named by these
    for part in _cut(metadata, rows, group, LARGE_ROWS if large is None else large):
        yield from _dataframe_to_data_files(metadata, part, io, commit, counter)


def _cut(metadata: "TableMetadata", rows: pa.Table, group: str, limit: int) -> Iterator[pa.Table]:
    number = cut_into(metadata, group)
    if number is None or not _keeps_bounds(metadata, group) or rows.num_rows <= limit:
        yield rows
        return
    places = bucket_of(number, rows.column(group))
    counts = pc.value_counts(places)
    large = counts.field("values").filter(pc.greater(counts.field("counts"), limit))
    is_large, ranks = pc.is_in(places, large), _ranks(rows.column(group))
    few = rows.filter(pc.invert(is_large))
    if few.num_rows:
        yield few
    for rank in range(SLICES):
        part = rows.filter(pc.and_(is_large, pc.equal(ranks, rank)))
        if part.num_rows:
            yield part


def _keeps_bounds(metadata: "TableMetadata", group: str) -> bool:
    kept = metadata.properties.get(f"write.metadata.metrics.column.{group}", "")
    return kept == "full" or kept.startswith("truncate")


def _ranks(groups: pa.Array) -> pa.Array:
    """Which slice of its bucket each group is in."""
    zero = pa.scalar(0, pa.int32())
    later = (pc.greater_equal(groups, first).cast(pa.int32()) for first in _FIRSTS)
    return reduce(pc.add, later, pc.multiply(pc.binary_length(groups), zero))


def _rank(group: str) -> int:
    return sum(group >= first for first in _FIRSTS)
