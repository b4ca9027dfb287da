"""Checks of `retrieval_evaluation` and `evaluation_plots`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.evaluation.assets import evaluation_plots, plot_key, retrieval_evaluation
from platform_assets.evaluation.gate import quality_regression, unanswered
from platform_assets.evaluation.refresh import MEASURED, qualities
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Ledger
from platform_assets.queries.refresh import read_queries
from platform_assets.vector_indexes.publish import served_scores
from resources.object_store import ObjectStore
from resources.vector_store import VectorStore
from resources.warehouse import Warehouse


@dg.asset_check(asset=retrieval_evaluation, blocking=True)
def every_query_was_answered(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """No test query failed, and each was asked where there is something to search."""

    def examine(partition: str) -> Verdict:
        corpus, encoder = corpus_and_encoder(partition)
        if not Ledger(lake).require("chunks", corpus).rows:
            return Verdict(None, {"chunks": 0})
        if not read_queries(warehouse, corpus, "test"):  # a check of `queries` warns of it
            return Verdict(None, {"queries": 0})
        found = qualities(warehouse, corpus, encoder)
        attempted = [query for quality in found.values() for query in quality.attempted]
        failed = {query for quality in found.values() for query in quality.failed}
        answered = set(attempted) - failed
        figures = {"queries": len(set(attempted)), "failed": len(failed)}
        return Verdict(unanswered(attempted, answered), figures)

    return verdict_of(context, lake, retrieval_evaluation, examine)


@dg.asset_check(asset=retrieval_evaluation)
def not_worse_than_served(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """Test nDCG@10 is not below the served index's by more than its confidence bound.

    A warning here, since another encoder's index may be published instead; the gate in
    `published_index` refuses an index that fails it.
    """

    def examine(partition: str) -> Verdict:
        corpus, encoder = corpus_and_encoder(partition)
        served = served_scores(vectors.served(corpus), Ledger(lake), warehouse)
        found = qualities(warehouse, corpus, encoder)
        scored = [found[retriever].ndcg_10 for retriever in MEASURED if retriever in found]
        faults = [quality_regression(scores, served) for scores in scored]
        # The better retriever is what would be served.
        return Verdict(faults[0] if faults and all(faults) else None, {"compared": len(served)})

    return verdict_of(context, lake, retrieval_evaluation, examine, dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=evaluation_plots, blocking=True)
def plots_are_images(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """Every plot in the lake is a PNG that decodes."""

    def examine(corpus: str) -> Verdict:
        import io

        from PIL import Image

        names = Ledger(lake).require("evaluation_plots", corpus).details
        for name in names:
            try:
                Image.open(io.BytesIO(lake.get(plot_key(corpus, name)))).verify()
            except Exception as error:  # noqa: BLE001 - Pillow raises many kinds
                return Verdict(f"{name} cannot be shown: {error}")
        return Verdict(None, {"plots": len(names)})

    return verdict_of(context, lake, evaluation_plots, examine)
