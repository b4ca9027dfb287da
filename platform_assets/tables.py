"""One asset partition's rows in the warehouse: read once, changed in waves, reported.

Here: `OwnRows`, through which every table asset writes.
Not here: the diff (reconcile.py), digests (digests.py), what the tables are (table.py of each).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.digests import BATCH, Leaf, digest_of, digest_of_leaves, leaves, row_digests
from platform_assets.provenance import Record, links
from platform_assets.reconcile import Plan, Report, fingerprints, waves
from platform_assets.slices import Slices, Source
from resources.warehouse import Known, Scope, TableSpec, Warehouse

REPLAYED = 500
"""Groups in one commit when a branch cannot simply become the table."""


class OwnRows:
    """The rows of one scope of a table: keys, groups, fingerprints and digests, not content.

    They stay in Arrow, about 200 bytes a row: a bucket may have millions of objects.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        table: TableSpec,
        scope: Scope,
        branch: str | None = None,
        slices: Slices | None = None,
    ) -> None:
        """Read what there is.

        Args:
            warehouse: Where the table is.
            table: Which one.
            scope: Whose rows.
            branch: Write there, so that readers of the table see nothing until `publish`.
            slices: Read the open ones of these alone; of the others size and digest are known.
        """
        self.table = table
        self._warehouse = warehouse
        self._scope = scope
        self._branch = branch
        self._staged: set[str] = set()
        self.slices = slices
        self._columns = list(dict.fromkeys([table.group, table.key, "fingerprint", "digest"]))
        self.report = Report()
        self._known: dict[int, Leaf] = {}
        self.undisturbed = True
        """Whether nobody else has written to the table meanwhile, as far as one can tell."""
        self._outdated = False
        if slices:
            self._known = {
                each: Leaf(*of[table.name]) for each, of in slices.known.items() if table.name in of
            }
            self._read(slices.own[table.name].snapshot, slices.open)
        else:
            self._read(warehouse.snapshot(table))

    def _read(self, head: str | None, slices: Collection[int] | None = None) -> None:
        self._head = head
        source = Source(self.table, self._scope, head)
        self._rows: pa.Table = source.scan(self._warehouse, self._columns, slices)
        self._leaves: Mapping[int, Leaf] | None = None
        self._sum()

    def _sum(self) -> None:
        self.report.rows = self._rows.num_rows + sum(leaf.rows for leaf in self._known.values())

    def fingerprints(self) -> pa.Table:
        """(group, fingerprint) of every row, as `reconcile.diff` takes it.

        A key that stands on two rows, as a crash or a race might leave it, gives their groups a
        fingerprint that nothing equals.
        """
        columns = [self._rows.column(self.table.group), self._rows.column("fingerprint")]
        doubled = self._doubled()
        marks = fingerprints(doubled, ["doubled"] * len(doubled))
        return pa.concat_tables([pa.table(columns, marks.schema), marks])

    def replace(self, groups: Iterable[str], rows: pa.Table) -> None:
        """Replace the rows of `groups` by `rows` in one commit; none if nothing would change.

        Args:
            groups: Groups to clear; those with no rows are ignored.
            rows: All columns of the table but scope and `digest`, which are filled in here.
        """
        groups = list(groups)
        kept, cleared = _split(self._rows, self.table.group, groups)
        if not cleared.num_rows and not rows.num_rows:
            return
        full = self._complete(rows)
        known = Known(set(cleared.column(self.table.group).to_pylist()), self._head)
        self._head = self._warehouse.replace(
            self.table, self._scope, groups, full, known, self._branch
        )
        self._outdated = self._head is None
        self._staged.update(groups, full.column(self.table.group).to_pylist())
        added = full.select(self._columns)
        self._rows, self._leaves = pa.concat_tables([kept, added]), None
        self._count(self._by_key(cleared), self._by_key(added))

    def digest(self) -> str:
        """Data version of the scope: digest over the keys and digests of its rows.

        Where slices are looked at one by one, it is that of the slices' digests.
        """
        self._settle()
        if self.slices is None:
            return digest_of(self._rows, self.table.key)
        return digest_of_leaves(self.leaves())

    def leaves(self) -> Mapping[int, Leaf]:
        """Size and digest of each slice that has rows."""
        self._settle()
        if self._leaves is None:
            found = leaves(self._warehouse, self.table, self._rows)
            self._leaves = {**self._known, **found}
        return self._leaves

    def source(self) -> Source:
        """The rows as they stand."""
        return Source(self.table, self._scope, self.snapshot())

    def snapshot(self) -> str | None:
        """The table's snapshot of which `digest` holds."""
        self._settle()
        return self._head

    def _settle(self) -> None:
        """Read the rows anew if another writer came between, so that snapshot and digest agree."""
        if self._outdated:
            self._outdated, self.undisturbed, self._known = False, False, {}
            branch = self._branch if self._staged else None
            self._read(self._warehouse.snapshot(self.table, branch))

    def staged(self) -> str | None:
        """Snapshot of what was written to the branch; None if nothing was."""
        return self._warehouse.snapshot(self.table, self._branch) if self._staged else None

    def publish(self) -> None:
        """Show readers of the table what was written to the branch; the branch goes.

        If others have committed to the table meanwhile, the groups are written once more, since
        the branch lacks what they did.
        """
        if self._branch is None or not self._staged:
            return
        staged = self.staged()
        if self._warehouse.publish(self.table, self._branch):
            self._head = staged
        else:
            for wave in waves(dict.fromkeys(self._staged, 1), REPLAYED, self._places):
                rows = self._warehouse.scan(self.table, self._scope, groups=wave, snapshot=staged)
                self._warehouse.replace(self.table, self._scope, wave, rows)
            self.discard()
            self._outdated = True
        self._staged.clear()

    def discard(self) -> None:
        """Forget what was written to the branch."""
        if self._branch is not None:
            self._warehouse.drop_branch(self.table, self._branch)

    def record(
        self,
        code_version: str,
        config: Mapping[str, str] | None = None,
        upstream: Iterable[Record] = (),
        details: Mapping[str, str] | None = None,
    ) -> Record:
        """Provenance of the scope as it stands."""
        return Record(
            asset=self.table.name,
            partition="|".join(self._scope[name] for name in self.table.scope),
            snapshot=self.snapshot(),
            digest=self.digest(),
            rows=self.report.rows,
            code_version=code_version,
            config=config or {},
            upstream=links(upstream),
            details=details or {},
        )

    def carry_out(
        self,
        plan: Plan,
        compute: Callable[[Sequence[str]], pa.Table],
        weights: Mapping[str, int],
        capacity: int,
    ) -> None:
        """Like the function `carry_out`, for an asset of one table that is computed here."""
        batches = self.waves(plan, weights, capacity)
        carry_out(plan.removed, ((each, [compute(each)]) for each in batches), [self])

    def waves(
        self, plan: Plan, weights: Mapping[str, int], capacity: int
    ) -> Iterable[tuple[str, ...]]:
        """Waves of a plan's stale groups; one empty wave where groups only have to go."""
        stale = {group: weights.get(group, 1) for group in plan.stale}
        found = waves(stale, capacity, self._places)
        return found if stale else [()] * bool(plan.removed)

    def _places(self, groups: pa.Array) -> pa.Array:
        return self._warehouse.slices(self.table, groups)

    def _complete(self, rows: pa.Table) -> pa.Table:
        columns = {name: rows.column(name) for name in rows.column_names}
        for name, value in self._scope.items():
            columns[name] = pa.array([value] * rows.num_rows, pa.string())
        columns["digest"] = pa.array(row_digests(rows, self.table.content), pa.string())
        return pa.table({name: columns[name] for name in self.table.schema.names})

    def _by_key(self, rows: pa.Table) -> dict[str, tuple[str, str]]:
        columns = (self.table.key, "fingerprint", "digest")
        keys, prints, digests = (rows.column(name).to_pylist() for name in columns)
        return dict(zip(keys, zip(prints, digests, strict=True), strict=True))

    def _doubled(self) -> list[str]:
        """Groups with a key that stands on several rows."""
        keys = self._rows.column(self.table.key)
        if pc.count_distinct(keys).as_py() == len(keys):
            return []
        counts = pc.value_counts(keys)
        several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        groups = self._rows.filter(pc.is_in(keys, several)).column(self.table.group)
        return [str(group) for group in groups.unique().to_pylist()]

    def _count(self, before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]) -> None:
        self.report.added += len(after.keys() - before.keys())
        self.report.removed += len(before.keys() - after.keys())
        self.report.changed += sum(before[key] != after[key] for key in before.keys() & after)
        self._sum()
        self.report.work.commits += 1


