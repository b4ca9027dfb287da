"""Checks of `vector_index` and `published_index`."""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Ledger
from platform_assets.vector_indexes.assets import published_index, vector_index
from platform_assets.vector_indexes.publish import (
    RECALL_FLOOR,
    approximate_recall,
    id_faults,
    vector_faults,
)
from resources.object_store import ObjectStore
from resources.vector_store import VectorStore
from resources.warehouse import Warehouse


@dg.asset_check(asset=vector_index, blocking=True)
def ids_are_live_chunks(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """The collection holds exactly the chunks there are: nothing missing, nothing deleted."""

    def examine(partition: str) -> Verdict:
        details = Ledger(lake).require("vector_index", partition).details
        corpus, _ = corpus_and_encoder(partition)
        return Verdict(id_faults(corpus, warehouse, vectors.open(details["collection"])))

    return verdict_of(context, lake, vector_index, examine)


@dg.asset_check(asset=vector_index, blocking=True)
def vectors_have_dimensions_and_unit_length(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """Stored vectors have the encoder's dimensions and length 1."""

    def examine(partition: str) -> Verdict:
        details = Ledger(lake).require("vector_index", partition).details
        collection = vectors.open(details["collection"])
        return Verdict(vector_faults(int(details["dimensions"]), collection))

    return verdict_of(context, lake, vector_index, examine)


@dg.asset_check(asset=vector_index, blocking=True)
def approximate_search_finds_what_exact_search_finds(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """Recall@10 of the approximate index against exact search is at least 0.98."""

    def examine(partition: str) -> Verdict:
        details = Ledger(lake).require("vector_index", partition).details
        recall = approximate_recall(vectors.open(details["collection"]))
        fault = f"recall@10 is {recall:.4f}" if recall < RECALL_FLOOR else None
        return Verdict(fault, {"recall@10": recall, "floor": RECALL_FLOOR})

    return verdict_of(context, lake, vector_index, examine)


@dg.asset_check(asset=published_index, blocking=True)
def alias_resolves(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """The alias names a collection that opens, and its provenance record is intact."""

    def examine(corpus: str) -> Verdict:
        served = vectors.served(corpus)
        if served is None:
            return Verdict("nothing is published")
        record = Ledger(lake).get(served.record)
        points = len(vectors.open(served.collection).fingerprints())
        figures: dict[str, str | int] = {
            "encoder": served.encoder,
            "retriever": str(served.retriever),
            "points": points,
        }
        same = record.details["collection"] == served.collection
        return Verdict(None if same else "the record names another collection", figures)

    return verdict_of(context, lake, published_index, examine)
