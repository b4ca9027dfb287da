"""The assets `retrieval_evaluation` and `evaluation_plots`."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import dagster as dg

from platform_assets.automation import ON_ANY_UPDATE, ON_CHANGE
from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.erasure.tombstones import erasure_config, generation
from platform_assets.evaluation.figures import draw, growth_series
from platform_assets.evaluation.refresh import Index, Quality, qualities, refresh
from platform_assets.evaluation.table import EVALUATION
from platform_assets.partitions import corpora, corpora_by_encoder, corpus_and_encoder
from platform_assets.provenance import PREFIX, Ledger, Record, canonical, links, sha256_text
from platform_assets.queries.assets import queries
from platform_assets.queries.table import QUERIES
from platform_assets.reconcile import Report
from platform_assets.results import (
    OWNERS,
    inline_png,
    lineage,
    materialized,
    progress_log,
    table_metadata,
)
from platform_assets.vector_indexes.assets import vector_index
from resources.object_store import ObjectStore
from resources.vector_store import VectorStore
from resources.warehouse import Warehouse

CODE_VERSION = "2"


@dg.asset(
    deps=[vector_index, queries],
    partitions_def=corpora_by_encoder,
    group_name="evaluation",
    kinds={"iceberg", "python"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_CHANGE,
    metadata=table_metadata(EVALUATION),
)
def retrieval_evaluation(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.MaterializeResult[None]:
    """nDCG@10, Recall@k and MRR@10 on the test queries: BM25, dense and hybrid.

    An evaluation in which a query failed is done again, although nothing upstream has changed.
    """
    corpus, encoder = corpus_and_encoder(context.partition_key)
    ledger = Ledger(lake)
    index = ledger.require("vector_index", context.partition_key)
    upstream = [index, ledger.require("queries", corpus)]
    config = erasure_config(generation(lake, corpus))
    draft = Record(
        "retrieval_evaluation",
        context.partition_key,
        None,
        "",
        0,
        CODE_VERSION,
        config,
        links(upstream),
    )
    latest = ledger.latest("retrieval_evaluation", context.partition_key)
    if latest and ledger.settled(draft):
        found = qualities(warehouse, corpus, encoder)
        if not any(quality.failed for quality in found.values()):
            return materialized(Report(rows=latest.rows), latest, _summary(found))
    checkpoint = ledger.get(index.upstream[f"checkpoints/{encoder}"].record)
    own = refresh(
        corpus,
        encoder,
        warehouse,
        Index(index, vectors, lake),
        lambda: checkpoint_store.load(checkpoint),
        progress_log(context, "searches evaluated"),
    )
    record = ledger.commit(own.record(CODE_VERSION, config, upstream))
    measures = ("ndcg_10", "mrr_10", "recall_10", "recall_curve")
    made_from = dict.fromkeys(measures, ("queries", "judgements"))
    described = {"dagster/column_lineage": lineage(EVALUATION, {"queries": QUERIES}, made_from)}
    summary = _summary(qualities(warehouse, corpus, encoder))
    return materialized(own.report, record, {**summary, **described})


@dg.asset(
    deps=[
        retrieval_evaluation,
        "chunks",
        "embeddings",
        dg.AssetDep("checkpoints", partition_mapping=dg.AllPartitionMapping()),
    ],
    partitions_def=corpora,
    group_name="evaluation",
    kinds={"matplotlib"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_ANY_UPDATE,
)
def evaluation_plots(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.MaterializeResult[None]:
    """Quality, recall, training loss, chunk lengths, embedding map and growth, as PNGs."""
    corpus = context.partition_key
    ledger = Ledger(lake)
    names = [
        ("chunks", corpus),
        *(("retrieval_evaluation", f"{corpus}|{encoder}") for encoder in load_recipes()),
        *(("checkpoints", encoder) for encoder in load_recipes()),
    ]
    upstream = [record for name in names if (record := ledger.latest(*name))]
    draft = Record("evaluation_plots", corpus, None, "", 0, CODE_VERSION, upstream=links(upstream))
    latest = ledger.latest("evaluation_plots", corpus)
    if latest and ledger.settled(draft):
        plots = {name: lake.get(plot_key(corpus, name)) for name in latest.details}
        shown = {name: inline_png(png) for name, png in plots.items()}
        return materialized(Report(rows=latest.rows), latest, shown)
    growth = growth_series(context.instance, corpus)
    plots = draw(corpus, warehouse, checkpoint_store, ledger, growth)
    for name, png in plots.items():
        lake.put(plot_key(corpus, name), png)
    details = {name: hashlib.sha256(png).hexdigest() for name, png in plots.items()}
    digest = sha256_text(canonical(details))
    record = ledger.commit(replace(draft, digest=digest, rows=len(plots), details=details))
    before = latest.details if latest else {}
    report = Report(
        rows=len(plots),
        added=len(details.keys() - before.keys()),
        changed=sum(before[name] != details[name] for name in before.keys() & details),
    )
    return materialized(report, record, {name: inline_png(png) for name, png in plots.items()})


def plot_key(corpus: str, name: str) -> str:
    """Key in the lake of a plot of a corpus."""
    return f"{PREFIX}/plots/{corpus}/{name}.png"


def _summary(found: Mapping[str, Quality]) -> dict[str, float | int]:
    """Figures for the UI, which draws them over time."""
    shown: dict[str, float | int] = {}
    for retriever, quality in found.items():
        shown[f"{retriever} queries"] = len(quality.attempted)
        for metric, interval in quality.intervals().items():
            shown[f"{retriever} {metric}"] = round(interval.mean, 4)
    return shown
