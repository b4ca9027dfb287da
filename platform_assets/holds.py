"""Corpora that a command works on: the daemon requests nothing on them until it has ended.

A command runs the graph in several runs, between which its corpora would look idle. Its mark lies
in Dagster's own key-value storage, which the command line, the UI and the daemon share. A run that
was in the queue before, or that somebody starts in the UI, waits until the command has ended.
Here: the mark, and each waiting for the other. Not here: who looks at it (sensors/listings.py,
automation.py, marked_executor.py).
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import dagster as dg

from platform_assets.abandoned_runs import TAG, end_abandoned, is_dead, process_tag

KEY = "lakeloom/held/"
WORKING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
WAITING = "lakeloom/waiting"
"""Run tag: `yes` while a run that was started waits for a command, which does not wait for it."""
LOOK_SECONDS = 1.0


@contextmanager
def hold(
    instance: dg.DagsterInstance, corpora: Iterable[str], show: Callable[[str], None]
) -> Iterator[None]:
    """Hold corpora in the block, which begins once no run works on them any more."""
    keys = {f"{KEY}{corpus}" for corpus in corpora}
    mark = process_tag()[TAG]
    _rewrite(instance, keys, lambda marks: [*marks, mark])
    try:
        _wait(instance, set(corpora), show)
        yield
    finally:
        _rewrite(instance, keys, lambda marks: [each for each in marks if each != mark])


def held(instance: dg.DagsterInstance, corpora: Iterable[str]) -> set[str]:
    """Those of some corpora that a living command holds."""
    marks = _marks(instance, {f"{KEY}{corpus}" for corpus in corpora})
    return {key.removeprefix(KEY) for key, living in marks.items() if living}


def let_commands_end(
    instance: dg.DagsterInstance, run: dg.DagsterRun, show: Callable[[str], None]
) -> None:
    """Wait until no living command holds the corpus that a run is about to write.

    Each side first shows what it is up to and then looks at the other, so never do both begin.
    """
    corpora, told = corpora_of(run), False
    _say_waiting(instance, run, "no")  # a run that is started again has the tags of the dead one
    while holding := held(instance, corpora):
        if not told:
            show(f"waiting for a command that works on {', '.join(sorted(holding))}")
            told = True
        _say_waiting(instance, run, "yes")
        while held(instance, corpora):
            time.sleep(LOOK_SECONDS)
        _say_waiting(instance, run, "no")


def corpora_of(run: dg.DagsterRun) -> set[str]:
    """The corpus a run writes, by itself or together with an encoder."""
    partition = run.tags.get("dagster/partition") or ""
    return {partition.split("|")[0]} - {""}


def _say_waiting(instance: dg.DagsterInstance, run: dg.DagsterRun, word: str) -> None:
    instance.add_run_tags(run.run_id, {WAITING: word})


def _marks(instance: dg.DagsterInstance, keys: set[str]) -> dict[str, list[str]]:
    """Marks of living commands by key; several may hold one corpus."""
    values = instance.daemon_cursor_storage.get_cursor_values(keys) if keys else {}
    found = {key: json.loads(values.get(key) or "[]") for key in keys}
    return {key: [mark for mark in marks if not is_dead(mark)] for key, marks in found.items()}


def _rewrite(
    instance: dg.DagsterInstance, keys: set[str], change: Callable[[list[str]], list[str]]
) -> None:
    marks = {key: json.dumps(change(held)) for key, held in _marks(instance, keys).items()}
    if marks:
        instance.daemon_cursor_storage.set_cursor_values(marks)


def _wait(instance: dg.DagsterInstance, corpora: set[str], show: Callable[[str], None]) -> None:
    told = False
    while True:
        end_abandoned(instance)
        begun = instance.get_runs(dg.RunsFilter(statuses=WORKING))
        runs = [run for run in begun if run.tags.get(WAITING) != "yes"]
        busy = sorted(set().union(*map(corpora_of, runs)) & corpora)
        if not busy:
            return
        if not told:
            show(f"waiting for the daemon, which works on {', '.join(busy)}")
            told = True
        time.sleep(LOOK_SECONDS)
