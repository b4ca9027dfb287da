"""The slices of a partition that a materialisation or a check has to look at.

All tables of documents are cut into the same slices by document, so what is made of one slice
depends on the same slice upstream alone. A slice whose files upstream and whose own files are those
of the last time is as it was, and is not read: a change costs the slices of the files it rewrites.
Not here: the notes themselves (settled.py), rows and commits (tables.py).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from platform_assets.provenance import sha256_text
from platform_assets.settled import Settled
from resources.object_store import ObjectStore
from resources.warehouse import Scope, TableSpec, Warehouse


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of a table as of a snapshot; None is a table without one."""

    table: TableSpec
    scope: Scope
    snapshot: str | None

    @classmethod
    def now(cls, warehouse: Warehouse, table: TableSpec, scope: Scope) -> "Source":
        """The rows as they are."""
        return cls(table, scope, warehouse.snapshot(table))

    def scan(
        self, warehouse: Warehouse, columns: Sequence[str], slices: Collection[int] | None = None
    ) -> pa.Table:
        """Rows of some slices, or of all."""
        if self.snapshot is None:
            return pa.schema([self.table.schema.field(name) for name in columns]).empty_table()
        return warehouse.scan(
            self.table, self.scope, columns, snapshot=self.snapshot, slices=slices
        )

    def batches(
        self, warehouse: Warehouse, columns: Sequence[str], slices: Collection[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Like `scan`, streamed."""
        if self.snapshot is not None:
            yield from warehouse.batches(self.table, self.scope, columns, self.snapshot, slices)

    def states(self, warehouse: Warehouse) -> dict[int, str]:
        """Slice -> state of its files."""
        if self.snapshot is None:
            return {}
        return warehouse.states(self.table, self.scope, self.snapshot)


class Slices:
    """Which slices of a partition are not as they were left, and what is known of the others."""

    def __init__(
        self,
        lake: ObjectStore,
        warehouse: Warehouse,
        name: str,
        made_by: Sequence[str],
        sources: Sequence[Source],
        own: Sequence[Source] = (),
    ) -> None:
        """Compare the slices with the note of the last time.

        Args:
            lake: Where notes are.
            warehouse: Where the tables are.
            name: `asset/partition`.
            made_by: Whatever else rows depend on: code version, configuration, models.
            sources: What the rows are made of.
            own: The rows themselves.
        """
        self._warehouse = warehouse
        self._table = next(source.table for source in (*sources, *own))
        self._made_by = sha256_text("|".join(made_by))
        self._upstream = [source.states(warehouse) for source in sources]
        self.own = {source.table.name: source for source in own}
        self._own_states = {name: source.states(warehouse) for name, source in self.own.items()}
        self._settled = Settled.read(lake, name, self._states(self._own_states))
        self.open = frozenset(map(int, self._settled.open))
        """The slices to look at."""
        self.known: Mapping[int, Mapping[str, Any]] = {
            int(each): value for each, value in self._settled.known.items()
        }
        """What was noted of the others."""

    def reopen(self, groups: Collection[str]) -> None:
        """Look at the slices of some groups, whatever is known of them."""
        if groups:
            touched = set(self._places(groups))
            self.open |= touched
            self.known = {each: of for each, of in self.known.items() if each not in touched}

    def keep(
        self,
        values: Mapping[int, Mapping[str, Any]],
        own: Iterable[Source] = (),
        unsettled: Collection[str] = (),
    ) -> None:
        """Note what is true of each slice from now on.

        Args:
            values: Slice -> what is to be known of it next time; nothing of those left out.
            own: The rows as they were left.
            unsettled: Groups with which something is left to do; their slices stay open.
        """
        states = self._states(
            {
                source.table.name: self._own_states[source.table.name]
                if source == self.own[source.table.name]
                else source.states(self._warehouse)
                for source in own
            }
        )
        left = self._places(unsettled)
        noted = {each: dict(values.get(int(each), {})) for each in states if int(each) not in left}
        self._settled.keep(states, noted)

    def forget(self) -> None:
        """Have all slices looked at the next time."""
        self._settled.forget()

    def _places(self, groups: Collection[str]) -> list[int]:
        """The slices of some groups, the same in all the tables."""
        places = self._warehouse.slices(self._table, pa.array(list(groups), pa.string()))
        return [int(place) for place in places.to_pylist()]

    def _states(self, own: Mapping[str, Mapping[int, str]]) -> dict[str, str]:
        found = [*self._upstream, *(own[name] for name in self.own)]
        return {
            str(number): sha256_text(
                "|".join([self._made_by, *(each.get(number, "") for each in found)])
            )
            for number in sorted(set().union(*found))
        }


def sought(
    lake: ObjectStore,
    warehouse: Warehouse,
    name: str,
    made_by: Sequence[str],
    source: Source,
    columns: Sequence[str],
    matches: Callable[[pa.Table], pa.Array],
) -> pa.Table:
    """The rows that match; slices in which none did the last time are not read.

    Args:
        lake: Where notes are.
        warehouse: Where the table is.
        name: `asset-what/partition`.
        made_by: Whatever else decides about a match.
        source: The rows.
        columns: Those wanted; the table's group is among them.
        matches: Whether each row does.
    """
    slices = Slices(lake, warehouse, name, made_by, [source])
    before = {number for number, noted in slices.known.items() if noted["found"]}
    rows = source.scan(warehouse, columns, slices.open | before)
    rows = rows.filter(matches(rows))
    places = warehouse.slices(source.table, rows.column(source.table.group))
    found = set(places.unique().to_pylist())
    slices.keep({each: {"found": each in found} for each in slices.open | slices.known.keys()})
    return rows
