"""Ten thousand events, with the receiver and the daemon killed in between.

Real processes: `lakeloom events` and `dagster-daemon`, killed by SIGKILL, the daemon with all its
children. There is no polling: what is right in the end, events have brought there.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import dagster as dg
import psutil
import pytest

from platform_assets.abandoned_runs import TAG, UNFINISHED
from platform_assets.commands.state import State, dagster_home, open_instance
from platform_assets.documents.table import DOCUMENTS
from platform_assets.raw_objects.table import RAW_OBJECTS
from resources.settings import Settings
from resources.warehouse import TableSpec
from tests.servers import free_ports, stop
from tests.servers.receiver import TOKEN, environment, receiver

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EVENTS, SENDERS = 10_000, 8
CORPORA = ("birds", "fish")
KEYS = 12
"""Objects of a corpus."""
HANDFUL = 12
"""Most runs: of each corpus one for its first event, and a few for what came during another."""
DEADLINE_SECONDS = 300


def until(what: str, holds: Callable[[], object], pause: float = 0.05) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(pause)


Row = tuple[str, ...]
"""Corpus, key and digest of the bytes."""


class Flood:
    """Uploads, overwrites and deletions at random, each followed by its notice in MinIO's shape.

    As stores do, it sends a notice until it is acknowledged; every tenth it sends twice.
    """

    def __init__(self, state: State, port: int) -> None:
        self.state, self.port = state, port
        self.begun = self.taken = self.refused = self.allowed = 0
        self._lock = threading.Lock()
        self._random = random.Random(20_000)
        self._senders = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]
        for sender in self._senders:
            sender.start()

    def run(self, *, until_taken: int, at_most: int) -> None:
        """Let events come, `at_most` in all; returns when some were taken, while others come."""
        self.allowed = at_most
        until(f"{until_taken} events were taken", lambda: self.taken >= until_taken)

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while (number := self._next()) < EVENTS:
            body = json.dumps(self._change(number)).encode()
            for _ in range(2 if number % 10 == 0 else 1):
                while not self._is_taken(connection, body):
                    time.sleep(0.05)
            with self._lock:
                self.taken += 1

    def _next(self) -> int:
        while True:
            with self._lock:
                if self.begun < self.allowed or self.begun >= EVENTS:
                    self.begun += 1
                    return self.begun - 1
            time.sleep(0.01)

    def _change(self, number: int) -> dict[str, Any]:
        """Change an object; returns the notification."""
        with self._lock:
            corpus, note = self._random.choice(CORPORA), self._random.randrange(KEYS)
            key, deleted = f"{corpus}/note {note}.md", self._random.random() < 0.2
            if deleted:
                self.state.lake.delete(key)
            else:
                text = f"# Note {note} of the {corpus}\n\nIt was written as number {number}.\n"
                self.state.lake.put(key, text.encode())
        name = "s3:ObjectRemoved:Delete" if deleted else "s3:ObjectCreated:Put"
        s3 = {"bucket": {"name": "lake"}, "object": {"key": quote_plus(key)}}
        return {"EventName": name, "Key": f"lake/{key}", "Records": [{"eventName": name, "s3": s3}]}

    def _is_taken(self, connection: http.client.HTTPConnection, body: bytes) -> bool:
        shown = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/", body, shown)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self.refused += 1
            return False
        return answer.status == 200


class Daemon:
    """A real `dagster-daemon` with its code server and the runs it launches."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self._command = [str(Path(sys.executable).with_name("dagster-daemon")), "run"]
        self._command += ["-m", "tests.faults.flood_location"]
        self._env, self._log = {**os.environ, **env}, log
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=ROOT, env=self._env, stdout=log, stderr=log, stdin=log
            )

    def kill_and_start(self) -> None:
        """SIGKILL for it and everything it started; then another one."""
        daemon = psutil.Process(self._process.pid)
        for process in (daemon, *daemon.children(recursive=True)):
            process.kill()
        self._process.wait()
        self._process = self._started()

    def stop(self) -> None:
        stop(self._process)


