"""What assets say of themselves and of each materialisation, in Dagster's vocabulary.

Here: metadata and results shared by all assets. Not here: numbers (reconcile.Report).
"""

import base64
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

import dagster as dg
import pyarrow as pa

from platform_assets.provenance import Record
from platform_assets.reconcile import Report
from resources.warehouse import TableSpec

OWNERS = ("team:lakeloom",)
WORK = "lakeloom/work"
"""Metadata key of the work a materialisation did."""
REPORT = "lakeloom/report"
"""Metadata key of its row counts."""
SECONDS = "lakeloom/seconds"
"""Metadata key of the time that a materialisation took for its own work, where that is told."""
PROGRESS_SECONDS = 5
_DIGEST = re.compile(r"([0-9a-f]{12})[0-9a-f]{52}")


def table_metadata(table: TableSpec, *more: TableSpec) -> dict[str, dg.TableMetadataValue | object]:
    """Definition metadata of a table asset: its columns as the UI's catalogue shows them."""
    metadata: dict[str, object] = {"dagster/column_schema": _schema(table)}
    metadata["dagster/table_name"] = f"lakeloom.{table.name}"
    return metadata | {f"columns of {other.name}": _schema(other) for other in more}


def lineage(
    table: TableSpec,
    upstream: Mapping[str, TableSpec],
    made_from: Mapping[str, tuple[str, str]] | None = None,
) -> dg.TableColumnLineage:
    """Columns that come from the column of the same name upstream, or are made from another.

    Args:
        table: The asset's table.
        upstream: Asset -> its table.
        made_from: Column -> (asset, column) it is computed from.
    """
    deps = {
        column: [
            dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=column)
            for asset, source in upstream.items()
            if column in source.schema.names and column not in ("fingerprint", "digest")
        ]
        for column in table.schema.names
    }
    for column, (asset, source) in (made_from or {}).items():
        deps[column] = [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=source)]
    return dg.TableColumnLineage({column: found for column, found in deps.items() if found})


def materialized(
    report: Report, record: Record, metadata: Mapping[str, object] | None = None
) -> dg.MaterializeResult[None]:
    """The result of a materialisation: what it is, row counts, work done and data version.

    Digests are shown by their first 12 digits; the provenance record holds them in full.
    """
    counts = asdict(report)
    work = counts.pop("work")
    described = {
        "dagster/row_count": report.rows,
        **{name: _DIGEST.sub(r"\1", value) for name, value in record.details.items() if value},
        **(metadata or {}),
        WORK: work,
        REPORT: counts,
        "lakeloom/record": record.record_id,
    }
    if record.snapshot:
        described["lakeloom/snapshot"] = record.snapshot
    return dg.MaterializeResult(metadata=described, data_version=dg.DataVersion(record.digest))


def progress_log(context: dg.AssetExecutionContext, what: str) -> Callable[[int, int], None]:
    """A callback (done, total) that logs a line every few seconds, with the rate."""
    started = last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS or done == total:
            last = now
            rate = done / max(now - started, 1e-9)
            context.log.info("%d of %d %s, %.0f a second", done, total, what, rate)

    return progress


def inline_png(png: bytes) -> dg.MarkdownMetadataValue:
    """A plot as the UI shows it inline."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")


def _schema(table: TableSpec) -> dg.TableSchema:
    return dg.TableSchema([_column(field) for field in table.schema])


def _column(field: pa.Field) -> dg.TableColumn:
    comment = (field.metadata or {}).get(b"comment", b"").decode()
    return dg.TableColumn(field.name, str(field.type), comment)
