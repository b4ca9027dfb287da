"""States that earlier versions wrote are taken over by one command, and can still be read by them.

tests/states holds what versions really wrote, saved by tests/saved_states.py on a real S3 server.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from platform_assets.chunks.assets import CODE_VERSION as CHUNKED
from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.state import open_instance
from platform_assets.commands.status import status
from platform_assets.commands.trace import trace
from platform_assets.commands.upgrade import upgrade
from platform_assets.documents.assets import CODE_VERSION as PARSED
from platform_assets.embeddings.vectors import CODE_VERSION as EMBEDDED
from platform_assets.maintenance import tables
from tests.saved_states import CORPUS, LAKE, archives, restore
from tests.servers.seaweed import seaweed
from tests.spies import Platform

pytestmark = pytest.mark.slow
COUNTS = ("objects", "documents", "rejected", "rejections", "chunks", "published")


@pytest.fixture(params=archives(), ids=lambda path: path.name)
def saved(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Platform, dict[str, Any]]]:
    """A platform on a saved state, and what was said of it when it was saved."""
    with seaweed(tmp_path / "seaweed") as server:
        for variable, value in {**server.env, "LAKELOOM_LAKE": LAKE}.items():
            monkeypatch.setenv(variable, value)
        platform = Platform(tmp_path / "home", monkeypatch)
        said = restore(request.param, platform.state.lake, platform.state.settings.home)
        yield platform, said


def _counts(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in COUNTS}


def _encodes_alike(platform: Platform) -> bool:
    """Whether this processor's vectors are the saved ones: some compute in bf16, some do not."""
    details = platform.state.ledger.require("checkpoints", "minilm").details
    now = platform.state.checkpoints.encoder_digest(details["checkpoint"])
    return details["encoder_digest"] == now


def test_a_saved_state_is_taken_over_and_nothing_is_made_anew(
    saved: tuple[Platform, dict[str, Any]],
) -> None:
    platform, said = saved
    answer = upgrade(platform.state, platform.lines.append)
    assert answer["ok"]
    assert answer["served"] == {CORPUS: True}
    assert _counts(status(platform.state)["corpora"][CORPUS]) == _counts(said)
    assert platform.search(CORPUS, "what hunts voles in barns")[0]["key"] == "owl.md"
    ledger = platform.state.ledger
    partitions = {"documents": CORPUS, "chunks": CORPUS, "embeddings": f"{CORPUS}|minilm"}
    written = {name: ledger.require(name, each).code_version for name, each in partitions.items()}
    alike = _encodes_alike(platform)
    made = platform.materialize(CORPUS)
    now = {"documents": PARSED, "chunks": CHUNKED, "embeddings": EMBEDDED}
    if written["documents"] == now["documents"]:
        assert platform.calls.parsed == []
    if alike and written == now:  # what is evaluated anew, by a later rule, asks its queries
        assert made["embeddings", partitions["embeddings"]]["work"]["embedded"] == 0
        assert platform.calls.upserted == []
    assert platform.state.vectors.previous(CORPUS)
    assert trace(platform.state, CORPUS)["ok"]
    assert upgrade(platform.state, platform.lines.append) == answer


def test_its_history_is_there(saved: tuple[Platform, dict[str, Any]]) -> None:
    platform, _ = saved
    upgrade(platform.state, platform.lines.append)
    with open_instance(platform.state.settings) as instance:
        assert instance.get_dynamic_partitions("corpus") == [CORPUS]
        made = instance.fetch_materializations(dg.AssetKey("published_index"), limit=10).records
    assert len(made) == 2


def test_new_code_adds_columns_and_old_code_reads_what_it_wrote(
    saved: tuple[Platform, dict[str, Any]],
) -> None:
    """New columns are optional, and a reader that does not know them takes its own."""
    platform, _ = saved
    warehouse = platform.state.warehouse
    before = platform.rows(CHUNKS, corpus=CORPUS)
    newer = replace(CHUNKS, schema=CHUNKS.schema.append(pa.field("language", pa.string())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tables.ALL_TABLES, "chunks", newer)
        upgrade(platform.state, platform.lines.append)
    [row, *_] = warehouse.scan(newer, {"corpus": CORPUS}).to_pylist()
    assert row["language"] is None
    rows = warehouse.scan(newer, {"corpus": CORPUS}, groups=[row["doc_id"]])
    place = rows.schema.get_field_index("language")
    told = rows.set_column(place, "language", pa.array(["en"] * rows.num_rows))
    warehouse.replace(newer, {"corpus": CORPUS}, [row["doc_id"]], told)
    after = warehouse.scan(CHUNKS, {"corpus": CORPUS}).to_pylist()
    assert sorted(map(str, after)) == sorted(map(str, before))
    assert trace(platform.state, CORPUS)["ok"]


def test_a_tracking_database_of_an_earlier_mlflow_is_migrated(
    saved: tuple[Platform, dict[str, Any]],
) -> None:
    """MLflow's own migrations make the database as an earlier version of it left it."""
    platform, _ = saved
    database = platform.state.settings.home / "mlflow.db"
    head = _revision(database)
    database.unlink()
    _database_of_an_earlier_mlflow(database)
    assert _revision(database) != head
    upgrade(platform.state, platform.lines.append)
    assert _revision(database) == head
    assert platform.state.tracking.champion() is None


def _database_of_an_earlier_mlflow(database: Path) -> None:
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    url = f"sqlite:///{database}"
    config = _get_alembic_config(url)
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "heads-2")
    engine.dispose()


def _revision(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(version)


def test_it_waits_for_no_run(saved: tuple[Platform, dict[str, Any]]) -> None:
    platform, _ = saved

    @dg.job
    def nothing() -> None:
        pass

    with open_instance(platform.state.settings) as instance:
        instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    with pytest.raises(RuntimeError, match="1 runs are under way or queued: stop the daemon"):
        upgrade(platform.state, platform.lines.append)
