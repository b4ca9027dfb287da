"""Checks of `table_maintenance` and `restored_index`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.maintenance.assets import restored_index, table_maintenance
from platform_assets.maintenance.pins import pins
from platform_assets.maintenance.tables import ALL_TABLES
from platform_assets.provenance import Ledger
from platform_assets.vector_indexes.parts import digest_now, is_there
from resources.object_store import ObjectStore
from resources.vector_store import VectorStore
from resources.warehouse import Warehouse


@dg.asset_check(asset=table_maintenance)
def every_pinned_snapshot_is_there(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """What is served, what a rollback serves and what was made last can be read at its snapshot."""
    pinned = pins(Ledger(lake), vectors)

    def examine(name: str) -> Verdict:
        wanted = pinned.of(name)
        gone = sorted(wanted - set(warehouse.snapshots(ALL_TABLES[name])))
        figures = {"pinned": len(wanted), "gone": len(gone)}
        return Verdict(f"pinned snapshots are gone: {', '.join(gone)}" if gone else None, figures)

    return verdict_of(context, lake, table_maintenance, examine)


@dg.asset_check(asset=restored_index)
def points_are_those_of_then(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """The collection holds the points that were served then; warns if it was dropped since."""

    def examine(corpus: str) -> Verdict:
        record = Ledger(lake).require("restored_index", corpus)
        name = record.details["collection"]
        if not is_there(vectors, name):
            return Verdict(f"{name} was dropped since: restore it again to serve it")
        same = digest_now(vectors, record.details) == record.digest
        return Verdict(None if same else f"{name} was altered", {"points": record.rows})

    return verdict_of(context, lake, restored_index, examine, dg.AssetCheckSeverity.WARN)