def _split(rows: pa.Table, column: str, values: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Rows without and with one of the values; what has none of them is not copied."""
    wanted = pa.array(values, pa.string())
    kept, found = [], []
    for batch in rows.to_batches(BATCH):
        mask = pc.is_in(batch.column(column), wanted)
        if pc.any(mask).as_py():
            kept.append(batch.filter(pc.invert(mask)))
            found.append(batch.filter(mask))
        else:
            kept.append(batch)
    return pa.Table.from_batches(kept, rows.schema), pa.Table.from_batches(found, rows.schema)


def carry_out(
    removed: Sequence[str],
    computed: Iterable[tuple[Sequence[str], Sequence[pa.Table]]],
    tables: Sequence[OwnRows],
) -> None:
    """Commit waves as they are computed; removed groups go with the first.

    Args:
        removed: Groups that are gone upstream.
        computed: For each wave, the groups to replace now, and the rows of each of `tables`.
        tables: Where the rows go.
    """
    for settled, rows_of_tables in computed:
        for table, rows in zip(tables, rows_of_tables, strict=True):
            table.replace((*settled, *removed), rows)
        removed = ()


def keep(
    tables: Sequence[OwnRows],
    unsettled: Collection[str] = (),
    more: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Note how a materialisation leaves its slices, unless another writer came between.

    Args:
        tables: Its rows, of the same slices.
        unsettled: Groups that have to be looked at again.
        more: Slice -> what else is to be known of it.
    """
    slices = tables[0].slices
    values: dict[int, dict[str, Any]] = {each: dict(of) for each, of in (more or {}).items()}
    for table in tables:
        for each, leaf in table.leaves().items():
            values.setdefault(each, {})[table.table.name] = leaf
    sources = [table.source() for table in tables]
    if slices and all(table.undisturbed for table in tables):
        slices.keep(values, sources, unsettled)


def empty(table: TableSpec) -> pa.Table:
    """No rows of a table, without the columns `OwnRows.replace` fills in."""
    filled = {*table.scope, "digest"}
    return pa.schema([field for field in table.schema if field.name not in filled]).empty_table()


def rows_of(table: TableSpec, records: Sequence[dict[str, object]]) -> pa.Table:
    """Rows of a table from dictionaries, without the columns `OwnRows.replace` fills in."""
    return pa.Table.from_pylist(list(records), schema=empty(table).schema)
