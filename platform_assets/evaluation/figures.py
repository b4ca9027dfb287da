"""The plots of a corpus, drawn from what the tables hold.

Here: reading what each plot needs. Not here: how a plot looks (plots.py and its neighbours).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.checkpoints.refresh import losses
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.chunks.chunking import ChunkingConfig
from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.evaluation.canvas import png
from platform_assets.evaluation.corpus_plots import chunk_lengths, growth
from platform_assets.evaluation.plots import quality, recall_by_k, training_loss
from platform_assets.evaluation.projection import document_group, projection
from platform_assets.evaluation.refresh import BASELINE, Quality, qualities
from platform_assets.evaluation.significance import confidence_interval
from platform_assets.provenance import Ledger
from platform_assets.sampling import of_few_slices
from platform_assets.slices import Source
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Series = Mapping[str, Sequence[tuple[datetime, int]]]

MOST_MAPPED = 3_000
"""Documents whose chunks the map of embeddings shows."""
MOST_POINTS = 500
"""Materialisations that the growth plot looks back on."""


def draw(
    corpus: str,
    warehouse: Warehouse,
    checkpoints: CheckpointStore,
    ledger: Ledger,
    series: Series,
) -> dict[str, bytes]:
    """PNG of every plot, by name."""
    measured = {
        encoder: found
        for encoder in load_recipes()
        if (found := qualities(warehouse, corpus, encoder))
    }
    trained = {
        encoder: losses(checkpoints, record)
        for encoder in load_recipes()
        if (record := ledger.latest("checkpoints", encoder))
    }
    tokens = warehouse.scan(CHUNKS, {"corpus": corpus}, ["token_count"]).column("token_count")
    limit = ChunkingConfig.from_env().max_tokens
    figures = {
        **_quality_figures(corpus, measured),
        "training_loss": training_loss(trained),
        "chunk_lengths": chunk_lengths(corpus, tokens.to_numpy(), limit),
        "corpus_growth": growth(corpus, series),
    }
    if measured:
        figures["embedding_map"] = _embedding_map(
            corpus, next(iter(measured)), warehouse, len(tokens)
        )
    return {name: png(figure) for name, figure in figures.items()}


def growth_series(instance: dg.DagsterInstance, corpus: str) -> Series:
    """(time, rows) of each materialisation of the corpus's documents and chunks."""
    series = {}
    for asset in ("documents", "chunks"):
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[corpus]), limit=MOST_POINTS
        ).records
        series[asset] = [
            (datetime.fromtimestamp(record.timestamp, UTC), int(count.value or 0))
            for record in records
            if record.asset_materialization
            and isinstance(
                count := record.asset_materialization.metadata.get("dagster/row_count"),
                dg.IntMetadataValue,
            )
        ]
    return series


def _quality_figures(
    corpus: str, measured: Mapping[str, Mapping[str, Quality]]
) -> dict[str, "Figure"]:
    scores, curves, baseline = {}, {}, None
    for encoder, found in measured.items():
        for retriever, result in found.items():
            if not result.ndcg_10:
                continue
            if retriever == BASELINE:
                baseline = result
            else:
                scores[encoder, retriever] = confidence_interval(result.ndcg_10.values())
                curves[encoder, retriever] = result.recall_at
    reference = confidence_interval(baseline.ndcg_10.values()) if baseline else None
    return {
        "quality": quality(corpus, scores, reference),
        "recall": recall_by_k(corpus, curves, baseline.recall_at if baseline else None),
    }


def _embedding_map(corpus: str, encoder: str, warehouse: Warehouse, chunks: int) -> "Figure":
    scope = {"corpus": corpus}
    shown = of_few_slices(warehouse, Source.now(warehouse, CHUNKS, scope), MOST_MAPPED)
    of_shown = warehouse.scan(CHUNKS, scope, ["chunk_id", "key"], shown)
    pairs = zip(*(of_shown.column(name).to_pylist() for name in ("chunk_id", "key")), strict=True)
    groups = {chunk_id: document_group(key) for chunk_id, key in pairs}
    rows = warehouse.scan(EMBEDDINGS, scope | {"encoder": encoder}, ["chunk_id", "vector"], shown)
    rows = rows.sort_by("chunk_id")
    ids = rows.column("chunk_id").to_pylist()
    vectors = np.stack(rows.column("vector").to_numpy()) if ids else np.empty((0, 0))
    of_rows = [groups.get(name, "") for name in ids]
    return projection(corpus, encoder, vectors, of_rows, chunks)
