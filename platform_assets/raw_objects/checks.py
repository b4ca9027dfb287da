"""Checks of `raw_objects`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.raw_objects.assets import raw_objects
from platform_assets.raw_objects.refresh import listing
from platform_assets.raw_objects.table import RAW_OBJECTS
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse


@dg.asset_check(asset=raw_objects)
def manifest_matches_lake(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Every object in the lake has a row, and every row an object. Uploads since then warn."""

    def examine(corpus: str) -> Verdict:
        rows = warehouse.scan(RAW_OBJECTS, {"corpus": corpus}, ["doc_id"])
        listed, there = set(rows.column("doc_id").to_pylist()), listing(lake, corpus).keys()
        figures = {"objects": len(there), "rows": len(listed)}
        if listed == there:
            return Verdict(None, figures)
        fault = f"{len(there - listed)} objects have no row, {len(listed - there)} rows no object"
        return Verdict(fault, figures)

    return verdict_of(context, lake, raw_objects, examine, dg.AssetCheckSeverity.WARN)