class Story:
    """What came of the flood."""

    def __init__(self, home: Path) -> None:
        (port,) = free_ports(1)
        self.env = environment(home, f"file://{home}/lake", port)
        self.state = State(Settings.from_env(self.env))
        self.env["DAGSTER_HOME"] = str(dagster_home(self.state.settings))
        self._one_by_one()
        self.instance = open_instance(self.state.settings)
        self.home, self.flood = home, Flood(self.state, port)
        self.statuses: list[int | None] = []

    def _one_by_one(self) -> None:
        """One run at a time, so that none is killed while it starts: Dagster waits 3 minutes."""
        path = Path(self.env["DAGSTER_HOME"]) / "dagster.yaml"
        text = path.read_text()
        path.write_text(text.replace("max_concurrent_runs: 2", "max_concurrent_runs: 1"))

    def live(self) -> None:
        """Flood, kill and start again, and wait for the end of it all."""
        flood = self.flood
        with self._daemon() as daemon:
            with self._receiver_to_kill():
                flood.run(until_taken=2_500, at_most=3_000)
            with self._receiver_to_kill():
                flood.run(until_taken=5_000, at_most=6_000)
                until("a run works", self._works)
                daemon.kill_and_start()
                flood.run(until_taken=7_500, at_most=EVENTS)
            with receiver(self.env):
                flood.run(until_taken=EVENTS, at_most=EVENTS)
                until("the corpora are right", self._is_over, 0.5)

    @contextmanager
    def _daemon(self) -> Iterator[Daemon]:
        daemon = Daemon(self.env, self.home / "daemon.log")
        try:
            yield daemon
        except AssertionError:
            sys.stdout.write((self.home / "daemon.log").read_text()[-6000:])
            raise
        finally:
            daemon.stop()

    @contextmanager
    def _receiver_to_kill(self) -> Iterator[None]:
        with receiver(self.env) as process:
            yield
            process.kill()
            self.statuses.append(process.wait())

    def _works(self) -> bool:
        return any(TAG in run.tags for run in self._runs(dg.DagsterRunStatus.STARTED))

    def _runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(dg.RunsFilter(statuses=list(statuses))))

    def _is_over(self) -> bool:
        if self._runs(*UNFINISHED):
            return False
        return all(self.found(table) == self.expected() for table in (RAW_OBJECTS, DOCUMENTS))

    def expected(self) -> set[Row]:
        """What the lake holds."""
        lake = self.state.lake
        keys = [item.key for corpus in CORPORA for item in lake.objects(f"{corpus}/")]
        return {(*key.split("/"), lake.sha256(key)) for key in keys}

    def found(self, table: TableSpec) -> set[Row]:
        """What a table holds."""
        rows = [row for corpus in CORPORA for row in self._rows(table, corpus)]
        return {(row["corpus"], row["key"], row["sha256"]) for row in rows}

    def _rows(self, table: TableSpec, corpus: str) -> list[dict[str, Any]]:
        columns = ["corpus", "key", "sha256"]
        found = self.state.warehouse.scan(table, {"corpus": corpus}, columns).to_pylist()
        return list(found)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Story(tmp_path_factory.mktemp("flood"))
    story.live()
    return story


def test_receiver_and_daemon_were_killed_while_events_came(story: Story) -> None:
    assert story.statuses == [-signal.SIGKILL, -signal.SIGKILL]
    assert story.flood.refused > 0
    assert dg.DagsterRunStatus.FAILURE in {run.status for run in story.instance.get_runs()}


@pytest.mark.parametrize("table", [RAW_OBJECTS, DOCUMENTS], ids=lambda table: table.name)
def test_the_corpora_are_right(story: Story, table: TableSpec) -> None:
    assert story.flood.taken == EVENTS
    assert {row[0] for row in story.expected()} == set(CORPORA)
    assert story.found(table) == story.expected()


def test_a_handful_of_runs_was_enough(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    runs = story.instance.get_runs()
    with capsys.disabled():
        sys.stdout.write(f"\n{EVENTS} events, {story.flood.refused} refused: {len(runs)} runs\n")
    assert len(runs) <= HANDFUL
