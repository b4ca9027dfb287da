"""`lakeloom export`: the tables of a corpus in another format, what has changed since last time."""

from typing import Any

import pyarrow as pa

from platform_assets.commands.state import State
from platform_assets.maintenance.tables import ALL_TABLES
from platform_assets.reconcile import diff, fingerprints
from resources.exports import TableExport, marks
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
    wanted = warehouse.scan(table, scope, marks(table), snapshot=snapshot)
    plan = diff(_side(table, wanted), _side(table, target.rows(table, scope)))
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
        buckets = set(warehouse.buckets(table, differing).to_pylist())
        there = wanted.column(table.group).unique()
        numbers = warehouse.buckets(table, there).to_pylist()
        places = dict(zip(there.to_pylist(), numbers, strict=True))
        groups = [group for group, bucket in places.items() if bucket in buckets]
        rows = warehouse.scan(table, scope, groups=groups, snapshot=snapshot)
        column = [places[group] for group in rows.column(table.group).to_pylist()]
        rows = rows.append_column(f"{table.group}_bucket", pa.array(column, pa.int32()))
        answer |= {"version": target.replace(table, scope, buckets, rows)}
        answer |= {"commits": 1, "written": rows.num_rows}
    return answer


def _side(table: TableSpec, rows: pa.Table) -> pa.Table:
    groups, *marked = (rows.column(name).to_pylist() for name in marks(table))
    return fingerprints(groups, ["|".join(each) for each in zip(*marked, strict=True)])
