"""Several processes commit to the same tables at once: no row is lost, none stands twice."""

import multiprocessing
from pathlib import Path

import pyarrow as pa
import pytest

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse import TableSpec
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog

NOTES = TableSpec.of(
    "notes",
    "Notes of a test.",
    {"page": (pa.string(), "Group."), "note": (pa.string(), "Key."), "text": (pa.string(), "")},
    group="page",
    key="note",
    content=("text",),
)
WRITERS, PAGES = 4, 6


def opened(folder: Path) -> IcebergWarehouse:
    catalog = open_sql_catalog(f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse")
    return IcebergWarehouse(catalog)


def write(folder: Path, corpus: str) -> None:
    warehouse = opened(folder)
    for page in range(PAGES):
        rows = [
            {"page": f"{page}", "note": f"{page}-{n}", "text": "x", "fingerprint": "f"}
            for n in range(2)
        ]
        own = OwnRows(warehouse, NOTES, {"corpus": corpus})
        own.replace([f"{page}"], rows_of(NOTES, rows))


@pytest.mark.parametrize("corpora", [("same",) * WRITERS, ("a", "b", "c", "d")], ids=["one", "own"])
def test_rows_of_racing_processes_stand_once(tmp_path: Path, corpora: tuple[str, ...]) -> None:
    start = multiprocessing.get_context("spawn").Process
    writers = [start(target=write, args=(tmp_path, corpus)) for corpus in corpora]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    for corpus in set(corpora):
        notes = opened(tmp_path).scan(NOTES, {"corpus": corpus}, ["note"])["note"].to_pylist()
        assert sorted(notes) == sorted(f"{page}-{n}" for page in range(PAGES) for n in range(2))
