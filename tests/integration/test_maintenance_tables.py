"""Expiry, orphans and compaction on real stores: a folder, S3, and S3 behind a REST catalog."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse import TableSpec
from resources.warehouse.catalog_faults import NAMESPACE
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from tests.buckets import bucket_of
from tests.servers.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, TABLE_BUCKET, Seaweed

SCOPE = {"corpus": "c"}
HOUR = timedelta(hours=1)


def notes_table(name: str) -> TableSpec:
    """A table of notes, grouped by page."""
    return TableSpec.of(
        name,
        "Notes of a test.",
        {"page": (pa.string(), "Group."), "note": (pa.string(), "Key."), "text": (pa.string(), "")},
        group="page",
        key="note",
        content=("note", "text"),
    )


class Notes:
    """A table of its own in a warehouse, changed page by page."""

    def __init__(self, warehouse: IcebergWarehouse, name: str) -> None:
        self.warehouse, self.table = warehouse, notes_table(name)

    def write(self, page: str, text: str, corpus: str = "c") -> str:
        rows = [{"page": page, "note": page, "text": text, "fingerprint": text}]
        own = OwnRows(self.warehouse, self.table, {"corpus": corpus})
        own.replace([page], rows_of(self.table, rows))
        return own.snapshot() or ""

    def texts(self, snapshot: str | None = None) -> list[str]:
        rows = self.warehouse.scan(self.table, SCOPE, ["text"], snapshot=snapshot)
        return sorted(rows["text"].to_pylist())

    def iceberg(self) -> Any:
        return self.warehouse._table(self.table)

    def files(self) -> set[str]:
        """Path of every file under the table's location."""
        from resources.warehouse.iceberg_maintenance import _listed

        return {info.path for info in _listed(self.iceberg())}

    def plant(self, name: str) -> str:
        """A file that nothing refers to."""
        iceberg = self.iceberg()
        location = f"{iceberg.location()}/{name}"
        with iceberg.io.new_output(location).create() as out:
            out.write(b"left behind")
        path: str = iceberg.io.parse_location(location)[2]
        return path


