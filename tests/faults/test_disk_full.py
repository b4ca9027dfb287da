"""The disk fills up in the middle of a commit: the old rows stay or the new ones are there."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from tests.integration.test_two_writers import NOTES
from tests.spies import Platform

SCOPE = {"corpus": "c"}
PAGE_BYTES = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, pages: int) -> Path:
    """A file that leaves so many pages of the disk free."""
    free = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(free.f_bavail * free.f_bsize - pages * PAGE_BYTES))
    return ballast


def write(warehouse: IcebergWarehouse, text: str) -> None:
    rows = [{"page": f"{n}", "note": f"{n}", "text": text, "fingerprint": text} for n in range(3)]
    own = OwnRows(warehouse, NOTES, SCOPE)
    own.replace(["0", "1", "2"], rows_of(NOTES, rows))


def stored(warehouse: IcebergWarehouse) -> set[str]:
    rows = warehouse.scan(NOTES, SCOPE, ["text"])
    assert rows.num_rows == 3
    return set(rows["text"].to_pylist())


def test_a_commit_is_made_or_not_wherever_the_disk_fills_up(disk: Path) -> None:
    catalog = open_sql_catalog(f"sqlite:///{disk}/catalog.db", f"file://{disk}/tables")
    warehouse = IcebergWarehouse(catalog)
    write(warehouse, "0")
    standing, failed = "0", 0
    for pages in range(40):
        ballast = fill(disk, pages)
        try:
            write(warehouse, f"{pages + 1}")
        except OSError:
            failed += 1
        else:
            standing = f"{pages + 1}"
        ballast.unlink()
        assert stored(warehouse) == {standing}
    assert 3 < failed < 40
    write(warehouse, "last")
    assert stored(warehouse) == {"last"}


@pytest.mark.parametrize("pages", [0, 4, 8])
def test_a_run_on_a_full_disk_is_finished_by_the_next(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setenv("LAKELOOM_LAKE", f"file://{disk}/lake")
    monkeypatch.setenv("LAKELOOM_CATALOG", f"sqlite:///{disk}/catalog.db")
    platform = Platform(tmp_path / "home", monkeypatch)
    platform.write("docs", "tides.md", "# Tides\n\nTwice a day the water comes and goes.")
    platform.materialize("docs", select="+key:chunks")
    platform.write("docs", "buoys.md", "# Buoys\n\nGreen buoys are left to starboard.")
    ballast = fill(disk, pages)
    answer = platform.answer("docs", select="+key:chunks")
    failed = [row["failed"] for row in answer["assets"] if row["failed"]]
    assert re.search("No space left|disk is full", failed[0])
    ballast.unlink()
    rows = platform.materialize("docs", select="+key:chunks")
    assert (rows["chunks", "docs"]["rows"], rows["chunks", "docs"]["added"]) == (2, 1)
