"""Checks of `chunks`."""

import dagster as dg
import pyarrow.compute as pc

from platform_assets.checking import Verdict, verdict_of
from platform_assets.chunks.assets import chunks, tokenizers
from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS
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
    limit = min(tokenizer.max_tokens for tokenizer in tokenizers(hub))

    def examine(corpus: str) -> Verdict:
        rows = warehouse.scan(CHUNKS, {"corpus": corpus}, ["token_count"])
        longest = pc.max(rows.column("token_count")).as_py() or 0
        fault = f"a chunk has {longest} tokens, the limit is {limit}" if longest > limit else None
        return Verdict(fault, {"longest": longest, "limit": limit})

    return verdict_of(context, lake, chunks, examine)


@dg.asset_check(asset=chunks, blocking=True)
def every_document_has_chunks(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Chunks belong to the documents there are, all of them, and their ids are unique."""

    def examine(corpus: str) -> Verdict:
        scope = {"corpus": corpus}
        rows = warehouse.scan(CHUNKS, scope, ["doc_id", "chunk_id"])
        documents = warehouse.scan(DOCUMENTS, scope, ["doc_id"])
        have, wanted = (set(table.column("doc_id").to_pylist()) for table in (rows, documents))
        doubled = rows.num_rows - pc.count_distinct(rows.column("chunk_id")).as_py()
        figures = {"documents": len(wanted), "chunks": rows.num_rows}
        if have == wanted and not doubled:
            return Verdict(None, figures)
        fault = (
            f"{len(wanted - have)} documents have no chunk, {len(have - wanted)} are gone but "
            f"have some, {doubled} ids stand twice"
        )
        return Verdict(fault, figures)

    return verdict_of(context, lake, chunks, examine)
