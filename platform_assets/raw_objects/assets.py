"""The asset `raw_objects`."""

import dagster as dg

from platform_assets.partitions import check_corpus_name, corpora
from platform_assets.provenance import Ledger
from platform_assets.raw_objects.arrivals import METADATA, Arrivals
from platform_assets.raw_objects.refresh import refresh
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.results import OWNERS, materialized, table_metadata
from platform_assets.tables import keep
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

CODE_VERSION = "1"


@dg.asset(
    partitions_def=corpora,
    group_name="data_lake",
    kinds={"iceberg", "python"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    metadata=table_metadata(RAW_OBJECTS),
)
def raw_objects(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """Manifest of the objects of a corpus in the lake: key, size, etag and content digest."""
    corpus = check_corpus_name(context.partition_key)
    arrivals = Arrivals()
    own = refresh(corpus, lake, warehouse, CODE_VERSION, arrivals)
    record = Ledger(lake).commit(own.record(CODE_VERSION))
    keep([own])
    return materialized(own.report, record, {METADATA: arrivals.sketch()})
