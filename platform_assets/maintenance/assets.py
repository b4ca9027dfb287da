"""The assets `table_maintenance` and `restored_index`.

Not in the path of any wave: they depend on nothing and nothing depends on them. They run when they
are asked for by name; the first also on its schedule, which is off by default.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from platform_assets.erasure.tombstones import generation
from platform_assets.maintenance.pins import pins
from platform_assets.maintenance.restoring import PREVIOUS, index_of, published_state, rebuild
from platform_assets.maintenance.tables import ALL_TABLES, maintain
from platform_assets.partitions import corpora
from platform_assets.provenance import Ledger, Record, canonical, links, sha256_text
from platform_assets.reconcile import Report
from platform_assets.results import OWNERS, materialized, progress_log
from resources.object_store import ObjectStore
from resources.vector_store import VectorStore
from resources.warehouse import Warehouse

CODE_VERSION = "1"
tables = dg.StaticPartitionsDefinition(sorted(ALL_TABLES))


class Upkeep(dg.Config):
    """How long what nobody needs any more is kept."""

    grace_hours: float = Field(
        24,
        ge=0,
        description="Hours for which readers keep what they read and commits what they wrote.",
    )


@dg.asset(
    partitions_def=tables,
    group_name="maintenance",
    kinds={"iceberg"},
    owners=OWNERS,
    code_version=CODE_VERSION,
)
def table_maintenance(
    context: dg.AssetExecutionContext,
    config: Upkeep,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.MaterializeResult[None]:
    """Upkeep of a table: small files merged, snapshots expired but the pinned ones, orphans gone.

    What is served, what a rollback would serve and what the next materialisation starts from pin
    their snapshots; those are kept with all their files.
    """
    name = context.partition_key
    ledger = Ledger(lake)
    kept = pins(ledger, vectors).of(name)
    older_than = datetime.now(UTC) - timedelta(hours=config.grace_hours)
    done = maintain(warehouse, ALL_TABLES[name], kept, older_than)
    details = {key: str(value) for key, value in done.figures().items()}
    record = ledger.commit(
        Record(
            "table_maintenance",
            name,
            None,
            sha256_text(canonical(details)),
            done.after.data_files,
            CODE_VERSION,
            details=details,
        )
    )
    report = Report(
        rows=done.after.data_files,
        added=done.compacted.files_after,
        removed=done.compacted.files_before + done.expired.files + done.orphans.files,
    )
    return materialized(report, record, done.figures())


class AsOf(dg.Config):
    """Which published state is meant."""

    as_of: str = Field(PREVIOUS, description="`previous`, or the id of a `published_index` record.")


@dg.asset(
    partitions_def=corpora,
    group_name="maintenance",
    kinds={"qdrant"},
    owners=OWNERS,
    code_version=CODE_VERSION,
)
def restored_index(
    context: dg.AssetExecutionContext,
    config: AsOf,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.MaterializeResult[None]:
    """The collection of a past published state, built again from the snapshots it was made from.

    It is not served; `lakeloom rollback --to` does that. Its record pins the state's snapshots
    until another state is restored.
    """
    ledger = Ledger(lake)
    published = published_state(ledger, vectors, context.partition_key, config.as_of)
    index = index_of(ledger, published)
    progress = progress_log(context, "points upserted")
    erased = generation(lake, context.partition_key)
    built = rebuild(index, ledger, warehouse, vectors, lake, erased, progress)
    details = {**built.details, "as_of": published.record_id}
    record = ledger.commit(
        Record(
            "restored_index",
            context.partition_key,
            None,
            built.digest,
            built.report.rows,
            CODE_VERSION,
            upstream=links([published, index]),
            details=details,
        )
    )
    return materialized(built.report, record)
