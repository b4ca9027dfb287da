"""Checks of `queries` and `training_pairs`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.queries.assets import queries, training_pairs
from platform_assets.queries.mining import held_out
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

    return verdict_of(context, lake, "queries", examine)


@dg.asset_check(asset=training_pairs, blocking=True)
def no_test_document_in_training(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Neither positives nor negatives come from a document that is judged for a test query."""

    def examine(corpus: str) -> Verdict:
        tests = held_out(read_queries(warehouse, corpus, "test"))
        columns = ["positive_key", "negative_keys"]
        rows = warehouse.scan(TRAINING_PAIRS, {"corpus": corpus}, columns).to_pylist()
        leaked = [
            row for row in rows if tests.intersection([row["positive_key"], *row["negative_keys"]])
        ]
        figures = {"pairs": len(rows), "test documents": len(tests)}
        fault = f"{len(leaked)} pairs show a test document to training" if leaked else None
        return Verdict(fault, figures)

    return verdict_of(context, lake, "training_pairs", examine)
