"""dagster-k8s's own launcher and executor: a container for the run and for each of its steps.

The API server is a double that starts real containers (jobs_on_podman.py). Nothing is shared but
what a network reaches: S3 and the catalog, Dagster's history. Dagster's own daemon takes runs from
the queue and makes up for those that fail.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from sqlalchemy import make_url

from platform_assets.results import WORK
from platform_assets.settled import FORM
from tests.servers import running
from tests.servers.forwarder import port_before
from tests.servers.jobs_on_podman import Jobs, jobs_on_podman
from tests.servers.postgres import folder_of, postgres
from tests.servers.seaweed import BUCKET, seaweed

ROOT = Path(__file__).resolve().parents[2]
LOCATION = "platform_assets.definitions"
HOUSE = {"dagster/partition": "house"}
STEPS = ["raw_objects", "documents", "chunks", "queries"]
LAUNCH = """mutation($selector: JobOrPipelineSelector!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: $selector, runConfigData: {}, executionMetadata: {tags: $tags}
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""
# What would start runs by itself, beside those that the tests launch.
STARTERS = ("automation", "bucket_uploads", "pretrained_encoders")


@dataclass
class Place:
    """A deployment: its jobs, its history, and the environment of its code location."""

    jobs: Jobs
    instance: dg.DagsterInstance
    env: dict[str, str]
    daemon: Path
    """What the daemon said."""

    def lakeloom(self, *arguments: str) -> str:
        return self._told("lakeloom", *arguments)

    def silence(self, sensor: str) -> None:
        self._told("dagster", "sensor", "stop", sensor, "-m", LOCATION)

    def materialize(self, names: Sequence[str], tags: Mapping[str, str]) -> str:
        """Launch a run as the UI does; its id."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [name]} for name in names],
        }
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        answer = Path(self.env["DAGSTER_HOME"]) / "answer.json"
        variables = json.dumps({"selector": selector, "tags": listed})
        asked = ("-t", LAUNCH, "-v", variables, "-o", str(answer))
        self._told("dagster-graphql", "-m", LOCATION, *asked)
        (found,) = json.loads(answer.read_text())["data"].values()
        assert found["__typename"] == "LaunchRunSuccess", found
        run: str = found["run"]["runId"]
        return run

    def succeeded(self, names: Sequence[str], tags: Mapping[str, str]) -> str:
        """A launched run that ended well; its id."""
        run = self.materialize(names, tags)
        assert self.ended(run).status == dg.DagsterRunStatus.SUCCESS, self.logs()
        return run

    def follower(self, run: str) -> str:
        """The run that the daemon launched to make up for another."""
        for _ in range(300):
            found = self.instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run}))
            if found:
                return found[0].run_id
            time.sleep(1)
        raise AssertionError(self.daemon.read_text()[-3000:])

    def ended(self, run: str) -> dg.DagsterRun:
        """A run, when it is over; the double's containers end as its jobs do."""
        for _ in range(900):
            found = self.instance.get_run_by_id(run)
            assert found
            if found.is_finished:
                return found
            time.sleep(1)
        raise AssertionError(self.logs() + self.daemon.read_text()[-3000:])

    def job_of(self, step: str) -> str:
        """The job of a step, when its container runs."""
        for _ in range(900):
            for name, body in list(self.jobs.asked.items()):
                if body["metadata"]["labels"].get("dagster/op") == step:
                    return name
            time.sleep(0.2)
        raise AssertionError(self.logs())

    def steps_of(self, run: str) -> list[str | None]:
        """The steps that had containers of their own; None for the run's own container."""
        labels = [body["metadata"]["labels"] for body in self.jobs.asked.values()]
        return [each.get("dagster/op") for each in labels if each["dagster/run-id"] == run]

    def work_of(self, run: str, asset: str) -> dict[str, Any]:
        """What a materialisation tells of its work."""
        events = [record.dagster_event for record in self.instance.all_logs(run)]
        (told,) = (
            event.step_materialization_data.materialization
            for event in events
            if event and event.is_step_materialization and event.asset_key == dg.AssetKey(asset)
        )
        found: Any = told.metadata[WORK].value
        return dict(found)

    def logs(self) -> str:
        return "\n".join(self.jobs.log(name)[-3000:] for name in self.jobs.asked)

    def _told(self, program: str, *arguments: str) -> str:
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        told = subprocess.run(
            command, env=self.env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout


@pytest.fixture(scope="module")
def place(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with (
        seaweed(folder / "seaweed") as s3,
        postgres() as url,
        port_before(folder_of(url) / ".s.PGSQL.5432") as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        user = make_url(url).username
        database = f"postgresql+psycopg2://{user}@127.0.0.1:{port}/postgres"
        reached = {
            **s3.env,
            "LAKELOOM_LAKE": f"s3://{BUCKET}",
            "LAKELOOM_CATALOG": database,
            "LAKELOOM_TRACKING": "http://127.0.0.1:9",
            "LAKELOOM_STEPS": "kubernetes",
            "LAKELOOM_LOGS_BUCKET": BUCKET,
            "DAGSTER_POSTGRES_URL": database,
            "LAKELOOM_NAMESPACE": "search",
            "LAKELOOM_IMAGE": image,
        }
        with jobs_on_podman(folder, reached) as jobs:
            home = folder / "home"
            home.mkdir()
            (home / "dagster.yaml").write_text(yaml.safe_dump(instance_file(folder)))
            env = {
                **{name: os.environ[name] for name in ("PATH", "HOME")},
                **reached,
                "DAGSTER_HOME": str(home),
                "LAKELOOM_HOME": str(folder / "lakeloom"),
            }
            for name, value in env.items():
                patch.setenv(name, value)
            with dg.DagsterInstance.from_config(str(home)) as instance:
                log = folder / "daemon.log"
                place = Place(jobs, instance, env, log)
                for sensor in STARTERS:
                    place.silence(sensor)
                with daemon(place):
                    yield place


@contextmanager
def daemon(place: Place) -> Iterator[None]:
    """Dagster's daemon, from the moment it looks for runs that failed."""
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", LOCATION]

    def ready() -> bool:
        return "EVENT_LOG_CONSUMER" in place.instance.get_daemon_heartbeats()

    with running(command, place.daemon, ready, place.env, patience_seconds=180):
        yield


def instance_file(folder: Path) -> dict[str, Any]:
    """deploy/kubernetes/dagster.yaml, but for how the API server is found."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/dagster.yaml").read_text())
    found["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(folder / "kubeconfig"),
    }
    return found


@dataclass
class Recovery:
    """A run of which a step's container was killed, and the run that made up for it."""

    texts: Path
    killed: dg.DagsterRun
    again: dg.DagsterRun


@pytest.fixture(scope="module")
def recovery(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Recovery:
    texts = tmp_path_factory.mktemp("texts")
    for number in range(3):
        text = f"Travel of kind {number} must be approved.\n\nHotels are booked by the office.\n"
        (texts / f"travel-{number}.txt").write_text(text)
    place.lakeloom("ingest", str(texts), "--corpus", "house")
    run = place.materialize(STEPS, HOUSE)
    place.jobs.kill(place.job_of("chunks"))
    again = place.ended(place.follower(run))
    return Recovery(texts, place.ended(run), again)


def test_the_daemon_makes_up_for_a_killed_container_unasked(
    place: Place, recovery: Recovery
) -> None:
    killed, again = recovery.killed, recovery.again
    assert killed.status == dg.DagsterRunStatus.FAILURE
    assert again.status == dg.DagsterRunStatus.SUCCESS, place.logs()
    assert killed.tags["dagster/will_retry"] == "true"
    assert killed.tags["dagster/auto_retry_run_id"] == again.run_id
    assert again.tags["dagster/retry_number"] == "1"
    assert again.parent_run_id == again.root_run_id == killed.run_id
    assert again.tags["dagster/partition"] == "house"


def test_finished_steps_are_not_repeated(place: Place, recovery: Recovery) -> None:
    first = place.steps_of(recovery.killed.run_id)
    second = place.steps_of(recovery.again.run_id)
    assert {None, "raw_objects", "documents", "chunks"} <= set(first)
    assert len(first) == len(set(first))
    assert {None, "chunks"} <= set(second)
    assert not {"raw_objects", "documents"} & set(second)
    status = json.loads(place.lakeloom("status", "--json"))["corpora"]["house"]
    assert (status["documents"], status["rejected"]) == (3, 0)
    assert status["chunks"] >= 3


def test_an_edit_costs_one_document(place: Place, recovery: Recovery) -> None:
    """What a container notes in the lake of settled slices, the next run's containers read."""
    from obstore.store import S3Store

    lake = S3Store(BUCKET, client_options={"allow_http": True})
    noted = [each["path"] for page in lake.list("_lakeloom/settled/") for each in page]
    assert f"_lakeloom/settled/documents/house.{FORM}.json" in noted
    (recovery.texts / "travel-1.txt").write_text("Trains are preferred to aeroplanes.\n")
    place.lakeloom("ingest", str(recovery.texts), "--corpus", "house")
    run = place.succeeded(STEPS, HOUSE)
    assert place.work_of(run, "documents")["parsed"] == 1
    unchanged = place.succeeded(STEPS, HOUSE)
    assert place.work_of(unchanged, "documents")["parsed"] == 0


@pytest.mark.usefixtures("recovery")
def test_vectors_are_made_in_containers(place: Place) -> None:
    """The pretrained encoder and its vectors; an index needs a server of Qdrant's."""
    place.succeeded(["checkpoints"], {"dagster/partition": "minilm"})
    both = {"dagster/partition/corpus": "house", "dagster/partition/encoder": "minilm"}
    run = place.succeeded(["embeddings"], {"dagster/partition": "house|minilm", **both})
    assert {None, "embeddings"} <= set(place.steps_of(run))
    assert place.work_of(run, "embeddings")["embedded"] >= 3


def test_a_container_refuses_a_store_on_its_own_disk(place: Place) -> None:
    place.jobs.environment = {
        name: value for name, value in place.jobs.environment.items() if name != "LAKELOOM_CATALOG"
    }
    run = place.materialize(STEPS, {**HOUSE, "dagster/max_retries": "0"})
    failed = place.ended(run)
    assert failed.status == dg.DagsterRunStatus.FAILURE
    assert failed.tags["dagster/will_retry"] == "false"
    said = " ".join(
        str(record.user_message) + str(record.dagster_event)
        for record in place.instance.all_logs(run)
    )
    assert "set LAKELOOM_CATALOG to one of" in said
