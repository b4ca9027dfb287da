"""What a SQL catalog remembers of its tables, and that it holds however they change."""

from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import sql

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse.catalog_faults import NAMESPACE
from resources.warehouse.iceberg import IcebergWarehouse
from tests.unit.test_warehouse import NOTES, SCOPE, at, notes, stored


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of metadata that were read."""
    found: list[str] = []
    real = sql.FromInputFile.table_metadata

    def table_metadata(file: Any) -> Any:
        found.append(file.location)
        return real(file)

    monkeypatch.setattr(sql.FromInputFile, "table_metadata", table_metadata)
    return found


def write(warehouse: IcebergWarehouse, page: str) -> None:
    OwnRows(warehouse, NOTES, SCOPE).replace([page], rows_of(NOTES, notes(page, page)))


def test_what_was_committed_or_read_is_not_parsed_again(tmp_path: Path, parsed: list[str]) -> None:
    mine = at(tmp_path)
    write(mine, "p")
    parsed.clear()
    write(mine, "q")
    assert stored(mine) == ["p", "q"]
    assert parsed == []
    other = at(tmp_path)
    assert [stored(other) for _ in range(3)] == 3 * [["p", "q"]]
    assert len(parsed) == 1


def test_another_writers_commit_is_seen(tmp_path: Path, parsed: list[str]) -> None:
    mine, theirs = at(tmp_path), at(tmp_path)
    for page in "pqrs":
        write(theirs, page)
        write(mine, page.upper())
        assert stored(mine) == stored(theirs)
    assert len(stored(mine)) == 8
    assert parsed, "theirs were read"


def test_a_table_that_was_dropped_and_made_anew_is_another(tmp_path: Path) -> None:
    mine, theirs = at(tmp_path), at(tmp_path)
    write(mine, "p")
    theirs._catalog.drop_table(f"{NAMESPACE}.{NOTES.name}")
    write(theirs, "q")
    assert stored(mine) == ["q"]
