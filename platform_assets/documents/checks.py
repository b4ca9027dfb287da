"""Checks of `documents`."""

import json
from collections import Counter

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.documents.assets import documents
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.provenance import Ledger
from platform_assets.queries.uploaded import is_evaluation_file
from platform_assets.raw_objects.table import RAW_OBJECTS
from resources.object_store import ObjectStore
from resources.warehouse import TableSpec, Warehouse

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
        def column(table: TableSpec, name: str) -> list[str]:
            found: list[str] = warehouse.scan(table, {"corpus": corpus}, [name])[name].to_pylist()
            return found

        keys = column(RAW_OBJECTS, "key")
        wanted = Counter(key for key in keys if not is_evaluation_file(key))
        have = Counter(column(DOCUMENTS, "key")) + Counter(column(REJECTED_DOCUMENTS, "key"))
        for key in _unsettled(lake, corpus):  # it may be there as it was before
            wanted[key] = min(wanted[key], have[key])
        wanted = +wanted
        figures = {"objects": len(keys), "settled": have.total()}
        if wanted == have:
            return Verdict(None, figures)
        lost, extra = wanted - have, have - wanted
        return Verdict(f"{lost.total()} objects unaccounted for, {extra.total()} extra", figures)

    return verdict_of(context, lake, documents, examine)


@dg.asset_check(asset=documents)
def no_object_changed_while_read(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """Every object stood still while it was read; warns with those that are left for later."""

    def examine(corpus: str) -> Verdict:
        keys = _unsettled(lake, corpus)
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


def _unsettled(lake: ObjectStore, corpus: str) -> list[str]:
    keys: list[str] = json.loads(
        Ledger(lake).require("documents", corpus).details.get("unsettled", "[]")
    )
    return keys
