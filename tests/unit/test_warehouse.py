"""Iceberg tables: replacing groups of rows, on a SQLite catalogue."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.reconcile import diff
from platform_assets.tables import OwnRows, rows_of
from resources.warehouse import SLICES, TableSpec
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from tests.buckets import bucket_of

NOTES = TableSpec.of(
    "notes",
    "Notes of a test.",
    {
        "page": (pa.string(), "Group."),
        "note": (pa.string(), "Key."),
        "text": (pa.string(), "Content."),
        "vector": (pa.list_(pa.float32()), "Content."),
    },
    group="page",
    key="note",
    content=("note", "text", "vector"),
)
SCOPE = {"corpus": "c"}


def at(folder: Path) -> IcebergWarehouse:
    catalog = open_sql_catalog(f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse")
    return IcebergWarehouse(catalog)


@pytest.fixture
def warehouse(tmp_path: Path) -> IcebergWarehouse:
    return at(tmp_path)


def notes(page: str, *texts: str) -> list[dict[str, object]]:
    return [
        {"page": page, "note": f"{page}{n}", "text": t, "vector": [n, 0.5], "fingerprint": t}
        for n, t in enumerate(texts)
    ]


def stored(warehouse: IcebergWarehouse, scope: dict[str, str] | None = None) -> list[str]:
    found: list[str] = warehouse.scan(NOTES, scope or SCOPE, ["text"])["text"].to_pylist()
    return sorted(found)


def test_replacing_clears_the_groups_and_adds_the_rows(warehouse: IcebergWarehouse) -> None:
    own = OwnRows(warehouse, NOTES, SCOPE)
    own.replace(["p", "q"], rows_of(NOTES, notes("p", "one", "two") + notes("q", "three")))
    own.replace(["p"], rows_of(NOTES, notes("p", "one", "TWO")))
    assert stored(warehouse) == ["TWO", "one", "three"]
    assert (own.report.rows, own.report.added, own.report.changed) == (3, 3, 1)
    own.replace(["q", "p"], rows_of(NOTES, []))
    assert stored(warehouse) == []
    assert (own.report.rows, own.report.removed, own.report.work.commits) == (0, 3, 3)


def test_nothing_to_replace_is_no_commit(warehouse: IcebergWarehouse) -> None:
    own = OwnRows(warehouse, NOTES, SCOPE)
    own.replace(["unknown"], rows_of(NOTES, []))
    assert own.report.work.commits == 0
    assert warehouse.snapshot(NOTES) is None


def test_scopes_do_not_touch_each_other(warehouse: IcebergWarehouse) -> None:
    for corpus in ("c", "d"):
        OwnRows(warehouse, NOTES, {"corpus": corpus}).replace(
            [], rows_of(NOTES, notes("p", corpus))
        )
    OwnRows(warehouse, NOTES, SCOPE).replace(["p"], rows_of(NOTES, []))
    assert stored(warehouse) == []
    assert stored(warehouse, {"corpus": "d"}) == ["d"]


def test_the_data_version_is_of_the_content_alone(warehouse: IcebergWarehouse) -> None:
    own = OwnRows(warehouse, NOTES, SCOPE)
    own.replace([], rows_of(NOTES, notes("p", "one") + notes("q", "two")))
    before = own.digest()
    touched = [row | {"fingerprint": "other"} for row in notes("p", "one")]
    own.replace(["p"], rows_of(NOTES, touched))
    assert own.digest() == before == OwnRows(warehouse, NOTES, SCOPE).digest()
    moved = [row | {"vector": [0.0, 0.25]} for row in touched]
    own.replace(["p"], rows_of(NOTES, moved))
    assert own.digest() != before


def test_an_earlier_snapshot_can_be_read(warehouse: IcebergWarehouse) -> None:
    own = OwnRows(warehouse, NOTES, SCOPE)
    own.replace([], rows_of(NOTES, notes("p", "old")))
    snapshot = own.snapshot()
    own.replace(["p"], rows_of(NOTES, notes("p", "new")))
    assert warehouse.scan(NOTES, SCOPE, ["text"], snapshot=snapshot)["text"].to_pylist() == ["old"]
    assert [batch.num_rows for batch in warehouse.batches(NOTES, SCOPE, ["text"])] == [1]


def test_one_group_lies_in_one_bucket(warehouse: IcebergWarehouse) -> None:
    pages = [f"page{n}" for n in range(40)]
    own = OwnRows(warehouse, NOTES, SCOPE)
    own.replace([], rows_of(NOTES, [row for page in pages for row in notes(page, "x")]))
    files = {t.file.file_path for t in warehouse._table(NOTES).scan().plan_files()}
    own.replace(["page7"], rows_of(NOTES, notes("page7", "y")))
    gone = files - {t.file.file_path for t in warehouse._table(NOTES).scan().plan_files()}
    assert len(files) == len({bucket_of(warehouse, NOTES, page) for page in pages})
    assert [f"page_bucket={bucket_of(warehouse, NOTES, 'page7')}" in path for path in gone] == [
        True
    ]


def test_all_tables_are_cut_as_the_first_one_was(
    warehouse: IcebergWarehouse, tmp_path: Path
) -> None:
    pages = [f"page{n}" for n in range(200)]
    rows = rows_of(NOTES, [row for page in pages for row in notes(page, page)])
    OwnRows(warehouse, replace(NOTES, buckets=8), SCOPE).replace([], rows)
    later, others = at(tmp_path), replace(NOTES, name="others")
    OwnRows(later, others, SCOPE).replace([], rows)
    assert {bucket_of(later, others, page) for page in pages} == set(range(8))
    by_note = replace(NOTES, name="by_note", group="note", buckets=4)
    OwnRows(later, by_note, SCOPE).replace([], rows)
    assert set(later.states(by_note, SCOPE)) == set(range(4 * SLICES)), "its groups are others"
    for table in (NOTES, others):
        assert set(later.states(table, SCOPE)) == set(range(8 * SLICES))
        assert later.scan(table, SCOPE, ["text"], ["page7"])["text"].to_pylist() == ["page7"]


def test_a_removal_reads_no_file_without_its_documents(
    warehouse: IcebergWarehouse, tmp_path: Path
) -> None:
    numbered = [f"{n:03d}" for n in range(100)]
    low, *_, high = [each for each in numbered if bucket_of(warehouse, RAW_OBJECTS, each) == 0]
    own = OwnRows(warehouse, RAW_OBJECTS, SCOPE)

    def write(doc_id: str, key: str) -> None:
        row = {"doc_id": doc_id, "key": key, "sha256": key, "fingerprint": key}
        own.replace([doc_id], rows_of(RAW_OBJECTS, [row]))

    write(low, "low")
    (other,) = tmp_path.rglob("*.parquet")
    write(high, "high")
    hidden = other.rename(tmp_path / "hidden")
    write(high, "HIGH")
    hidden.rename(other)
    found = warehouse.scan(RAW_OBJECTS, SCOPE, ["key"])
    assert sorted(found.column("key").to_pylist()) == ["HIGH", "low"]


def test_two_runs_that_add_the_same_group_leave_it_once(warehouse: IcebergWarehouse) -> None:
    first, second = (OwnRows(warehouse, NOTES, SCOPE) for _ in range(2))
    for own in (first, second):
        own.replace(["p"], rows_of(NOTES, notes("p", "one", "two")))
    assert stored(warehouse) == ["one", "two"]


def test_a_run_knows_when_another_one_came_between(warehouse: IcebergWarehouse) -> None:
    one_bucket = [page for n in range(999) if bucket_of(warehouse, NOTES, page := f"{n}") == 3][:2]
    first, second = (OwnRows(warehouse, NOTES, SCOPE) for _ in range(2))
    first.replace([], rows_of(NOTES, [row for page in one_bucket for row in notes(page, page)]))
    second.replace(["p"], rows_of(NOTES, notes("p", "p")))
    second.replace(one_bucket[:1], rows_of(NOTES, notes(one_bucket[0], one_bucket[0])))
    assert stored(warehouse) == sorted([*one_bucket, "p"])


def test_rows_that_stand_twice_are_computed_again(warehouse: IcebergWarehouse) -> None:
    own = OwnRows(warehouse, NOTES, SCOPE)
    own.replace([], rows_of(NOTES, notes("p", "one")))
    rows = warehouse.scan(NOTES, SCOPE)
    warehouse.replace(NOTES, SCOPE, [], rows)
    wanted = own.fingerprints()
    again = OwnRows(warehouse, NOTES, SCOPE)
    plan = diff(wanted, again.fingerprints())
    assert plan.changed == ("p",)
    again.replace(plan.changed, rows_of(NOTES, notes("p", "one")))
    assert stored(warehouse) == ["one"]


def test_rows_are_counted_over_all_scopes(warehouse: IcebergWarehouse) -> None:
    assert warehouse.rows(NOTES) == 0
    for corpus in ("c", "d"):
        own = OwnRows(warehouse, NOTES, {"corpus": corpus})
        own.replace([], rows_of(NOTES, notes("p", "one", "two")))
    own.replace(["p"], rows_of(NOTES, notes("p", "one")))
    assert warehouse.rows(NOTES) == 3
