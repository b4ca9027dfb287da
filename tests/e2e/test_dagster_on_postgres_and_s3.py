"""Webserver, daemon and code location as three processes, with deploy/aws/dagster.yaml as it is.

PostgreSQL is real, S3 is SeaweedFS's: Dagster's storage and the catalog lie in the one, the lake
and the runs' logs in the other.
"""

import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from platform_assets.commands.metrics import sources_of
from platform_assets.commands.search import search
from platform_assets.commands.state import State, open_instance
from resources.settings import Settings
from tests.servers import answers, free_ports, running
from tests.servers.postgres import database
from tests.servers.seaweed import Seaweed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CORPUS, LOGS = "field-notes", "dagster-logs"
DEADLINE_SECONDS = 400
OWL = b"# The Barn Owl\n\nThe barn owl hunts voles over meadows by hearing alone.\n"


@dataclass
class Deployment:
    """What runs, as its operators see it."""

    state: State
    home: Path
    web: str
    s3: Any


def until(what: str, holds: Callable[[], object], log: Path) -> None:
    started = time.monotonic()
    while not holds():
        waited = time.monotonic() - started
        assert waited < DEADLINE_SECONDS, f"{what}: {log.read_text()[-5000:]}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, seaweed_server: Seaweed, postgres_url: str
) -> Iterator[Deployment]:
    home, dagster_home = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("dagster")
    shutil.copyfile(ROOT / "deploy/aws/dagster.yaml", dagster_home / "dagster.yaml")
    code, web = free_ports(2)
    named = {"host": "127.0.0.1", "port": code, "location_name": "lakeloom"}
    workspace = home / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": named}]}))
    env = {
        **seaweed_server.env,
        "LAKELOOM_HOME": str(home),
        "LAKELOOM_LAKE": "s3://lake/deployed",
        "LAKELOOM_CATALOG": database(postgres_url, "catalog"),
        "DAGSTER_POSTGRES_URL": database(postgres_url, "dagster"),
        "LAKELOOM_LOGS_BUCKET": LOGS,
        "DAGSTER_HOME": str(dagster_home),
        "LAKELOOM_POLL_SECONDS": "1",
    }
    commands = {
        "code": [*("dagster", "code-server", "start", "-m", "platform_assets.definitions")],
        "web": ["dagster-webserver", "-h", "127.0.0.1", "-p", str(web), "-w", str(workspace)],
        "daemon": ["dagster-daemon", "run", "-w", str(workspace)],
    }
    commands["code"] += ["-h", "127.0.0.1", "-p", str(code)]
    ready = {"code": lambda: answers(code), "web": lambda: answers(web), "daemon": lambda: True}
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name, value in env.items():
            patch.setenv(name, value)
        s3 = _client()
        s3.create_bucket(Bucket=LOGS)
        for name, (program, *rest) in commands.items():
            command = [str(BIN / program), *rest]
            log = home / f"{name}.log"
            stack.enter_context(
                running(command, log, ready[name], dict(os.environ), patience_seconds=180)
            )
        state = State(Settings.from_env())
        yield Deployment(state, home, f"http://127.0.0.1:{web}", s3)


def _client() -> Any:
    import boto3

    return boto3.client("s3")


def test_an_upload_is_carried_to_the_search(deployment: Deployment) -> None:
    deployment.state.lake.put(f"{CORPUS}/owl.md", OWL)

    def found() -> bool:
        try:
            hits = search(deployment.state, CORPUS, "what hunts voles", 3)["hits"]
        except LookupError:
            return False
        return [hit["key"] for hit in hits] == ["owl.md"]

    until("the search", found, deployment.home / "daemon.log")


def test_its_history_is_in_postgres_and_no_file(deployment: Deployment) -> None:
    with open_instance(deployment.state.settings) as instance:
        until(
            "the last run",
            lambda: all(run.is_finished for run in instance.get_runs()),
            deployment.home / "daemon.log",
        )
        runs = instance.get_runs()
        assert runs
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        assert not instance.telemetry_enabled
        assert all(status.healthy for status in instance.get_daemon_statuses().values())
    assert not list(Path(os.environ["DAGSTER_HOME"]).rglob("*.db"))


def test_the_log_of_a_run_is_in_the_bucket(deployment: Deployment) -> None:
    with open_instance(deployment.state.settings) as instance:
        (run, *_) = [
            run
            for run in instance.get_runs()
            if dg.AssetKey("documents") in (run.asset_selection or ())
        ]
    prefix = f"lakeloom/logs/storage/{run.run_id}/"
    stored = deployment.s3.list_objects_v2(Bucket=LOGS, Prefix=prefix).get("Contents", [])
    written = [item["Key"] for item in stored if item["Key"].endswith(".err") and item["Size"]]
    assert written
    text = deployment.s3.get_object(Bucket=LOGS, Key=written[0])["Body"].read().decode()
    assert "STEP_SUCCESS" in text


def test_the_webserver_answers_its_probe(deployment: Deployment) -> None:
    with urllib.request.urlopen(f"{deployment.web}/server_info") as answer:
        assert answer.status == 200


def test_every_source_of_figures_answers_on_servers(deployment: Deployment) -> None:
    sources = sources_of(deployment.state)
    for source in sources:
        source.look()
    assert {source.name: source.fault for source in sources} == {s.name: None for s in sources}
    values = {
        (sample.metric, *sorted(sample.labels.values())): sample.value
        for source in sources
        for sample in source.samples
    }
    assert values["lakeloom_uploads", CORPUS] == 1
    assert values["lakeloom_documents", CORPUS] == 1
    assert values["lakeloom_backlog_objects", CORPUS] == 0
    assert values["lakeloom_gate", CORPUS, "published"] == 1
    assert values["lakeloom_daemon_healthy", "sensor"] == 1
    ticks = [key for key in values if key[0] == "lakeloom_sensor_last_tick_timestamp_seconds"]
    assert any("bucket_uploads" in key for key in ticks)
    assert not any("failure" in key for key in ticks)
