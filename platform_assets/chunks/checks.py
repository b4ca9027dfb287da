"""Checks of `chunks`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.chunks.assets import chunks, token_limit, tokenizers
from platform_assets.chunks.audit import coverage, length
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
        return length(warehouse, corpus, limit)

    return verdict_of(context, lake, chunks, examine)


@dg.asset_check(asset=chunks, blocking=True)
def every_document_has_chunks(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Chunks belong to the documents there are, all of them, and their ids are unique."""

    def examine(corpus: str) -> Verdict:
        return coverage(warehouse, corpus)

    return verdict_of(context, lake, chunks, examine)
