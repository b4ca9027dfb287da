"""Checks of `raw_objects`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.provenance import Ledger
from platform_assets.raw_objects.assets import raw_objects
from platform_assets.raw_objects.listings import listing
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.reconcile import diff, fingerprints
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

MOST_LISTED_AGAIN = 100_000
"""Objects up to which a run lists them for the check as well: ten seconds for a million."""


@dg.asset_check(asset=raw_objects)
def manifest_matches_lake(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Every object in the lake has a row, and every row an object. Uploads since then warn.

    A run that has just listed a large corpus does not list it once more; the job `asset_checks`
    does.
    """

    def examine(corpus: str) -> Verdict:
        record = Ledger(lake).latest("raw_objects", corpus)
        if context.has_partition_key and record and record.rows > MOST_LISTED_AGAIN:
            return Verdict(None, {"rows": record.rows, "listed again": "no"})
        rows = warehouse.scan(RAW_OBJECTS, {"corpus": corpus}, ["key"]).column("key")
        objects = listing(lake, corpus).column("key")
        found = diff(fingerprints(objects, objects), fingerprints(rows, rows))
        figures = {"objects": len(objects), "rows": len(rows)}
        if not found:
            return Verdict(None, figures)
        added, removed = len(found.added), len(found.removed)
        return Verdict(f"{added} objects have no row, {removed} rows no object", figures)

    return verdict_of(context, lake, raw_objects, examine, dg.AssetCheckSeverity.WARN)
