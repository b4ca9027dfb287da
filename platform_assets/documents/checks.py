"""Checks of `documents`."""

from collections import Counter

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.documents.assets import documents
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.queries.uploaded import is_evaluation_file
from platform_assets.raw_objects.table import RAW_OBJECTS
from resources.object_store import ObjectStore
from resources.warehouse import TableSpec, Warehouse


@dg.asset_check(asset=documents, blocking=True)
def every_object_accounted_for(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Each object of the manifest is a document or a rejected document, exactly one of them."""

    def examine(corpus: str) -> Verdict:
        def column(table: TableSpec, name: str) -> list[str]:
            found: list[str] = warehouse.scan(table, {"corpus": corpus}, [name])[name].to_pylist()
            return found

        keys = column(RAW_OBJECTS, "key")
        wanted = Counter(key for key in keys if not is_evaluation_file(key))
        have = Counter(column(DOCUMENTS, "key")) + Counter(column(REJECTED_DOCUMENTS, "key"))
        figures = {"objects": len(keys), "settled": have.total()}
        if wanted == have:
            return Verdict(None, figures)
        lost, extra = wanted - have, have - wanted
        return Verdict(f"{lost.total()} objects unaccounted for, {extra.total()} extra", figures)

    return verdict_of(context, lake, documents, examine)


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
        first = ", ".join(sorted(rows.column("key").to_pylist())[:5])
        fault = f"{rows.num_rows} documents were rejected ({named}): {first}"
        return Verdict(fault, {"rejected": rows.num_rows, **reasons})

    return verdict_of(context, lake, documents, examine, dg.AssetCheckSeverity.WARN)
