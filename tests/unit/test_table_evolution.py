"""Tables made by an earlier version: columns are added without a rewrite, or the error is clear."""

from pathlib import Path

import pyarrow as pa
import pytest

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse import TableSpec
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from tests.buckets import bucket_of

SCOPE = {"corpus": "c"}
PART = pa.struct([("kind", pa.string()), ("text", pa.string())])


def notes(**more: pa.DataType) -> TableSpec:
    columns = {
        name: (kind, "") for name, kind in ({"page": pa.string(), "n": pa.int32()} | more).items()
    }
    return TableSpec.of("notes", "", columns, group="page", key="page", content=("n",))


OLD, NEW = notes(), notes(title=pa.string(), parts=pa.list_(pa.string()))


@pytest.fixture
def warehouse(tmp_path: Path) -> IcebergWarehouse:
    catalog = open_sql_catalog(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/warehouse")
    made = IcebergWarehouse(catalog)
    write(made, OLD, "p", n=1)
    return made


def write(warehouse: IcebergWarehouse, table: TableSpec, page: str, **values: object) -> str:
    own = OwnRows(warehouse, table, SCOPE)
    own.replace([page], rows_of(table, [{"page": page, "fingerprint": "f", **values}]))
    return own.snapshot() or ""


def data_files(warehouse: IcebergWarehouse) -> set[str]:
    return {task.file.file_path for task in warehouse._table(OLD).scan().plan_files()}


def test_columns_are_added_and_nothing_is_rewritten(warehouse: IcebergWarehouse) -> None:
    files, snapshot = data_files(warehouse), warehouse.snapshot(OLD)
    digest = OwnRows(warehouse, OLD, SCOPE).digest()
    [row] = warehouse.scan(NEW, SCOPE).to_pylist()
    assert (row["n"], row["title"], row["parts"]) == (1, None, None)
    assert data_files(warehouse) == files
    assert warehouse.snapshot(NEW) == snapshot
    assert OwnRows(warehouse, NEW, SCOPE).digest() == digest
    assert warehouse.scan(NEW, {"corpus": "nobody"}, snapshot=snapshot).num_rows == 0


def test_old_rows_and_new_rows_are_read_alike_by_both_readers(
    warehouse: IcebergWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resources.warehouse import iceberg_files

    old = warehouse.snapshot(OLD) or ""
    write(warehouse, NEW, "q", n=2, title="t", parts=["a", "b"])
    write(warehouse, OLD, "r", n=3)  # by a process of the earlier version, still running

    def seen() -> list[list[dict[str, object]]]:
        found = [warehouse.scan(NEW, SCOPE), warehouse.scan(NEW, SCOPE, snapshot=old)]
        found.append(warehouse.scan(NEW, SCOPE, ["page", "title"], ["q", "p"]))
        found.append(pa.Table.from_batches(warehouse.batches(NEW, SCOPE)))
        return [table.sort_by("page").to_pylist() for table in found]

    quick = seen()
    monkeypatch.setattr(iceberg_files, "_has_only_grown", lambda _: False)
    assert seen() == quick
    rows = {row["page"]: (row["n"], row["title"], row["parts"]) for row in quick[0]}
    assert rows == {"p": (1, None, None), "q": (2, "t", ["a", "b"]), "r": (3, None, None)}
    assert quick[2] == [{"page": "p", "title": None}, {"page": "q", "title": "t"}]
    assert quick[3] == quick[0]


def test_an_old_row_is_replaced_and_compacted(warehouse: IcebergWarehouse) -> None:
    bucket = bucket_of(warehouse, NEW, "p")
    pages = [f"{n}" for n in range(999) if bucket_of(warehouse, NEW, f"{n}") == bucket][:3]
    for page in pages:
        write(warehouse, NEW, page, n=5, title=page)
    assert warehouse.compact(NEW, 2**26).files_after == 1
    write(warehouse, NEW, "p", n=1, title="now it has one")
    rows = warehouse.scan(NEW, SCOPE, ["page", "title"]).to_pylist()
    assert {row["page"]: row["title"] for row in rows} == {"p": "now it has one"} | dict(
        zip(pages, pages, strict=True)
    )


def test_a_number_may_grow(warehouse: IcebergWarehouse) -> None:
    wider = notes(n=pa.int64())
    write(warehouse, wider, "q", n=2**40)
    assert sorted(warehouse.scan(wider, SCOPE)["n"].to_pylist()) == [1, 2**40]
    with pytest.raises(ValueError, match="another version"):
        warehouse.scan(OLD, SCOPE)


@pytest.mark.parametrize("kind", [pa.string(), pa.list_(pa.int32()), PART], ids=str)
def test_another_type_is_a_clear_error(warehouse: IcebergWarehouse, kind: pa.DataType) -> None:
    files, snapshot = data_files(warehouse), warehouse.snapshot(OLD)
    with pytest.raises(ValueError, match=r"table notes .* LAKELOOM_CATALOG"):
        warehouse.scan(notes(n=kind), SCOPE)
    assert data_files(warehouse) == files
    assert warehouse.snapshot(OLD) == snapshot
