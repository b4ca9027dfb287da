"""The warehouse: Apache Iceberg tables, partitioned by corpus and a bucket of the row's group.

Here: the protocol. One file for each table system implements it.
Not here: the tables' meaning (the artefact folders in platform_assets).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from operator import add
from typing import BinaryIO, Protocol

import pyarrow as pa

MAIN = "main"
"""The branch that readers of a table see."""
BUCKETS = 16
"""Few enough for a small corpus, which is written and read whole; those of a large one are cut into
slices."""
SLICES = 16
"""Into which a bucket is cut in the order of its groups; slice n is of bucket n // SLICES."""
STAGED = "staged-"
"""How the name of a branch for one run begins; maintenance drops those that a crash left."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its columns and how it is partitioned and keyed."""

    name: str
    schema: pa.Schema
    scope: tuple[str, ...]
    """Identity-partition columns that one materialisation owns: (corpus,) or (corpus, encoder)."""
    group: str
    """Column that is bucketed and replaced as a whole: rows of one group change together."""
    key: str
    """Column that is unique within a scope."""
    content: tuple[str, ...]
    """Columns that make up a row's content; `digest` is computed from them."""
    comment: str
    buckets: int
    """Into which a new table is cut by group. Few, since who reads a table whole opens all; large
    ones are cut into slices. Tables with the same group have the same number, that of the first."""

    @classmethod
    def of(
        cls,
        name: str,
        comment: str,
        columns: Mapping[str, tuple[pa.DataType, str]],
        *,
        scope: tuple[str, ...] = ("corpus",),
        group: str,
        key: str,
        content: tuple[str, ...],
        buckets: int = BUCKETS,
    ) -> "TableSpec":
        """A table from described columns; scope columns, fingerprint and digest are added.

        Args:
            name: Table name.
            comment: What a row is.
            columns: Column -> (type, description).
            scope: See the class.
            group: See the class.
            key: See the class.
            content: See the class.
            buckets: See the class.
        """
        described = {
            **{column: (pa.string(), f"Partition: {column}.") for column in scope},
            **columns,
            "fingerprint": (pa.string(), "Digest of everything the row was computed from."),
            "digest": (pa.string(), "Digest of the row's content."),
        }
        schema = pa.schema(
            pa.field(column, kind, metadata={"comment": text})
            for column, (kind, text) in described.items()
        )
        return cls(name, schema, scope, group, key, content, comment, buckets)


Scope = Mapping[str, str]
"""Value of each scope column: {"corpus": "news"} or {"corpus": "news", "encoder": "minilm"}."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a writer has read of its scope."""

    groups: Collection[str]
    """Those of the groups to replace that have rows."""
    snapshot: str | None
    """The table's snapshot of which that holds."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What an expiry or a removal of orphans took away."""

    snapshots: int = 0
    files: int = 0
    """Data files and those of metadata."""
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction merged."""

    partitions: int = 0
    files_before: int = 0
    files_after: int = 0
    bytes: int = 0
    """Of the files written."""

    def __add__(self, other: "Compacted") -> "Compacted":
        return Compacted(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a table takes up."""

    snapshots: int
    manifests: int
    """Of the current snapshot."""
    data_files: int
    """Of the current snapshot."""
    files: int
    """All of them: those of earlier snapshots, of metadata, and those nothing refers to."""
    bytes: int
    """Of all files."""


