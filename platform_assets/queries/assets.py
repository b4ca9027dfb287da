"""The assets `queries` and `training_pairs`."""

from functools import lru_cache

import dagster as dg

from platform_assets.automation import ON_CHANGE
from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.chunks.assets import chunks
from platform_assets.demand import OnDemand
from platform_assets.documents.assets import documents
from platform_assets.partitions import corpora
from platform_assets.provenance import Ledger, Record, links
from platform_assets.queries import pairs as training
from platform_assets.queries.refresh import refresh
from platform_assets.queries.table import QUERIES, TRAINING_PAIRS
from platform_assets.raw_objects.assets import raw_objects
from platform_assets.reconcile import Report
from platform_assets.results import OWNERS, lineage, materialized, progress_log, table_metadata
from resources.encoding import Encoder, EncodingBackend
from resources.model_hub import ModelHub
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

CODE_VERSION = "2"
PAIRS_LINEAGE = lineage(
    TRAINING_PAIRS,
    {"queries": QUERIES},
    {
        "query": ("queries", "text"),
        "positive": ("chunks", "text"),
        "positive_key": ("chunks", "key"),
        "negatives": ("chunks", "text"),
        "negative_keys": ("chunks", "key"),
    },
)


@dg.asset(
    deps=[raw_objects, documents],
    partitions_def=corpora,
    group_name="training_data",
    kinds={"iceberg", "python"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_CHANGE,
    metadata=table_metadata(QUERIES),
)
def queries(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """Evaluation queries with relevance judgements, split by document.

    Uploaded beside the corpus in BEIR's layout, or derived from titles and headings, from
    sentences, or from first words.
    """
    corpus = context.partition_key
    ledger = Ledger(lake)
    upstream = [ledger.require(name, corpus) for name in ("raw_objects", "documents")]
    draft = Record("queries", corpus, None, "", 0, CODE_VERSION, upstream=links(upstream))
    if settled := ledger.settled(draft):
        return materialized(Report(rows=settled.rows), settled)
    own, found = refresh(corpus, lake, warehouse)
    details = {"fault": found.fault} if found.fault else {}
    record = ledger.commit(own.record(CODE_VERSION, upstream=upstream, details=details))
    made_from = {"text": ("documents", "elements"), "judgements": ("documents", "key")}
    unused = {
        "dagster/column_lineage": lineage(QUERIES, {}, made_from),
        "unknown documents": len(found.unknown_documents),
        "unknown queries": len(found.unknown_queries),
        "queries without a relevant document": found.unjudged,
    }
    return materialized(own.report, record, unused)


@dg.asset(
    deps=[queries, chunks],
    partitions_def=corpora,
    group_name="training_data",
    kinds={"iceberg", "python"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    metadata=table_metadata(TRAINING_PAIRS),
)
def training_pairs(
    context: dg.AssetExecutionContext,
    config: OnDemand,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    hub: dg.ResourceParam[ModelHub],
    encoding: dg.ResourceParam[EncodingBackend],
) -> dg.MaterializeResult[None]:
    """Queries of the training split with a positive chunk and mined hard negatives.

    Refreshed on demand, with training: an upload alone leaves the pairs as they are.
    """
    corpus = context.partition_key
    ledger = Ledger(lake)
    upstream = [ledger.require(name, corpus) for name in ("queries", "chunks")]
    recipes = sorted(load_recipes().values(), key=lambda recipe: recipe.training is None)
    base = recipes[0].base
    draft = Record(
        "training_pairs", corpus, None, "", 0, CODE_VERSION, {"base": base}, links(upstream)
    )
    latest = ledger.latest("training_pairs", corpus)
    wrong = training.leaks(warehouse, corpus) or training.shows_erased(lake, warehouse, corpus)
    kept = config.only_if_missing and not wrong
    if latest and (kept or ledger.settled(draft)):
        return materialized(Report(rows=latest.rows), latest)

    @lru_cache(maxsize=1)
    def encoder() -> Encoder:
        return encoding.load(hub.fetch(base))

    mined = progress_log(context, "texts embedded for mining")
    own = training.refresh(corpus, warehouse, encoder, mined)
    record = ledger.commit(own.record(CODE_VERSION, {"base": base}, upstream))
    return materialized(own.report, record, {"dagster/column_lineage": PAIRS_LINEAGE})
