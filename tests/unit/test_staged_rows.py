"""Write, audit, publish: what is written to a branch is not in the table until it is published."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse import STAGED
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from tests.unit.test_warehouse import NOTES, SCOPE, notes, stored

BRANCH = f"{STAGED}c-1"


@pytest.fixture
def warehouse(tmp_path: Path) -> IcebergWarehouse:
    catalog = open_sql_catalog(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/warehouse")
    return IcebergWarehouse(catalog)


def staged(warehouse: IcebergWarehouse) -> OwnRows:
    return OwnRows(warehouse, NOTES, SCOPE, BRANCH)


def branches(warehouse: IcebergWarehouse) -> set[str]:
    return set(warehouse._table(NOTES).metadata.refs)


def test_an_empty_table_shows_nothing_before_it_is_published(warehouse: IcebergWarehouse) -> None:
    own = staged(warehouse)
    own.replace([], rows_of(NOTES, notes("p", "one")))
    own.replace([], rows_of(NOTES, notes("q", "two")))
    assert stored(warehouse) == []
    head = own.staged()
    assert warehouse.scan(NOTES, SCOPE, snapshot=head).num_rows == 2
    own.publish()
    assert stored(warehouse) == ["one", "two"]
    assert own.snapshot() == head, "the branch became the table, nothing was written again"
    assert branches(warehouse) == {"main"}
    assert own.report.work.commits == 2


def test_changes_and_removals_are_published_at_once(warehouse: IcebergWarehouse) -> None:
    rows = [row for page in "pqr" for row in notes(page, page)]
    OwnRows(warehouse, NOTES, SCOPE).replace([], rows_of(NOTES, rows))
    own = staged(warehouse)
    own.replace(["p"], rows_of(NOTES, notes("p", "P")))
    own.replace(["q"], rows_of(NOTES, []))
    assert stored(warehouse) == ["p", "q", "r"]
    own.publish()
    assert stored(warehouse) == ["P", "r"]
    assert own.digest() == OwnRows(warehouse, NOTES, SCOPE).digest()


def test_what_others_commit_meanwhile_stays(warehouse: IcebergWarehouse) -> None:
    rows = notes("p", "p") + notes("q", "q")
    OwnRows(warehouse, NOTES, SCOPE).replace([], rows_of(NOTES, rows))
    own = staged(warehouse)
    own.replace(["p"], rows_of(NOTES, notes("p", "P")))
    OwnRows(warehouse, NOTES, {"corpus": "d"}).replace([], rows_of(NOTES, notes("p", "theirs")))
    own.replace(["q"], rows_of(NOTES, []))
    assert stored(warehouse) == ["p", "q"]
    own.publish()
    assert stored(warehouse) == ["P"]
    assert stored(warehouse, {"corpus": "d"}) == ["theirs"]
    assert branches(warehouse) == {"main"}


def test_what_is_discarded_was_never_there(warehouse: IcebergWarehouse) -> None:
    OwnRows(warehouse, NOTES, SCOPE).replace([], rows_of(NOTES, notes("p", "p")))
    before = warehouse.snapshot(NOTES)
    own = staged(warehouse)
    own.replace(["p"], rows_of(NOTES, notes("p", "bad")))
    own.discard()
    assert (stored(warehouse), warehouse.snapshot(NOTES)) == (["p"], before)
    assert branches(warehouse) == {"main"}


def test_nothing_staged_is_nothing_published(warehouse: IcebergWarehouse) -> None:
    own = staged(warehouse)
    own.replace(["unknown"], rows_of(NOTES, []))
    assert own.staged() is None
    own.publish()
    own.discard()
    assert branches(warehouse) == set()


def test_a_branch_that_a_killed_run_left_goes_with_maintenance(warehouse: IcebergWarehouse) -> None:
    OwnRows(warehouse, NOTES, SCOPE).replace([], rows_of(NOTES, notes("p", "p")))
    staged(warehouse).replace(["p"], rows_of(NOTES, notes("p", "never published")))
    now = datetime.now(UTC)
    warehouse.expire(NOTES, (), now - timedelta(hours=1))
    assert branches(warehouse) == {"main", BRANCH}, "it may still be at work"
    warehouse.expire(NOTES, (), now + timedelta(hours=1))
    assert branches(warehouse) == {"main"}
    assert warehouse.snapshots(NOTES) == [warehouse.snapshot(NOTES)]
    assert stored(warehouse) == ["p"]
