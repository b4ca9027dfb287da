"""What maintenance wins: a scan after 200 single-document updates, before and after it.

    python -m tests.benchmarks.bench_maintenance

The embeddings of a corpus, updated one document at a time, with the snapshot of the hundredth
update pinned as that of a served index would be. Exits 1 where a scan after maintenance takes more
than `CEILING` times that of a table which was written with the same rows at once.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.maintenance.tables import Upkeep, maintain
from platform_assets.tables import OwnRows, rows_of
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog

SCOPE = {"corpus": "bench", "encoder": "minilm"}
DOCUMENTS, CHUNKS, DIMENSIONS = 500, 10, 384
UPDATES = 200
SAMPLES = 15
CEILING = 1.5
"""Scan after maintenance against that of a fresh table."""


def rows(documents: Iterable[int], edition: int) -> pa.Table:
    """Embeddings of some documents."""
    vectors = np.random.default_rng(edition)
    return rows_of(
        EMBEDDINGS,
        [
            {
                "doc_id": f"{document}",
                "chunk_id": f"{document}-{chunk}",
                "text_digest": f"{document}-{chunk}-{edition}",
                "encoder_digest": "encoder",
                "vector": vectors.normal(size=DIMENSIONS).astype(np.float32),
                "fingerprint": f"{edition}",
            }
            for document in documents
            for chunk in range(CHUNKS)
        ],
    )


def opened(folder: Path) -> IcebergWarehouse:
    """A warehouse in a folder."""
    folder.mkdir()
    catalog = open_sql_catalog(f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse")
    return IcebergWarehouse(catalog)


def written(folder: Path) -> tuple[IcebergWarehouse, OwnRows]:
    """A warehouse with the first edition of every document."""
    warehouse = opened(folder)
    own = OwnRows(warehouse, EMBEDDINGS, SCOPE)
    own.replace(map(str, range(DOCUMENTS)), rows(range(DOCUMENTS), 0))
    return warehouse, own


def update(own: OwnRows) -> str | None:
    """One document after another; returns the snapshot of halfway."""
    pinned = None
    for edition in range(1, UPDATES + 1):
        document = edition * 7 % DOCUMENTS
        own.replace([f"{document}"], rows([document], edition))
        pinned = own.snapshot() if edition == UPDATES // 2 else pinned
    return pinned


def scans(*warehouses: IcebergWarehouse) -> list[float]:
    """Median seconds to read all rows of each; they take turns."""
    seconds: list[list[float]] = [[] for _ in warehouses]
    for _ in range(SAMPLES):
        for warehouse, samples in zip(warehouses, seconds, strict=True):
            started = time.perf_counter()
            warehouse.scan(EMBEDDINGS, SCOPE)
            samples.append(time.perf_counter() - started)
    return [statistics.median(samples) for samples in seconds]


def show(done: Upkeep) -> None:
    """A line for each figure that has two sides, then the others."""
    figures = done.figures()
    for name in ("data files", "manifests", "snapshots", "files", "bytes"):
        before, after = figures.pop(f"{name} before"), figures.pop(f"{name} after")
        print(f"{name:10}  {before:12,} before  {after:12,} after")
    for name, count in figures.items():
        print(f"{count:12,} {name}")


def rewritten(warehouse: IcebergWarehouse, folder: Path) -> IcebergWarehouse:
    """A warehouse to which the same rows are written at once."""
    fresh = opened(folder)
    found = warehouse.scan(EMBEDDINGS, SCOPE).drop_columns(["corpus", "encoder", "digest"])
    OwnRows(fresh, EMBEDDINGS, SCOPE).replace([], found)
    return fresh


def main() -> None:
    """Measure, print and judge."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse, own = written(Path(folder) / "updated")
        pinned = update(own)
        fresh = rewritten(warehouse, Path(folder) / "fresh")
        before, base = scans(warehouse, fresh)
        started = time.perf_counter()
        done = maintain(warehouse, EMBEDDINGS, [pinned or ""], datetime.now(UTC))
        seconds = time.perf_counter() - started
        after, base_again = scans(warehouse, fresh)
        digests = {OwnRows(each, EMBEDDINGS, SCOPE).digest() for each in (warehouse, fresh)}
        assert digests == {own.digest()}
    show(done)
    print(f"maintenance took {seconds:.1f} s")
    print(f"before it, a scan takes {before / base:.2f} times a fresh table's seconds")
    print(f"after it, {after / base_again:.2f} times, at most {CEILING} allowed")
    sys.exit(0 if after / base_again <= CEILING else 1)


if __name__ == "__main__":
    main()
