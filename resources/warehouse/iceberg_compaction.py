"""Compaction of an Iceberg table: the small files of a bucket, or of a slice of it, become one.

Each update adds a small file to its bucket, and a scan opens every file. A large file that several
slices share, as before there were slices, is cut. pyiceberg 0.12 has no compaction.

Here: which files are merged, and the commit that does it, one attempt. Not here: expiry of what
was replaced (iceberg_maintenance.py), who tries again (iceberg.py).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from resources.warehouse import Compacted
from resources.warehouse.iceberg_creation import complete_properties
from resources.warehouse.iceberg_slices import LARGE_ROWS, Sliced, data_files

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table
    from pyiceberg.table.metadata import TableMetadata

FEW = 2
"""Small files of a partition that may stay."""
SMALL = 0.5
"""Share of the target size below which a file is small."""
COMMIT_BYTES = 256 * 1024 * 1024
"""Of files that are merged in one commit, or one merger's."""

Bins = Sequence[Sequence["FileScanTask"]]
"""Files to be merged, each group into one."""


def compact(
    iceberg: "Table", scope: "BooleanExpression", group: str, target_bytes: int
) -> Compacted:
    """Merge small files of the partitions in `scope` in one commit, and cut what slices share.

    Some `COMMIT_BYTES` of them, so that a commit takes seconds whatever there is; if it wrote as
    much, there may be more. The table gets the properties that an earlier version did not set.

    Rows that others commit meanwhile are not touched. If they replace a file that is being merged,
    or add rows in the scope, the commit fails.

    Raises:
        CommitFailedException, ValidationException: somebody else was first.
    """
    from resources.warehouse.iceberg_transaction import KnowingTransaction

    tasks = list(iceberg.scan(row_filter=scope).plan_files())
    rows = _rows(tasks)
    with KnowingTransaction(iceberg) as transaction:
        complete_properties(transaction)
        metadata = transaction.table_metadata
        bins = list(_for_one_commit(_bins(tasks, rows, Sliced(metadata, group), target_bytes)))
        if not bins:
            return Compacted()
        merged = [
            file
            for some in bins
            for file in _merged(
                metadata, iceberg.io, some, group, large=rows[_place(some[0])] > LARGE_ROWS
            )
        ]
        with transaction.update_snapshot().overwrite() as overwrite:
            overwrite.delete_by_predicate(scope)  # what others may not have changed meanwhile
            for task in (task for tasks in bins for task in tasks):
                overwrite.delete_data_file(task.file)
            for file in merged:
                overwrite.append_data_file(file)
    return Compacted(
        partitions=len({tuple(_partition(tasks[0])) for tasks in bins}),
        files_before=sum(map(len, bins)),
        files_after=len(merged),
        bytes=sum(file.file_size_in_bytes for file in merged),
    )


def scopes(iceberg: "Table", columns: int) -> list[tuple[str, ...]]:
    """Values of the first `columns` partition columns of every partition there is, sorted."""
    tasks = iceberg.scan().plan_files()
    return sorted({tuple(map(str, _partition(task)[:columns])) for task in tasks})


def _bins(
    tasks: Sequence["FileScanTask"],
    rows: Mapping[tuple[object, ...], int],
    sliced: Sliced,
    target_bytes: int,
) -> Iterator[list["FileScanTask"]]:
    """Small files of each partition, packed up to the target size, where there are more than a few.

    Of a bucket that is written slice by slice, those of each slice, and those that meet several:
    where these are large, together or one of them, all of them.
    """
    from pyiceberg.utils.bin_packing import ListPacker

    places: dict[tuple[tuple[object, ...], int | None], list[FileScanTask]] = defaultdict(list)
    for task in tasks:
        place, met = _place(task), sliced.met_by(task)
        of_slice = rows[place] > LARGE_ROWS and len(met) == 1
        places[place, met[0] if of_slice else None].append(task)
    packer: ListPacker[FileScanTask] = ListPacker(target_bytes, lookback=1, largest_bin_first=False)
    for (place, number), all_ in places.items():
        small = [x for x in all_ if x.file.file_size_in_bytes < SMALL * target_bytes]
        is_large = len(small) < len(all_) or sum(x.file.record_count for x in all_) > LARGE_ROWS
        shared = number is None and rows[place] > LARGE_ROWS and sliced.told_apart
        to_cut = shared and is_large
        for packed in packer.pack(
            all_ if to_cut else small, lambda task: task.file.file_size_in_bytes
        ):
            if to_cut or len(packed) > FEW:
                yield packed


def _for_one_commit(
    bins: Iterable[list["FileScanTask"]],
) -> Iterator[list["FileScanTask"]]:
    size = 0
    for some in bins:
        yield some
        size += sum(task.file.file_size_in_bytes for task in some)
        if size >= COMMIT_BYTES:
            return


def _rows(tasks: Sequence["FileScanTask"]) -> Counter[tuple[object, ...]]:
    """Rows of each partition."""
    rows: Counter[tuple[object, ...]] = Counter()
    for task in tasks:
        rows[_place(task)] += task.file.record_count
    return rows


def _place(task: "FileScanTask") -> tuple[object, ...]:
    return (task.file.spec_id, *_partition(task))


def _partition(task: "FileScanTask") -> list[object]:
    partition = task.file.partition
    return [partition[position] for position in range(len(partition))]


def _merged(
    metadata: "TableMetadata",
    io: "FileIO",
    tasks: Sequence["FileScanTask"],
    group: str,
    *,
    large: bool,
) -> list["DataFile"]:
    """Write the rows of some files of one partition anew, of a large one slice by slice."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan

    scan = ArrowScan(metadata, io, metadata.schema(), AlwaysTrue())
    rows, limit = scan.to_table(tasks), 0 if large else None
    return list(data_files(metadata, io, rows, group, limit))
