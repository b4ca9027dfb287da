"""The asset `embeddings`."""

import time
from functools import partial

import dagster as dg

from platform_assets.automation import ON_CHANGE
from platform_assets.checkpoints.assets import checkpoints
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.chunks.assets import chunks
from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.encoding import Encode
from platform_assets.embeddings.refresh import refresh
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.embeddings.vectors import CODE_VERSION
from platform_assets.partitions import corpora_by_encoder, corpus_and_encoder
from platform_assets.pods import ENCODING_POOL, ENCODING_TAGS
from platform_assets.provenance import Ledger
from platform_assets.results import (
    OWNERS,
    SECONDS,
    lineage,
    materialized,
    progress_log,
    table_metadata,
)
from platform_assets.tables import keep
from resources.engines import Engine
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse


@dg.asset(
    deps=[chunks, checkpoints],
    partitions_def=corpora_by_encoder,
    group_name="embeddings",
    kinds={"iceberg"},
    pool=ENCODING_POOL,
    op_tags=ENCODING_TAGS,
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_CHANGE,
    metadata=table_metadata(EMBEDDINGS),
)
def embeddings(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult[None]:
    """One vector a chunk; a text already embedded by that encoder is taken from the table.

    Of a handful of texts nobody looks through half a million rows: they are encoded sooner.
    """
    corpus, encoder = corpus_and_encoder(context.partition_key)
    ledger = Ledger(lake)
    upstream = [ledger.require("chunks", corpus), ledger.require("checkpoints", encoder)]
    checkpoint = upstream[1]
    started = time.monotonic()
    encoder_of = partial(checkpoint_store.load_same, checkpoint)
    own = refresh(
        Encode(corpus, warehouse, upstream[0].snapshot, encoder_of),
        lake,
        encoder,
        checkpoint.details["encoder_digest"],
        engine,
        progress_log(context, "texts embedded"),
        CODE_VERSION,
    )
    record = ledger.commit(own.record(CODE_VERSION, upstream=upstream))
    keep([own])
    found = lineage(EMBEDDINGS, {"chunks": CHUNKS}, {"vector": ("chunks", "text")})
    seconds = time.monotonic() - started if own.report.work.embedded else 0.0
    return materialized(own.report, record, {"dagster/column_lineage": found, SECONDS: seconds})
