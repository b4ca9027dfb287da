"""Checks of `queries` and `training_pairs`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.provenance import Ledger
from platform_assets.queries.assets import queries, training_pairs
from platform_assets.queries.pairs import leaks
from platform_assets.queries.refresh import read_queries
from platform_assets.queries.table import TRAINING_PAIRS
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse


@dg.asset_check(asset=queries, blocking=True)
def train_and_test_share_no_query(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """No query text stands in both splits, and every query has a judged document."""

    def examine(corpus: str) -> Verdict:
        train, test = (read_queries(warehouse, corpus, split) for split in ("train", "test"))
        shared = {query.text for query in train} & {query.text for query in test}
        unjudged = sum(not query.judgements for query in (*train, *test))
        figures = {"train": len(train), "test": len(test)}
        if not shared and not unjudged:
            return Verdict(None, figures)
        return Verdict(f"{len(shared)} texts in both splits, {unjudged} unjudged", figures)

    return verdict_of(context, lake, queries, examine)


@dg.asset_check(asset=queries)
def uploaded_queries_were_used(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """What was uploaded to measure with could be used; warns with the file and line if not."""

    def examine(corpus: str) -> Verdict:
        return Verdict(Ledger(lake).require("queries", corpus).details.get("fault"))

    return verdict_of(context, lake, queries, examine, dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=queries)
def something_can_be_measured(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """There is a test query where there are documents; an index without one goes unmeasured."""

    def examine(corpus: str) -> Verdict:
        documents = Ledger(lake).require("documents", corpus).rows
        asked = len(read_queries(warehouse, corpus, "test"))
        fault = "no document has a word to ask for: upload queries.jsonl and qrels/test.tsv"
        return Verdict(fault if documents and not asked else None, {"test queries": asked})

    return verdict_of(context, lake, queries, examine, dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=training_pairs, blocking=True)
def no_test_document_in_training(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Neither positives nor negatives come from a document that is judged for a test query."""

    def examine(corpus: str) -> Verdict:
        leaked = leaks(warehouse, corpus)
        rows = warehouse.scan(TRAINING_PAIRS, {"corpus": corpus}, ["query_id"]).num_rows
        fault = f"{leaked} pairs show a test document to training" if leaked else None
        return Verdict(fault, {"pairs": rows})

    return verdict_of(context, lake, training_pairs, examine)