class Warehouse(Protocol):
    """Reads and atomically replaces groups of rows."""

    def snapshot(self, table: TableSpec, branch: str | None = None) -> str | None:
        """Id of the current snapshot of the table, or of a branch of it; None if it has none."""
        ...

    def scan(
        self,
        table: TableSpec,
        scope: Scope,
        columns: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        snapshot: str | None = None,
        slices: Collection[int] | None = None,
    ) -> pa.Table:
        """Rows of one scope, optionally of some groups or slices, optionally as of a snapshot.

        Raises:
            LookupError: the snapshot has expired.
        """
        ...

    def states(self, table: TableSpec, scope: Scope, snapshot: str | None = None) -> dict[int, str]:
        """Slice -> digest of the names of its data files, which never change.

        So a slice of the same state has the same rows; one without files has no state. Reads
        metadata alone.

        Raises:
            LookupError: the snapshot has expired.
        """
        ...

    def batches(
        self,
        table: TableSpec,
        scope: Scope,
        columns: Sequence[str] | None = None,
        snapshot: str | None = None,
        slices: Collection[int] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Like `scan`, streamed."""
        ...

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

        Only the files that hold one of the groups are rewritten. Other writers may commit at the
        same time: of one group, the rows of the last one stand.

        Args:
            table: The table.
            scope: Whose rows.
            groups: Groups to clear; those of `rows` are to be among them.
            rows: Rows of those groups, all columns of the table.
            known: Spares a search for groups that have no rows.
            branch: Commit there, where readers of the table do not look; it begins at the current
                snapshot.

        Returns:
            The snapshot, if it differs from that of `known` by this commit alone; None if another
            writer came between, so that what was read of the scope may no longer hold.
        """
        ...

    def publish(self, table: TableSpec, branch: str) -> bool:
        """Make what a branch holds the table's current rows, and the branch go.

        False, and nothing is changed, if the table has been committed to since the branch began.
        """
        ...

    def drop_branch(self, table: TableSpec, branch: str) -> None:
        """Forget a branch and what was committed there; nothing happens if there is none."""
        ...

    def buckets(self, table: TableSpec, groups: pa.Array) -> pa.Array:
        """The bucket of each of several groups, as integers; `groups` may be chunked."""
        ...

    def slices(self, table: TableSpec, groups: pa.Array) -> pa.Array:
        """The slice of each of several groups, as integers; `groups` may be chunked.

        A bucket consists of slices, each with the groups between two ids. Sorted by slice and id,
        groups are sorted by bucket and id.
        """
        ...

    def snapshots(self, table: TableSpec) -> list[str]:
        """Ids of the snapshots that can be read, the oldest first."""
        ...

    def expire(self, table: TableSpec, keep: Collection[str], older_than: datetime) -> Removed:
        """Expire snapshots and delete every file that none of the remaining ones needs.

        Args:
            table: The table.
            keep: Snapshots that stay, beside those that branches and tags point at, the current
                one among them.
            older_than: Aware; snapshots that were current at this time or later stay, for readers
                that are still at them.
        """
        ...

    def remove_orphans(self, table: TableSpec, older_than: datetime) -> Removed:
        """Delete files that no snapshot needs, as crashes and lost races leave them.

        Args:
            table: The table.
            older_than: Aware; younger files stay: a commit in flight may be about to name them.

        Raises:
            RuntimeError: the store does not list a file that the table needs.
        """
        ...

    def compact(self, table: TableSpec, target_bytes: int) -> Compacted:
        """Merge small files of a partition where there are more than a few; cut what slices share.

        The rows stay as they are. A commit, or if there is much to do several, for each scope.
        Readers keep the files that they are reading until those expire.

        Args:
            table: The table.
            target_bytes: Size of a good file; one of half of it or more is not rewritten.
        """
        ...

    def history(
        self, table: TableSpec, scope: Scope, columns: Sequence[str], groups: Sequence[str]
    ) -> pa.Table:
        """Rows of some groups in any snapshot that can be read, in no order; some may repeat."""
        ...

    def forget(self, table: TableSpec, scope: Scope, keep: Collection[str]) -> Removed:
        """Delete the data files of a scope that neither the current snapshot nor `keep` names.

        For an erasure, which no pin of another scope may hold up: older snapshots that such pins
        keep stay readable but for this scope. What branches have added stays. `scope` needs only
        the columns that matter.
        """
        ...

    def location(self, table: TableSpec) -> str:
        """URL of the folder in which all files of the table lie."""
        ...

    def files(self, table: TableSpec) -> Iterator[tuple[str, BinaryIO]]:
        """Path of every file of the table, those that nothing refers to included, open to read.

        A file that is gone by now is left out; each is closed when the next is asked for.
        """
        ...

    def rows(self, table: TableSpec) -> int:
        """Rows of all scopes of the table, as its metadata has it."""
        ...

    def footprint(self, table: TableSpec) -> Footprint:
        """What the table takes up now."""
        ...
