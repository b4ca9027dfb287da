"""Runs whose process was killed: Dagster has no launcher that could tell, so a tag does.

Here: the mark of a run, and ending those that no process works on any more. What the daemon
launched it then starts again.
Not here: who marks: the command line, and the executor (marked_executor.py).
"""

import socket
import time

import dagster as dg
import psutil
from dagster._core.storage.tags import GRPC_INFO_TAG

TAG = "lakeloom/process"
"""Run tag: host, process id and start time (seconds) of the process that executes the run, and
the run's id where that is known: a run started again begins with the tags of the dead one."""
MARKING_SECONDS = 60
"""A run marks itself at once after its start."""
CLOCK_SECONDS = 1.0
"""How far two readings of one process's start time may lie apart."""
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def process_tag(run_id: str = "") -> dict[str, str]:
    """The tag of a run that this process executes itself."""
    process = psutil.Process()
    mark = f"{socket.gethostname()} {process.pid} {process.create_time()} {run_id}"
    return {TAG: mark.strip()}


def end_abandoned(instance: dg.DagsterInstance) -> list[str]:
    """Mark as failed the unfinished runs of dead processes of this host; returns their ids.

    Their places in concurrency pools are freed, or a run that needs the same pool would wait for
    ever.
    """
    ended = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED))):
        run = record.dagster_run
        if is_dead(run.tags.get(TAG, ""), run.run_id) or _never_marked(record):
            instance.report_run_failed(run, "The process that executed this run is gone.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            ended.append(run.run_id)
    return ended


def is_dead(mark: str, run_id: str = "") -> bool:
    """Whether the process of a mark has ended; only a process of this host can be known to have.

    Args:
        mark: What `process_tag` holds.
        run_id: The run that bears the mark, if one does.
    """
    host, *process = mark.split(" ")
    if not process or host != socket.gethostname():
        return False
    pid, started, *of_run = process
    if of_run not in ([], [run_id]):
        return False
    try:
        found = psutil.Process(int(pid)).create_time()
    except psutil.NoSuchProcess:
        return True
    return abs(found - float(started)) > CLOCK_SECONDS


def _never_marked(record: dg.RunRecord) -> bool:
    """Whether a code server's run began and was killed before it could mark itself."""
    tags, started = record.dagster_run.tags, record.start_time
    launched = GRPC_INFO_TAG in tags and TAG not in tags
    return launched and started is not None and time.time() - started > MARKING_SECONDS
