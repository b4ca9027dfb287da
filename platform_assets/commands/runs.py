"""Runs of a command: what assets say while they run, why a run ended early, who executes it."""

import logging
import socket
from collections.abc import Callable

import dagster as dg
import psutil

PROCESS = "lakeloom/process"
"""Run tag: host, process id and start time (seconds) of the process that executes the run."""
CLOCK_SECONDS = 1.0
"""How far two readings of one process's start time may lie apart."""
UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def logger_for(show: Callable[[str], None]) -> dg.LoggerDefinition:
    """A Dagster logger that passes on assets' own lines, without Dagster's events."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {})
            if meta.get("step_key") and not meta.get("dagster_event"):
                show(str(meta.get("orig_message") or record.getMessage()))

    @dg.logger
    def lakeloom(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.getLogger("lakeloom")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = [Handler()]
        return logger

    return lakeloom


def run_fault(result: dg.ExecuteInProcessResult) -> str | None:
    """Why a run ended before any step could, such as a layer that cannot be reached."""
    events = result.all_events
    if any(event.is_step_failure for event in events):
        return None
    for event in events:
        if event.is_job_failure:
            error = event.job_failure_data.error
            return error.cause.message if error and error.cause else str(error and error.message)
    return None


def run_tags() -> dict[str, str]:
    """Tags of a run that this process executes."""
    process = psutil.Process()
    return {PROCESS: f"{socket.gethostname()} {process.pid} {process.create_time()}"}


def end_killed_runs(instance: dg.DagsterInstance) -> None:
    """Mark as failed the runs whose command was killed on this machine, and free their pools.

    A killed process leaves its runs unfinished: without this a run that needs the same pool would
    wait for ever.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        if _is_killed(run.tags.get(PROCESS, "")):
            instance.report_run_failed(run, "The process that executed the run was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_killed(tag: str) -> bool:
    host, _, process = tag.partition(" ")
    if not process or host != socket.gethostname():
        return False
    pid, started = process.split()
    try:
        found = psutil.Process(int(pid)).create_time()
    except psutil.NoSuchProcess:
        return True
    return abs(found - float(started)) > CLOCK_SECONDS
