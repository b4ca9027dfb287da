"""Runs of processes that were killed do not block a corpus for ever."""

import subprocess
import sys

import dagster as dg
import pytest

from platform_assets.abandoned_runs import TAG, end_abandoned, process_tag

SAY_TAG = "from platform_assets.abandoned_runs import *; print(process_tag()[TAG])"


def test_only_runs_of_dead_processes_are_ended() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SAY_TAG], capture_output=True, text=True, check=True
    )
    started = dg.DagsterRunStatus.STARTED
    with dg.DagsterInstance.ephemeral() as instance:

        @dg.job
        def work() -> None: ...

        def run(tags: dict[str, str]) -> str:
            made = instance.create_run_for_job(work, tags=tags, status=started)
            return made.run_id

        dead = run({TAG: said.stdout.strip()})
        alive = run(process_tag())
        launched = run({})
        # What the daemon starts again begins with the tags of the run that died.
        again = run({TAG: f"{said.stdout.strip()} another-run"})
        assert end_abandoned(instance) == [dead]
        statuses = {name: instance.get_run_by_id(name) for name in (dead, alive, launched, again)}
        found = {name: each.status for name, each in statuses.items() if each}
        assert found == {
            dead: dg.DagsterRunStatus.FAILURE,
            alive: started,
            launched: started,
            again: started,
        }


@pytest.mark.parametrize(("seconds", "ended"), [(-1, True), (60, False)])
def test_a_launched_run_that_never_marked_itself_is_ended(
    seconds: int, ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform_assets.abandoned_runs.MARKING_SECONDS", seconds)
    with dg.DagsterInstance.ephemeral() as instance:

        @dg.job
        def work() -> None: ...

        for tags in ({".dagster/grpc_info": "{}"}, {}):
            run = instance.create_run_for_job(work, tags=tags)
            start = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, work.name)
            instance.report_dagster_event(start, run.run_id)
        assert len(end_abandoned(instance)) == ended
