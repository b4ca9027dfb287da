"""The kept connections leave what Dagster's own storage reads, and the other way round."""

import threading
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from platform_assets.instance_storage import KeptSqliteStorage, open_with_kept_connections


@dg.asset
def fish() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"legs": 0}, data_version=dg.DataVersion("v"))


@dg.asset_check(asset=fish)
def swims() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


JOB = dg.Definitions(
    assets=[fish], asset_checks=[swims], executor=dg.in_process_executor
).resolve_implicit_global_asset_job_def()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return tmp_path


def _kinds(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    records = instance.get_records_for_run(run_id, limit=1000).records
    events = (record.event_log_entry.dagster_event for record in records)
    return [event.event_type_value for event in events if event]


def test_both_storages_read_what_either_wrote(home: Path) -> None:
    with open_with_kept_connections(home) as kept:
        ours = [JOB.execute_in_process(instance=kept).run_id for _ in range(3)]
        with dg.DagsterInstance.from_config(str(home)) as plain:
            theirs = JOB.execute_in_process(instance=plain).run_id
            runs = {run.run_id: run.status for run in plain.get_runs()}
            assert runs == dict.fromkeys([*ours, theirs], dg.DagsterRunStatus.SUCCESS)
            wanted = sorted(_kinds(plain, theirs))
            assert "ASSET_CHECK_EVALUATION" in wanted
            for run_id in ours:
                assert sorted(_kinds(plain, run_id)) == wanted
        assert sorted(_kinds(kept, theirs)) == wanted
        record = kept.get_latest_materialization_event(fish.key)
        assert record is not None
        assert record.run_id == theirs
        assert record.asset_materialization is not None
        assert record.asset_materialization.metadata["legs"].value == 0


def test_the_ui_sees_each_event_while_the_run_goes_on(home: Path) -> None:
    seen = {message: threading.Event() for message in ("one", "two", "three")}

    def watch(event: dg.EventLogEntry, _: str) -> None:
        if event.user_message in seen:
            seen[event.user_message].set()

    @dg.op
    def waits(context: dg.OpExecutionContext) -> None:
        for message, arrived in seen.items():
            context.log.info(message)
            assert arrived.wait(60), f"the watcher did not see {message!r}"

    @dg.job(executor_def=dg.in_process_executor)
    def waiting() -> None:
        waits()

    with (
        open_with_kept_connections(home) as kept,
        dg.DagsterInstance.from_config(str(home)) as plain,
    ):
        run_id = str(uuid4())
        plain.watch_event_logs(run_id, None, watch)
        assert waiting.execute_in_process(instance=kept, run_id=run_id).success


def test_another_storage_is_left_as_it_is(home: Path) -> None:
    with open_with_kept_connections(home) as instance:
        assert _storage(instance) == KeptSqliteStorage.__name__
    other = "{module: dagster._core.storage.event_log, class: ConsolidatedSqliteEventLogStorage"
    text = f"event_log_storage: {other}, config: {{base_dir: {home}/log}}}}\n"
    (home / "dagster.yaml").write_text(text)
    with open_with_kept_connections(home) as instance:
        assert _storage(instance) == "CompositeStorage"


def _storage(instance: dg.DagsterInstance) -> str:
    data = instance.get_ref().storage_data
    assert data is not None
    return data.class_name
