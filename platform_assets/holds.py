"""Corpora that a command works on: the daemon starts nothing on them until it has ended.

A command runs the graph in several runs, between which its corpora would look idle. Its mark lies
in Dagster's own key-value storage, which the command line, the UI and the daemon share.
Here: the mark, and waiting for what the daemon has begun. Not here: who looks at it
(sensors/listings.py, automation.py).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import dagster as dg

from platform_assets.abandoned_runs import TAG, end_abandoned, is_dead, process_tag

KEY = "lakeloom/held/"
WORKING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
LOOK_SECONDS = 1.0


@contextmanager
def hold(
    instance: dg.DagsterInstance, corpora: Iterable[str], show: Callable[[str], None]
) -> Iterator[None]:
    """Hold corpora in the block, which begins once no run works on them any more."""
    keys = {f"{KEY}{corpus}" for corpus in corpora}
    mark = process_tag()[TAG]
    storage = instance.daemon_cursor_storage
    storage.set_cursor_values(dict.fromkeys(keys, mark))
    try:
        _wait(instance, set(corpora), show)
        yield
    finally:
        mine = [key for key, value in storage.get_cursor_values(keys).items() if value == mark]
        if mine:  # another command may hold them by now
            storage.set_cursor_values(dict.fromkeys(mine, ""))


def held(instance: dg.DagsterInstance, corpora: Iterable[str]) -> set[str]:
    """Those of some corpora that a living command holds."""
    keys = {f"{KEY}{corpus}" for corpus in corpora}
    marks = instance.daemon_cursor_storage.get_cursor_values(keys) if keys else {}
    return {key.removeprefix(KEY) for key, mark in marks.items() if mark and not is_dead(mark)}


def corpora_of(run: dg.DagsterRun) -> set[str]:
    """The corpus a run writes, by itself or together with an encoder."""
    partition = run.tags.get("dagster/partition") or ""
    return {partition.split("|")[0]} - {""}


def _wait(instance: dg.DagsterInstance, corpora: set[str], show: Callable[[str], None]) -> None:
    told = False
    while True:
        end_abandoned(instance)
        runs = instance.get_runs(dg.RunsFilter(statuses=WORKING))
        busy = sorted(set().union(*map(corpora_of, runs)) & corpora)
        if not busy:
            return
        if not told:
            show(f"waiting for the daemon, which works on {', '.join(busy)}")
            told = True
        time.sleep(LOOK_SECONDS)
