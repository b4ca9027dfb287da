"""`lakeloom export --format delta`: equal to the tables, and only what has changed is written."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deltalake import DeltaTable

from platform_assets.cli import main
from platform_assets.commands import export as export_command
from platform_assets.maintenance.tables import ALL_TABLES
from platform_assets.tables import OwnRows, rows_of
from resources.exports.delta import DeltaExport
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from tests.servers.seaweed import BUCKET, Seaweed
from tests.spies import Platform
from tests.unit.test_warehouse import NOTES

Export = Callable[..., dict[str, dict[str, Any]]]
CHAIN = "key:documents or key:chunks or key:raw_objects"


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Export:
    """Runs the command; returns its row for each table."""

    def run(corpus: str, to: str) -> dict[str, dict[str, Any]]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["export", corpus, "--format", "delta", "--to", to, "--json"])
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return {row["table"]: row for row in json.loads(out)["tables"]}

    return run


def write(platform: Platform, corpus: str, count: int) -> None:
    for number in range(count):
        platform.write(corpus, f"{number}.md", f"# Basin {number}\n\nIt is {number} deep.")


def assert_equal(platform: Platform, to: str) -> None:
    options = {"AWS_ALLOW_HTTP": "true"}
    for table in ALL_TABLES.values():
        expected = platform.state.warehouse.scan(table, {}).sort_by([(table.key, "ascending")])
        location = f"{to}/{table.name}"
        if not DeltaTable.is_deltatable(location, options):
            assert expected.num_rows == 0
            continue
        found = DeltaTable(location, storage_options=options).to_pyarrow_table()
        found = found.select(table.schema.names).sort_by([(table.key, "ascending")])
        assert found.cast(table.schema).equals(expected), table.name


def test_it_reads_back_equal_and_follows_changes(
    platform: Platform, export: Export, tmp_path: Path
) -> None:
    to = str(tmp_path / "delta")
    write(platform, "one", 12)
    write(platform, "two", 2)
    platform.materialize("one", "two", select="+key:embeddings")
    first = export("one", to)
    assert (first["chunks"]["added"], first["embeddings"]["commits"]) == (12, 1)
    export("two", to)
    assert_equal(platform, to)

    platform.write("one", "3.md", "# Basin 3\n\nIt was filled up.")
    platform.state.lake.delete("one/4.md")
    platform.materialize("one", select="+key:embeddings")
    edited = export("one", to)["embeddings"]
    assert (edited["changed"], edited["removed"], edited["commits"]) == (1, 1, 1)
    assert edited["written"] < edited["rows"]
    assert_equal(platform, to)

    assert not any(row["commits"] for row in export("one", to).values())
    assert_equal(platform, to)


def test_to_a_real_s3_server(
    platform: Platform,
    export: Export,
    seaweed_server: Seaweed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in seaweed_server.env.items():
        if name != "AWS_ALLOW_HTTP":
            monkeypatch.setenv(name, value)
    write(platform, "one", 2)
    platform.materialize("one", select=CHAIN)
    to = f"s3://{BUCKET}/delta"
    assert export("one", to)["documents"]["written"] == 2
    assert_equal(platform, to)


@pytest.mark.parametrize(
    ("corpus", "to", "status"), [("none", "delta", 2), ("one", "/proc/no/delta", 1)]
)
def test_what_cannot_be_exported_says_why(
    platform: Platform, capsys: pytest.CaptureFixture[str], corpus: str, to: str, status: int
) -> None:
    write(platform, "one", 1)
    platform.materialize("one", select="raw_objects")
    with pytest.raises(SystemExit) as ended:
        main(["export", corpus, "--to", to])
    assert ended.value.code == status
    assert (corpus if corpus == "none" else to) in capsys.readouterr().err


def test_tables_made_anew_with_other_buckets_leave_no_row_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = DeltaExport(str(tmp_path / "delta"))

    def exported(place: str, buckets: int, texts: dict[str, str]) -> dict[str, Any]:
        """Export a warehouse of its own with some notes, one a page."""
        folder = tmp_path / place
        catalog = open_sql_catalog(f"sqlite:///{folder}.db", f"file://{folder}")
        warehouse, table = IcebergWarehouse(catalog), replace(NOTES, buckets=buckets)
        rows = [
            {"page": page, "note": page, "text": text, "vector": [0.5], "fingerprint": text}
            for page, text in texts.items()
        ]
        OwnRows(warehouse, table, {"corpus": "c"}).replace([], rows_of(table, rows))
        monkeypatch.setattr(export_command, "ALL_TABLES", {"notes": table})
        state: Any = SimpleNamespace(warehouse=warehouse)
        [answer] = export_command.export(state, "c", to)["tables"]
        found = DeltaTable(str(tmp_path / "delta" / "notes")).to_pyarrow_table()
        pairs = zip(found["page"].to_pylist(), found["text"].to_pylist(), strict=True)
        assert sorted(pairs) == sorted(texts.items())
        return dict(answer)

    texts = {f"page{number}": "as it was" for number in range(200)}
    exported("before", 16, texts)
    assert exported("after", 64, {**texts, "page7": "edited"})["commits"] == 1
    assert exported("later", 64, {**texts, "page7": "edited"})["commits"] == 0
