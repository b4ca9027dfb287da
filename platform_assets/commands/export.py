"""`lakeloom export`: the tables of a corpus in another format, what has changed since last time."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.commands.state import State
from platform_assets.maintenance.tables import ALL_TABLES
from platform_assets.reconcile import diff, fingerprints
from resources.exports import TableExport, marks, place
from resources.warehouse import Scope, TableSpec, Warehouse


def export(state: State, corpus: str, target: TableExport) -> dict[str, Any]:
    """Bring the exported tables of a corpus up to date.

    What is there already is compared row by row, so an export that was cut off is taken up again,
    and one that was tampered with is mended. Only buckets with a difference are written, those of
    a table in one commit; no difference is no commit.

    Args:
        state: The lake and the warehouse.
        corpus: What to export.
        target: Where to.

    Raises:
        OSError: the target cannot be read or written.
    """
    scope = {"corpus": corpus}
    return {
        "corpus": corpus,
        "tables": [
            _export(state.warehouse, table, scope, target)
            for _, table in sorted(ALL_TABLES.items())
        ],
    }


def _export(
    warehouse: Warehouse, table: TableSpec, scope: Scope, target: TableExport
) -> dict[str, Any]:
    snapshot = warehouse.snapshot(table)
    found = warehouse.scan(table, scope, marks(table), snapshot=snapshot)
    wanted, there = _placed(warehouse, table, found), target.rows(table, scope)
    plan = diff(_side(table, wanted), _side(table, there))
    answer: dict[str, Any] = {
        "table": table.name,
        "rows": wanted.num_rows,
        "added": len(plan.added),
        "changed": len(plan.changed),
        "removed": len(plan.removed),
        "commits": 0,
        "written": 0,
    }
    if plan:
        differing = pa.array([*plan.stale, *plan.removed], pa.string())
        buckets = _places(table, wanted, differing) | _places(table, there, differing)
        beside = pc.is_in(wanted.column(place(table)), pa.array(buckets, pa.int32()))
        groups = wanted.filter(beside).column(table.group).unique().to_pylist()
        rows = warehouse.scan(table, scope, groups=groups, snapshot=snapshot)
        rows = _placed(warehouse, table, rows)
        answer |= {"version": target.replace(table, scope, buckets, rows)}
        answer |= {"commits": 1, "written": rows.num_rows}
    return answer


def _side(table: TableSpec, rows: pa.Table) -> pa.Table:
    columns = (rows.column(name).to_pylist() for name in (*marks(table), place(table)))
    groups, *marked = columns
    return fingerprints(groups, ["|".join(map(str, each)) for each in zip(*marked, strict=True)])


def _placed(warehouse: Warehouse, table: TableSpec, rows: pa.Table) -> pa.Table:
    """Rows with their buckets; tables that were made anew may have other ones than before."""
    buckets = warehouse.buckets(table, rows.column(table.group))
    return rows.append_column(place(table), buckets.cast(pa.int32()))


def _places(table: TableSpec, rows: pa.Table, groups: pa.Array) -> set[int]:
    """Buckets with rows of some groups."""
    chosen = rows.filter(pc.is_in(rows.column(table.group), groups))
    return set(chosen.column(place(table)).to_pylist())
