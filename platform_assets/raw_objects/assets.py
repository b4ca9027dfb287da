"""The asset `raw_objects`."""

import dagster as dg
from pydantic import Field

from platform_assets.partitions import check_corpus_name, corpora
from platform_assets.provenance import Ledger
from platform_assets.raw_objects.arrivals import METADATA, Arrivals
from platform_assets.raw_objects.listings import LISTING_METADATA
from platform_assets.raw_objects.refresh import refresh
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.results import OWNERS, materialized, table_metadata
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

CODE_VERSION = "1"


class Look(dg.Config):
    """Which objects are looked at."""

    keys: list[str] = Field(
        [], description="Keys within the corpus: only these objects are looked at; empty: all."
    )


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
    config: Look,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """Manifest of the objects of a corpus in the lake: key, size, etag and content digest."""
    corpus = check_corpus_name(context.partition_key)
    arrivals = Arrivals()
    manifest = refresh(corpus, lake, warehouse, CODE_VERSION, arrivals, config.keys)
    record = Ledger(lake).commit(manifest.own.record(CODE_VERSION))
    manifest.keep()
    more = {METADATA: arrivals.sketch(), LISTING_METADATA: manifest.listing}
    return materialized(manifest.own.report, record, more)
