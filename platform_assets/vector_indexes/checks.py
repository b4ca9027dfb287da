"""Checks of `vector_index` and `published_index`.

In the run that builds an index, they look at what was not looked at before; in a run for no
partition, such as the job `asset_checks`, at everything.
"""

import dagster as dg

from platform_assets.checking import Verdict, verdict_of
from platform_assets.provenance import Ledger
from platform_assets.vector_indexes.assets import published_index, vector_index
from platform_assets.vector_indexes.measuring import RECALL_FLOOR, Measuring
from platform_assets.vector_indexes.parts import is_there
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
    measuring = Measuring(lake, warehouse, vectors, afresh=not context.has_partition_key)

    def examine(partition: str) -> Verdict:
        return Verdict(measuring.id_fault(Ledger(lake).require("vector_index", partition)))

    return verdict_of(context, lake, vector_index, examine)


@dg.asset_check(asset=vector_index, blocking=True)
def vectors_have_dimensions_and_unit_length(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """Stored vectors have the encoder's dimensions and length 1."""
    measuring = Measuring(lake, warehouse, vectors, afresh=not context.has_partition_key)

    def examine(partition: str) -> Verdict:
        return Verdict(measuring.vector_fault(Ledger(lake).require("vector_index", partition)))

    return verdict_of(context, lake, vector_index, examine)


@dg.asset_check(asset=vector_index, blocking=True)
def approximate_search_finds_what_exact_search_finds(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """Recall@10 of the approximate index against exact search is at least 0.98."""
    measuring = Measuring(lake, warehouse, vectors, afresh=not context.has_partition_key)

    def examine(partition: str) -> Verdict:
        recall = measuring.recall(Ledger(lake).require("vector_index", partition))
        fault = f"recall@10 is {recall:.4f}" if recall < RECALL_FLOOR else None
        return Verdict(fault, {"recall@10": recall, "floor": RECALL_FLOOR})

    return verdict_of(context, lake, vector_index, examine)


@dg.asset_check(asset=published_index, blocking=True)
def alias_resolves(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.AssetCheckResult:
    """The alias names a collection that opens, and its provenance record is intact.

    Opening all parts of a large index takes seconds: a run has opened those that it changed, and
    looks whether the others are there; the job `asset_checks` opens them.
    """

    def examine(corpus: str) -> Verdict:
        served = vectors.served(corpus)
        if served is None:
            return Verdict("nothing is published")
        if not is_there(vectors, served.collection):
            return Verdict(f"collection {served.collection}, or a part of it, is gone")
        plain = vectors.parts(served.collection) == (served.collection,)
        if plain or not context.has_partition_key:
            vectors.open(served.collection)
        ledger = Ledger(lake)
        record = ledger.get(served.record)
        index = record.upstream[f"vector_index/{corpus}|{served.encoder}"].record
        figures: dict[str, str | int] = {
            "encoder": served.encoder,
            "retriever": str(served.retriever),
            "points": ledger.get(index).rows,
        }
        same = record.details["collection"] == served.collection
        return Verdict(None if same else "the record names another collection", figures)

    return verdict_of(context, lake, published_index, examine)
