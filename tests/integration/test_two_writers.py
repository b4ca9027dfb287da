"""Several processes commit to the same tables at once: no row is lost, none stands twice."""

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from platform_assets.tables import OwnRows, rows_of
from resources.registry import connect_warehouse
from resources.settings import Settings
from resources.warehouse import TableSpec
from tests.catalogs import CATALOGS, catalog_env

NOTES = TableSpec.of(
    "notes",
    "Notes of a test.",
    {"page": (pa.string(), "Group."), "note": (pa.string(), "Key."), "text": (pa.string(), "")},
    group="page",
    key="note",
    content=("text",),
)
COMMITS = int(os.environ.get("LAKELOOM_TEST_COMMITS", "24"))
"""Of all writers together; `make test-writers` makes a thousand."""


@pytest.fixture(params=CATALOGS)
def _catalog(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path))
    for name, value in catalog_env(request.param, request).items():
        monkeypatch.setenv(name, value)


def write(corpus: str, pages: Sequence[str]) -> None:
    own = OwnRows(connect_warehouse(Settings.from_env()), NOTES, {"corpus": corpus})
    for page in pages:
        rows = [
            {"page": page, "note": f"{page}-{n}", "text": "x", "fingerprint": "f"} for n in range(2)
        ]
        own.replace([page], rows_of(NOTES, rows))


def race(*writers: tuple[str, Sequence[str]]) -> None:
    """Let writers begin at once, each a process with a corpus and its pages."""
    start = multiprocessing.get_context("spawn").Process
    processes = [start(target=write, args=writer) for writer in writers]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(writers)


def stored(corpus: str) -> list[str]:
    warehouse = connect_warehouse(Settings.from_env())
    notes: list[str] = warehouse.scan(NOTES, {"corpus": corpus}, ["note"])["note"].to_pylist()
    return sorted(notes)


def expected(pages: Sequence[str]) -> list[str]:
    return sorted(f"{page}-{n}" for page in pages for n in range(2))


@pytest.mark.usefixtures("_catalog")
def test_two_runs_for_one_corpus_and_two_for_others_at_once() -> None:
    pages = [f"{page}" for page in range(COMMITS // 4)]
    race(*((corpus, pages) for corpus in ("same", "same", "a", "b")))
    for corpus in ("same", "a", "b"):
        assert stored(corpus) == expected(pages)
