"""A file dropped in the lake is found by `lakeloom search`: the real daemon, with real runs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dagster as dg
import pytest

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.commands.search import search
from platform_assets.commands.state import State, open_instance
from resources.settings import Settings

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
CORPUS = "field-notes"
DEADLINE_SECONDS = 300
OWL = "# The Barn Owl\n\nThe barn owl hunts voles over meadows by hearing alone.\n"
EEL = "# The European Eel\n\nThe eel crosses the Atlantic to spawn in the Sargasso Sea.\n"
EDITED = OWL.replace("over meadows", "over snow-covered fields")


class Daemon:
    """`lakeloom ui` on a home of its own: webserver, daemon and code server."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        here = {"LAKELOOM_HOME": str(home), "LAKELOOM_POLL_SECONDS": "1"}
        self.env = {**os.environ, **here, **env}
        self.env.pop("DAGSTER_HOME", None)
        self.log = home / "daemon.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def __enter__(self) -> Self:
        command = [str(BIN / "lakeloom"), "ui", "--port", str(self.port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise

    def until(self, what: str, holds: Callable[[], object]) -> float:
        """Seconds until something holds."""
        started = time.monotonic()
        while not holds():
            assert self.process.poll() is None, self.log.read_text()[-5000:]
            waited = time.monotonic() - started
            assert waited < DEADLINE_SECONDS, f"{what}: {self.log.read_text()[-5000:]}"
            time.sleep(0.2)
        return time.monotonic() - started

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/server_info") as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False


class Lake:
    """The corpus as its users see it: files on one side, hits on the other."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "lake" / CORPUS
        self.state = State(Settings.from_env({"LAKELOOM_HOME": str(home)}))

    def drop(self, key: str, text: str) -> None:
        """Write a file as uploads do: under another name, then in its place."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder.parent / f".{key}.part"
        part.write_text(text)
        part.rename(self.folder / key)

    def text_of(self, key: str) -> str | None:
        """Text of a document's best hit."""
        try:
            hits = search(self.state, CORPUS, "where does it hunt or spawn", 10)["hits"]
        except LookupError:
            return None
        return next((hit["text"] for hit in hits if hit["key"] == key), None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@dataclass
class Life:
    """What came of an upload before the daemon started, another, an edit and a deletion."""

    runs: list[dg.DagsterRun]
    added_seconds: float
    deleted_seconds: float


@pytest.fixture(scope="module")
def life(home: Path) -> Life:
    lake = Lake(home)
    lake.drop("owl.md", OWL)
    with Daemon(home) as daemon:
        daemon.until("the webserver", daemon.answers)
        daemon.until("the upload before the start", lambda: lake.text_of("owl.md"))
        lake.drop("eel.md", EEL)
        added = daemon.until("an upload", lambda: lake.text_of("eel.md"))
        found = _cli(daemon.env, "search", CORPUS, "which fish spawns in the Sargasso Sea")
        assert found["hits"][0]["key"] == "eel.md"
        lake.drop("owl.md", EDITED)
        (lake.folder / "eel.md").unlink()
        deleted = daemon.until("a deletion", lambda: lake.text_of("eel.md") is None)
        daemon.until("an edit", lambda: "snow" in (lake.text_of("owl.md") or ""))
        instance = open_instance(lake.state.settings)
        daemon.until("the last run", lambda: all(r.is_finished for r in instance.get_runs()))
    assert _cli(daemon.env, "trace", CORPUS)["ok"]
    return Life(list(instance.get_runs()), added, deleted)


def _cli(env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    command = [BIN / "lakeloom", *arguments, "--json"]
    traced = {**env, "PYTHONFAULTHANDLER": "1"}  # a native abort tells where
    done = subprocess.run(command, env=traced, check=False, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stdout[-1000:], done.stderr[-5000:])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_uploads_edits_and_deletions_reach_the_search(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\nfound {life.added_seconds:.0f} s after its upload, ")
        sys.stdout.write(f"gone {life.deleted_seconds:.0f} s after its deletion\n")
    assert {run.status for run in life.runs} == {dg.DagsterRunStatus.SUCCESS}


def test_each_change_costs_three_runs(life: Life) -> None:
    """One up to the chunks, one up to the evaluation, one that publishes; none twice.

    The edit and the deletion come together, unless the sensor looks between them. Each recipe is
    declared once.
    """
    declared = [run for run in life.runs if run.asset_selection == {dg.AssetKey("recipes")}]
    assert len(declared) == len(load_recipes())
    waves = [run for run in life.runs if run not in declared]
    started = Counter(run.tags.get("dagster/sensor_name") for run in waves)
    assert started["bucket_uploads"] in (3, 4)
    assert 6 <= started["automation"] <= 2 * started["bucket_uploads"]
    assert started["pretrained_encoders"] == 1
    assert started.total() == len(waves)
