"""Checks of `embeddings`."""

from collections.abc import Collection
from functools import partial

import dagster as dg
import numpy as np

from platform_assets.checking import Verdict, by_slice, verdict_of
from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.assets import embeddings
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Ledger
from platform_assets.slices import Source
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

NORM_TOLERANCE = 1e-3


@dg.asset_check(asset=embeddings, blocking=True)
def one_unit_vector_a_chunk(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Each chunk has one vector of unit length by the present encoder, and no other rows exist."""

    def examine(partition: str) -> Verdict:
        corpus, encoder = corpus_and_encoder(partition)
        digest = Ledger(lake).require("checkpoints", encoder).details["encoder_digest"]
        chunks = Source.now(warehouse, CHUNKS, {"corpus": corpus})
        rows = Source.now(warehouse, EMBEDDINGS, {"corpus": corpus, "encoder": encoder})
        find = partial(_vectors, warehouse, chunks, rows, digest)
        name = f"one_unit_vector_a_chunk/{partition}"
        return by_slice(context, lake, warehouse, name, [chunks, rows], find, [digest])

    return verdict_of(context, lake, embeddings, examine)


def _vectors(
    warehouse: Warehouse,
    chunks: Source,
    rows: Source,
    digest: str,
    slices: Collection[int] | None,
) -> Verdict:
    """Whether these chunks have these vectors, by the encoder of that digest."""
    wanted = set(chunks.scan(warehouse, ["chunk_id"], slices).column("chunk_id").to_pylist())
    have, off, foreign = [], 0, 0
    columns = ["chunk_id", "encoder_digest", "vector"]
    for batch in rows.batches(warehouse, columns, slices):
        have += batch.column("chunk_id").to_pylist()
        foreign += sum(d != digest for d in batch.column("encoder_digest").to_pylist())
        vectors = batch.column("vector").to_numpy(zero_copy_only=False)
        norms = np.linalg.norm(np.stack(vectors), axis=1) if len(vectors) else np.ones(0)
        off += int((~(np.abs(norms - 1) <= NORM_TOLERANCE)).sum())  # NaN is off too
    figures = {"chunks": len(wanted), "vectors": len(have)}
    if set(have) == wanted and len(have) == len(wanted) and not off and not foreign:
        return Verdict(None, figures)
    fault = (
        f"{len(wanted - set(have))} chunks lack a vector, {len(set(have) - wanted)} vectors a "
        f"chunk; {off} are not of unit length, {foreign} of another encoder"
    )
    return Verdict(fault, figures)
