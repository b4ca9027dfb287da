"""Checks of `documents`."""

import json
from collections import Counter
from collections.abc import Collection

import dagster as dg

from platform_assets.checking import Verdict, by_slice, verdict_of
from platform_assets.documents.assets import documents
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.provenance import Ledger
from platform_assets.queries.uploaded import is_evaluation_file
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.slices import Source
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

NAMED = 5
"""Keys that a message names."""


@dg.asset_check(asset=documents, blocking=True)
def every_object_accounted_for(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Each object of the manifest is a document or a rejected document, exactly one of them.

    But for those that changed while they were read, which the next run takes up.
    """

    def examine(corpus: str) -> Verdict:
        sources = [
            Source.now(warehouse, table, {"corpus": corpus})
            for table in (RAW_OBJECTS, DOCUMENTS, REJECTED_DOCUMENTS)
        ]
        unsettled = _unsettled(corpus, lake, warehouse)

        def accounted(slices: Collection[int] | None) -> Verdict:
            read = (source.scan(warehouse, ["key"], slices) for source in sources)
            objects, *settled = (rows.column("key").to_pylist() for rows in read)
            return _accounted(objects, [key for keys in settled for key in keys], unsettled)

        name = f"every_object_accounted_for/{corpus}"
        return by_slice(context, lake, warehouse, name, sources, accounted, unsettled)

    return verdict_of(context, lake, documents, examine)


@dg.asset_check(asset=documents)
def no_object_changed_while_read(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Every object stood still while it was read; warns with those that are left for later."""

    def examine(corpus: str) -> Verdict:
        keys = _unsettled(corpus, lake, warehouse)
        named = ", ".join(keys[:NAMED])
        fault = f"{len(keys)} objects changed while they were read, left for the next run: {named}"
        return Verdict(fault if keys else None, {"unsettled": len(keys)})

    return verdict_of(context, lake, documents, examine, dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=documents)
def no_rejected_documents(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Every document could be parsed; warns with the reasons of those that could not."""

    def examine(corpus: str) -> Verdict:
        rows = warehouse.scan(REJECTED_DOCUMENTS, {"corpus": corpus}, ["key", "reason"])
        reasons = Counter(rows.column("reason").to_pylist())
        if not reasons:
            return Verdict(None, {"rejected": 0})
        named = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        first = ", ".join(sorted(rows.column("key").to_pylist())[:NAMED])
        fault = f"{rows.num_rows} documents were rejected ({named}): {first}"
        return Verdict(fault, {"rejected": rows.num_rows, **reasons})

    return verdict_of(context, lake, documents, examine, dg.AssetCheckSeverity.WARN)


def _accounted(objects: list[str], settled: list[str], unsettled: list[str]) -> Verdict:
    """Whether these objects are these documents, by their keys."""
    wanted = Counter(key for key in objects if not is_evaluation_file(key))
    have = Counter(settled)
    for key in unsettled:  # it may be there as it was before
        wanted[key] = min(wanted[key], have[key])
    wanted = +wanted
    figures = {"objects": len(objects), "settled": have.total()}
    if wanted == have:
        return Verdict(None, figures)
    lost, extra = wanted - have, have - wanted
    return Verdict(f"{lost.total()} objects unaccounted for, {extra.total()} extra", figures)


def _unsettled(corpus: str, lake: ObjectStore, warehouse: Warehouse) -> list[str]:
    """Keys of the objects that changed while the documents were read; records hold ids alone."""
    details = Ledger(lake).require("documents", corpus).details
    ids = set(json.loads(details.get("unsettled", "[]")))
    if not ids:
        return []
    rows = warehouse.scan(RAW_OBJECTS, {"corpus": corpus}, ["doc_id", "key"]).to_pylist()
    return sorted(row["key"] for row in rows if row["doc_id"] in ids)
