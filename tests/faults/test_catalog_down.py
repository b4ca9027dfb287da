"""A real PostgreSQL server goes down under its catalog: wait for it, or say so and lose nothing."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from tests.catalogs import PASSWORD, new_database
from tests.integration.test_two_writers import NOTES
from tests.servers.postgres import outage, postgres
from tests.spies import Platform

SCOPE = {"corpus": "c"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def warehouse(server: str, tmp_path: Path) -> IcebergWarehouse:
    return IcebergWarehouse(open_sql_catalog(new_database(server), f"file://{tmp_path}/tables"))


def write(warehouse: IcebergWarehouse, text: str) -> OwnRows:
    own = OwnRows(warehouse, NOTES, SCOPE)
    row = {"page": "p", "note": "n", "text": text, "fingerprint": text}
    own.replace(["p"], rows_of(NOTES, [row]))
    return own


def stored(warehouse: IcebergWarehouse) -> list[str]:
    texts: list[str] = warehouse.scan(NOTES, SCOPE, ["text"])["text"].to_pylist()
    return texts


def test_reads_and_commits_wait_until_it_is_back(server: str, warehouse: IcebergWarehouse) -> None:
    write(warehouse, "old")
    with ThreadPoolExecutor() as pool:
        with outage(server):
            work = [pool.submit(stored, warehouse), pool.submit(write, warehouse, "new")]
            time.sleep(2)
            assert not any(each.done() for each in work)
        for each in work:
            each.result()
    assert stored(warehouse) == ["new"]


def test_a_commit_cut_off_in_the_middle_is_made_once(
    server: str, warehouse: IcebergWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(warehouse, "old")
    real, cuts = SqlCatalog._write_metadata, []

    def cut(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        if not cuts:
            down = outage(server)
            down.__enter__()
            cuts.append(threading.Timer(1, down.__exit__, (None, None, None)))
            cuts[0].start()

    monkeypatch.setattr(SqlCatalog, "_write_metadata", staticmethod(cut))
    write(warehouse, "new")
    cuts[0].join()
    assert stored(warehouse) == ["new"]


def test_patience_ends_in_one_error_and_the_old_rows(
    server: str, warehouse: IcebergWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(warehouse, "old")
    monkeypatch.setenv("LAKELOOM_CATALOG_PATIENCE_SECONDS", "0.5")
    with outage(server), pytest.raises(ConnectionError, match="LAKELOOM_CATALOG=") as error:
        write(warehouse, "new")
    assert PASSWORD not in str(error.value)
    assert error.value.__suppress_context__
    assert stored(warehouse) == ["old"]


def test_a_run_fails_clearly_and_the_next_one_finishes(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKELOOM_CATALOG", new_database(server))
    monkeypatch.setenv("LAKELOOM_CATALOG_PATIENCE_SECONDS", "0.5")
    platform = Platform(tmp_path, monkeypatch)
    platform.write("docs", "a.md", "# Tides\n\nTwice a day the water comes and goes.")
    platform.materialize("docs", select="+key:chunks")
    platform.write("docs", "b.md", "# Buoys\n\nGreen buoys are left to starboard.")
    with outage(server):
        answer = platform.answer("docs", select="+key:chunks")
    failed = [row["failed"] for row in answer["assets"] if row["failed"]]
    assert "LAKELOOM_CATALOG=" in failed[0]
    rows = platform.materialize("docs", select="+key:chunks")
    assert (rows["chunks", "docs"]["rows"], rows["chunks", "docs"]["added"]) == (2, 1)
    for path in (tmp_path / "dagster").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()
