"""The asset `documents`, with its dead letters."""

from dataclasses import replace

import dagster as dg

from platform_assets.automation import ON_CHANGE
from platform_assets.documents.refresh import refresh
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.partitions import corpora
from platform_assets.provenance import Ledger, canonical, sha256_text
from platform_assets.raw_objects.assets import raw_objects
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.results import OWNERS, lineage, materialized, progress_log, table_metadata
from platform_assets.tables import keep
from resources.engines import Engine
from resources.object_store import ObjectStore
from resources.parsing import DocumentParser
from resources.warehouse import Warehouse

CODE_VERSION = "1"


@dg.asset(
    deps=[raw_objects],
    partitions_def=corpora,
    group_name="document_processing",
    kinds={"iceberg", "unstructured", "python"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_CHANGE,
    metadata=table_metadata(DOCUMENTS, REJECTED_DOCUMENTS),
)
def documents(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    parser: dg.ResourceParam[DocumentParser],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult[None]:
    """Parsed documents: elements with type, text, page and heading path.

    What cannot be parsed goes to `rejected_documents` with the reason and stops nothing else.
    """
    corpus = context.partition_key
    ledger = Ledger(lake)
    upstream = ledger.require("raw_objects", corpus)
    progress = progress_log(context, "documents parsed")
    done = refresh(corpus, lake, warehouse, parser, engine, CODE_VERSION, progress)
    accepted, rejected = done.accepted.digest(), done.rejected.digest()
    latest = ledger.latest("documents", corpus)
    if latest and latest.details["rejected"] == rejected:  # other corpora's commits are not ours
        rejected_snapshot = latest.details["rejected_snapshot"]
    else:
        rejected_snapshot = done.rejected.snapshot() or ""
    details = {
        "accepted": accepted,
        "rejected": rejected,
        "rejected_snapshot": rejected_snapshot,
    }
    if done.unsettled:  # its check warns of them
        details["unsettled"] = canonical(sorted(done.unsettled))
    config = {"parser": parser.fingerprint}
    record = done.accepted.record(CODE_VERSION, config, [upstream], details)
    record = ledger.commit(replace(record, digest=sha256_text(f"{accepted}|{rejected}")))
    keep([done.accepted, done.rejected], done.unsettled)
    report = done.accepted.report
    commits = report.work.commits + done.rejected.report.work.commits
    report.work = replace(report.work, parsed=done.parsed, commits=commits)
    return materialized(
        report,
        record,
        {
            "rejected": done.rejected.report.rows,
            "dagster/column_lineage": lineage(DOCUMENTS, {"raw_objects": RAW_OBJECTS}),
        },
    )
