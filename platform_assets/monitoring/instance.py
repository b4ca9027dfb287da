"""How Dagster stands: runs, daemons, sensors, asset checks, pools; all from its storage."""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from platform_assets.monitoring.metrics import Sample

EVALUATED = {
    AssetCheckExecutionRecordStatus.SUCCEEDED,
    AssetCheckExecutionRecordStatus.FAILED,
}
OUTCOMES = (TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE)


def instance_samples(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]
) -> list[Sample]:
    """Gauges of Dagster's own state."""
    return [
        *_runs(instance),
        *_daemons(instance),
        *_sensors(instance),
        *_pools(instance),
        *_checks(instance, checks),
    ]


def _runs(instance: dg.DagsterInstance) -> Iterator[Sample]:
    for status in dg.DagsterRunStatus:
        count = instance.get_runs_count(dg.RunsFilter(statuses=[status]))
        yield Sample("lakeloom_runs", count, {"status": status.value.lower()})


def _daemons(instance: dg.DagsterInstance) -> Iterator[Sample]:
    for name, status in instance.get_daemon_statuses().items():
        healthy = float(bool(status.healthy))
        yield Sample("lakeloom_daemon_healthy", healthy, {"daemon": name.lower()})


def _sensors(instance: dg.DagsterInstance) -> Iterator[Sample]:
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
        if not state.is_running:
            continue
        for status in OUTCOMES:
            ids = (state.instigator_origin_id, state.selector_id)
            if ticks := instance.get_ticks(*ids, limit=1, statuses=[status]):
                labels = {"sensor": state.name, "status": status.value.lower()}
                at = ticks[0].timestamp
                yield Sample("lakeloom_sensor_last_tick_timestamp_seconds", at, labels)


def _pools(instance: dg.DagsterInstance) -> Iterator[Sample]:
    storage = instance.event_log_storage
    for pool in sorted(storage.get_concurrency_keys()):
        found = storage.get_concurrency_info(pool)
        states = {
            "limit": found.slot_count,
            "taken": found.active_slot_count,
            "waiting": found.pending_step_count,
        }
        for state, count in states.items():
            yield Sample("lakeloom_pool_slots", count, {"pool": pool, "state": state})


def _checks(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]) -> Iterator[Sample]:
    storage = instance.event_log_storage
    for key in storage.get_latest_asset_check_execution_by_key(checks):
        # The last one may only have been planned: its run is under way, or never came to it.
        for record in storage.get_asset_check_execution_history(key, 1, status=EVALUATED):
            found = record.evaluation
            assert isinstance(found, dg.AssetCheckEvaluation)
            labels = {
                "asset": key.asset_key.to_user_string(),
                "check": key.name,
                "severity": found.severity.value.lower(),
            }
            yield Sample("lakeloom_check_passed", float(found.passed), labels)
