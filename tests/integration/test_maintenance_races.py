"""Maintenance beside writers: no row is lost, none stands twice, nobody gives up."""

import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from tests.integration.test_two_writers import NOTES

WRITERS, PAGES, ROUNDS = ("a", "a", "b"), 12, 2
MARGIN = timedelta(seconds=60)
"""Longer than any commit of this test takes: a commit in flight needs its files."""


def opened(folder: Path) -> IcebergWarehouse:
    catalog = open_sql_catalog(f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse")
    return IcebergWarehouse(catalog)


def write(folder: Path, corpus: str, name: str) -> None:
    warehouse = opened(folder)
    for turn in range(ROUNDS):
        for page in range(PAGES):
            row = {"page": f"{name}{page}", "note": f"{name}{page}", "text": f"{turn}"}
            own = OwnRows(warehouse, NOTES, {"corpus": corpus})
            own.replace([f"{name}{page}"], rows_of(NOTES, [{**row, "fingerprint": f"{turn}"}]))


def maintain(folder: Path, over: Path) -> None:
    warehouse = opened(folder)
    merged = 0
    while not over.exists() or not merged:
        merged += warehouse.compact(NOTES, 64 * 1024 * 1024).files_before
        warehouse.expire(NOTES, (), datetime.now(UTC) - timedelta(seconds=20))
        warehouse.remove_orphans(NOTES, datetime.now(UTC) - MARGIN)


def test_writers_and_maintenance_leave_every_row_once(tmp_path: Path) -> None:
    start = multiprocessing.get_context("spawn").Process
    opened(tmp_path).snapshot(NOTES)
    writers = [
        start(target=write, args=(tmp_path, corpus, f"w{number}-"))
        for number, corpus in enumerate(WRITERS)
    ]
    over = tmp_path / "over"
    keeper = start(target=maintain, args=(tmp_path, over))
    for process in (*writers, keeper):
        process.start()
    for writer in writers:
        writer.join()
    over.touch()
    keeper.join()
    assert [process.exitcode for process in (*writers, keeper)] == [0] * 4
    for corpus in set(WRITERS):
        rows = opened(tmp_path).scan(NOTES, {"corpus": corpus}, ["note", "text"]).to_pylist()
        mine = [f"w{number}-" for number, own in enumerate(WRITERS) if own == corpus]
        assert sorted(row["note"] for row in rows) == sorted(
            f"{name}{page}" for name in mine for page in range(PAGES)
        )
        assert {row["text"] for row in rows} == {f"{ROUNDS - 1}"}
