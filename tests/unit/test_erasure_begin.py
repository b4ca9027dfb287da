"""What an erasure takes: the document and its copies as they are now, and nothing else."""

from pathlib import Path

import pytest

from platform_assets.erasure.begin import NoSuchDocumentError, begin
from platform_assets.erasure.tombstones import lift, mark, refusals
from platform_assets.raw_objects.refresh import refresh
from platform_assets.raw_objects.table import document_id
from resources.object_store.folder import FolderObjectStore
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog


@pytest.fixture
def lake(tmp_path: Path) -> FolderObjectStore:
    store = FolderObjectStore(f"file://{tmp_path}/lake")
    for key in ("a.md", "b.md", "c.md"):
        store.put(f"letters/{key}", b"# The same\n\nA letter that was sent three times.\n")
    return store


@pytest.fixture
def warehouse(tmp_path: Path) -> IcebergWarehouse:
    return IcebergWarehouse(
        open_sql_catalog(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/warehouse")
    )


def test_a_copy_that_was_overwritten_since_stays(
    lake: FolderObjectStore, warehouse: IcebergWarehouse
) -> None:
    refresh("letters", lake, warehouse, "1")
    lake.put("letters/b.md", b"# Another\n\nSomething new.\n")
    begin("letters", document_id("letters", "a.md"), "", lake, warehouse)
    assert [item.key for item in lake.objects("letters/")] == ["letters/b.md"]
    assert document_id("letters", "b.md") not in refusals(lake, "letters").documents


def test_what_is_not_there_is_not_erased(
    lake: FolderObjectStore, warehouse: IcebergWarehouse
) -> None:
    with pytest.raises(NoSuchDocumentError):
        begin("letters", document_id("letters", "d.md"), "", lake, warehouse)


def test_a_lifted_document_may_come_back_with_its_bytes(lake: FolderObjectStore) -> None:
    for document in ("a", "b"):
        mark(lake, "letters", document, "5ha", "")
    mark(lake, "letters", "c", "0ther", "")
    assert lift(lake, "letters", "a") == 2
    left = refusals(lake, "letters")
    assert (left.documents, left.cover("a", "5ha"), left.cover("c", "x")) == ({"c"}, False, True)
