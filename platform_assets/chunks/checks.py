"""Checks of `chunks`."""

from functools import partial

import dagster as dg

from platform_assets.checking import Verdict, by_slice, verdict_of
from platform_assets.chunks.assets import chunks, token_limit, tokenizers
from platform_assets.chunks.audit import coverage, length
from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS
from platform_assets.slices import Source
from resources.model_hub import ModelHub
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse


@dg.asset_check(asset=chunks, blocking=True)
def within_token_limit(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    hub: dg.ResourceParam[ModelHub],
) -> dg.AssetCheckResult:
    """No chunk is longer than any encoder reads, so nothing is cut off unseen."""
    limit = token_limit(tokenizers(hub))

    def examine(corpus: str) -> Verdict:
        rows = Source.now(warehouse, CHUNKS, {"corpus": corpus})
        find = partial(length, warehouse, rows, limit)
        name, made_by = f"within_token_limit/{corpus}", [str(limit)]
        return by_slice(context, lake, warehouse, name, [rows], find, made_by)

    return verdict_of(context, lake, chunks, examine)


@dg.asset_check(asset=chunks, blocking=True)
def every_document_has_chunks(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Chunks belong to the documents there are, all of them, and their ids are unique."""

    def examine(corpus: str) -> Verdict:
        rows, parsed = (
            Source.now(warehouse, table, {"corpus": corpus}) for table in (CHUNKS, DOCUMENTS)
        )
        find = partial(coverage, warehouse, rows, parsed)
        name = f"every_document_has_chunks/{corpus}"
        return by_slice(context, lake, warehouse, name, [rows, parsed], find)

    return verdict_of(context, lake, chunks, examine)