def local(tmp_path: Path, _: Callable[[], Seaweed]) -> IcebergWarehouse:
    folder = tmp_path / "a folder, 100% odd"
    folder.mkdir()
    catalog = open_sql_catalog(f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse")
    return IcebergWarehouse(catalog)


def s3(tmp_path: Path, server: Callable[[], Seaweed]) -> IcebergWarehouse:
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog(
        NAMESPACE,
        uri=f"sqlite:///{tmp_path}/catalog.db",
        warehouse=f"s3://{BUCKET}/{tmp_path.name}",
        **storage(server().endpoint),
    )
    catalog.create_namespace(NAMESPACE)
    return IcebergWarehouse(catalog)


def rest(_: Path, server: Callable[[], Seaweed]) -> IcebergWarehouse:
    from pyiceberg.catalog.rest import RestCatalog

    catalog = RestCatalog(
        NAMESPACE,
        uri=server().catalog,
        warehouse=f"s3://{TABLE_BUCKET}",
        credential=f"{ACCESS_KEY}:{SECRET_KEY}",
        **{"oauth2-server-uri": f"{server().catalog}/v1/oauth/tokens"},
        **storage(server().endpoint),
    )
    catalog.create_namespace_if_not_exists(NAMESPACE)
    return IcebergWarehouse(catalog)


def storage(endpoint: str) -> dict[str, str]:
    return {
        "s3.endpoint": endpoint,
        "s3.access-key-id": ACCESS_KEY,
        "s3.secret-access-key": SECRET_KEY,
        "s3.region": "us-east-1",
    }


@pytest.fixture(params=[local, s3, rest], ids=lambda made: made.__name__)
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Notes:
    name = request.node.name.removeprefix("test_").split("[")[0]
    return Notes(request.param(tmp_path, lambda: request.getfixturevalue("seaweed_server")), name)


def now() -> datetime:
    return datetime.now(UTC) + timedelta(milliseconds=1)


def test_expiry_deletes_what_only_expired_snapshots_need(notes: Notes) -> None:
    snapshots = [notes.write("p", text) for text in ("one", "two", "three")]
    kept = notes.write("q", "four")
    notes.write("p", "five")
    before = notes.files()
    time.sleep(0.01)
    removed = notes.warehouse.expire(notes.table, {kept, "12345"}, now())
    assert removed.snapshots > len(snapshots)
    assert removed.files == len(before - notes.files()) > len(snapshots)
    assert removed.bytes > 0
    assert notes.warehouse.snapshots(notes.table) == [kept, notes.warehouse.snapshot(notes.table)]
    assert notes.texts() == ["five", "four"]
    assert notes.texts(kept) == ["four", "three"]
    with pytest.raises(LookupError, match="expired"):
        notes.texts(snapshots[0])
    # nothing is left over, so there is no orphan
    assert notes.warehouse.remove_orphans(notes.table, now() + HOUR).files == 0
    notes.write("p", "six")
    assert notes.texts() == ["four", "six"]


def test_what_was_current_lately_stays(notes: Notes) -> None:
    first = notes.write("p", "one")
    notes.write("p", "two")
    assert notes.warehouse.expire(notes.table, (), now() - HOUR).snapshots == 0
    assert notes.texts(first) == ["one"]


def test_a_branch_is_kept(notes: Notes) -> None:
    first = notes.write("p", "one")
    notes.iceberg().manage_snapshots().create_branch(int(first), "audit").commit()
    notes.write("p", "two")
    notes.write("p", "three")
    time.sleep(0.01)
    notes.warehouse.expire(notes.table, (), now())
    assert notes.texts(first) == ["one"]


def test_orphans_go_and_young_files_stay(notes: Notes) -> None:
    notes.write("p", "one")
    current = notes.write("p", "two")
    whole = notes.files()
    planted = {notes.plant(name) for name in ("data/x.parquet", "metadata/x.avro", "data/y")}
    assert notes.files() == whole | planted
    assert notes.warehouse.remove_orphans(notes.table, now() - HOUR).files == 0
    removed = notes.warehouse.remove_orphans(notes.table, now() + HOUR)
    assert (removed.files, removed.bytes) == (3, 3 * len(b"left behind"))
    assert notes.files() == whole
    assert notes.texts(current) == ["two"]
    assert notes.warehouse.footprint(notes.table).files == len(whole)


def test_orphans_stay_where_the_listing_cannot_be_believed(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resources.warehouse import iceberg_maintenance

    notes.write("p", "one")
    notes.plant("data/stray")
    listed = iceberg_maintenance._listed
    monkeypatch.setattr(
        iceberg_maintenance,
        "_listed",
        lambda iceberg: (info for info in listed(iceberg) if not info.path.endswith(".parquet")),
    )
    with pytest.raises(RuntimeError, match="no orphan is removed"):
        notes.warehouse.remove_orphans(notes.table, now() + HOUR)
    monkeypatch.undo()
    assert notes.warehouse.remove_orphans(notes.table, now() + HOUR).files == 1


TARGET = 64 * 1024 * 1024


def test_compaction_merges_small_files_and_keeps_the_rows(notes: Notes) -> None:
    notes.write("elsewhere", "other", corpus="d")
    pages = in_one_bucket(notes, 6)
    for page in pages:
        before = notes.write(page, f"text of {page}")
    planned = notes.iceberg().scan(row_filter="corpus == 'c'")
    digest = OwnRows(notes.warehouse, notes.table, SCOPE).digest()
    done = notes.warehouse.compact(notes.table, TARGET)
    assert (done.partitions, done.files_before, done.files_after) == (1, 6, 1)
    assert done.bytes > 0
    assert notes.warehouse.footprint(notes.table).data_files == 2
    assert OwnRows(notes.warehouse, notes.table, SCOPE).digest() == digest
    assert notes.texts() == notes.texts(before) == sorted(f"text of {page}" for page in pages)
    assert planned.to_arrow().num_rows == 6, "a reader in flight goes on"
    after = notes.warehouse.snapshot(notes.table)
    assert notes.warehouse.compact(notes.table, TARGET).files_before == 0
    assert notes.warehouse.snapshot(notes.table) == after, "nothing to merge is no commit"
    notes.write(pages[0], "changed")
    assert "changed" in notes.texts()


def test_what_is_well_sized_or_few_is_not_rewritten(notes: Notes) -> None:
    first, second, *rest = in_one_bucket(notes, 5)
    notes.write(first, "one")
    notes.write(second, "two")
    assert notes.warehouse.compact(notes.table, TARGET).files_before == 0
    for page in rest:
        notes.write(page, "more")
    [size, *_] = sorted(
        task.file.file_size_in_bytes for task in notes.iceberg().scan().plan_files()
    )
    assert notes.warehouse.compact(notes.table, size).files_before == 0
    done = notes.warehouse.compact(notes.table, 3 * size + 300)
    assert (done.files_before, done.files_after) == (3, 1), "more would not fit, two are few"


def in_one_bucket(notes: Notes, count: int) -> list[str]:
    """Pages whose rows share a partition."""
    pages = (f"page{n}" for n in range(1000))
    return [page for page in pages if bucket_of(notes.warehouse, notes.table, page) == 3][:count]
