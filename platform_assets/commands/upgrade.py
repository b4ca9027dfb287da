"""`lakeloom upgrade`: what an earlier version wrote becomes what this one reads and writes.

Tables grow columns by metadata alone, Dagster and MLflow migrate their own databases; rows that
another code version made are made anew by the next `lakeloom materialize`, and no others.
Not here: how a table is fitted (resources/warehouse/iceberg_schema.py).
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from platform_assets.abandoned_runs import UNFINISHED, end_abandoned
from platform_assets.commands.state import State, open_instance
from platform_assets.commands.trace import trace
from platform_assets.maintenance.tables import ALL_TABLES


def upgrade(state: State, show: Callable[[str], None]) -> dict[str, Any]:
    """Migrate everything in place, then verify what is served; doing it twice changes nothing.

    Raises:
        RuntimeError: runs are under way.
        ValueError: a table cannot become what this version needs; it is left as it is.
    """
    with open_instance(state.settings) as instance:
        _quiet(instance)
        show("Dagster's storage")
        instance.upgrade()
    show("experiment tracking")
    state.tracking.upgrade()
    _make(state, show)
    served = {
        corpus: trace(state, corpus)["ok"]
        for corpus in state.corpora()
        if state.vectors.served(corpus)
    }
    ok = all(served.values())
    return {"ok": ok, "migrated": True, "tables": sorted(ALL_TABLES), "served": served}


def make_missing(state: State, show: Callable[[str], None]) -> dict[str, Any]:
    """Make what roles that may make nothing must find; migrates nothing, so runs may go on."""
    show("Dagster's storage")
    with open_instance(state.settings):
        pass
    _make(state, show)
    return {"ok": True, "migrated": False, "tables": sorted(ALL_TABLES), "served": {}}


def _make(state: State, show: Callable[[str], None]) -> None:
    for name, table in ALL_TABLES.items():
        show(f"table {name}")
        state.warehouse.snapshot(table)
    show("vectors")
    state.vectors.collections()  # a server's store keeps its state in a collection of its own


def _quiet(instance: dg.DagsterInstance) -> None:
    end_abandoned(instance)
    runs = instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)))
    if runs:
        raise RuntimeError(
            f"{len(runs)} runs are under way or queued: stop the daemon and let them end, "
            "then upgrade"
        )
