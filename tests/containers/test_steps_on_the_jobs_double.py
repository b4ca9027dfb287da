"""dagster-k8s's own launcher and executor: a container for the run and for each of its steps.

The API server is a double that starts real containers (jobs_on_podman.py). Nothing is shared but
what a network reaches: S3 and the catalog, Dagster's history.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from sqlalchemy import make_url

from tests.servers.forwarder import port_before
from tests.servers.jobs_on_podman import Jobs, jobs_on_podman
from tests.servers.postgres import folder_of, postgres
from tests.servers.seaweed import BUCKET, seaweed

ROOT = Path(__file__).resolve().parents[2]
STEPS = ["raw_objects", "documents", "chunks", "queries"]
LAUNCH = """mutation($selector: JobOrPipelineSelector!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: $selector, runConfigData: {}, executionMetadata: {tags: $tags}
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""
AGAIN = """mutation($run: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: FROM_FAILURE})
  { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""


@dataclass
class Place:
    """A deployment: its jobs, its history, and the environment of its code location."""

    jobs: Jobs
    instance: dg.DagsterInstance
    env: dict[str, str]

    def lakeloom(self, *arguments: str) -> str:
        return self._told("lakeloom", *arguments)

    def launch(self, mutation: str, variables: dict[str, Any]) -> str:
        """Launch a run as the UI does; its id."""
        answer = Path(self.env["DAGSTER_HOME"]) / "answer.json"
        asked = ("-t", mutation, "-v", json.dumps(variables), "-o", str(answer))
        self._told("dagster-graphql", "-m", "platform_assets.definitions", *asked)
        (found,) = json.loads(answer.read_text())["data"].values()
        assert found["__typename"] == "LaunchRunSuccess", found
        run: str = found["run"]["runId"]
        return run

    def materialize(self, corpus: str) -> str:
        selector = {
            "repositoryLocationName": "platform_assets.definitions",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [name]} for name in STEPS],
        }
        tags = [{"key": "dagster/partition", "value": corpus}]
        return self.launch(LAUNCH, {"selector": selector, "tags": tags})

    def ended(self, run: str) -> dg.DagsterRun:
        """A run, when it is over; the double's containers end as its jobs do."""
        for _ in range(900):
            found = self.instance.get_run_by_id(run)
            assert found
            if found.is_finished:
                return found
            time.sleep(1)
        raise AssertionError(self.logs())

    def job_of(self, step: str) -> str:
        """The job of a step, when its container runs."""
        for _ in range(900):
            for name, body in list(self.jobs.asked.items()):
                if body["metadata"]["labels"].get("dagster/op") == step:
                    return name
            time.sleep(0.2)
        raise AssertionError(self.logs())

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
                yield Place(jobs, instance, env)


def instance_file(folder: Path) -> dict[str, Any]:
    """deploy/kubernetes/dagster.yaml, but for how the API server is found and who launches."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/dagster.yaml").read_text())
    found["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(folder / "kubeconfig"),
    }
    for queue in ("run_queue", "concurrency"):
        found.pop(queue)
    coordinator = "DefaultRunCoordinator"
    found["run_coordinator"] = {"module": "dagster._core.run_coordinator", "class": coordinator}
    return found


def test_each_step_has_a_container_and_a_killed_one_is_made_up_for(
    place: Place, tmp_path: Path
) -> None:
    for number in range(3):
        text = f"Travel of kind {number} must be approved.\n\nHotels are booked by the office.\n"
        (tmp_path / f"travel-{number}.txt").write_text(text)
    place.lakeloom("ingest", str(tmp_path), "--corpus", "house")

    run = place.materialize("house")
    place.jobs.kill(place.job_of("chunks"))
    assert place.ended(run).status == dg.DagsterRunStatus.FAILURE
    done = {
        record.step_key
        for record in place.instance.all_logs(run)
        if record.dagster_event and record.dagster_event.is_step_success
    }
    assert {"raw_objects", "documents"} <= done
    assert "chunks" not in done

    again = place.launch(AGAIN, {"run": run})
    assert place.ended(again).status == dg.DagsterRunStatus.SUCCESS, place.logs()
    steps = [body["metadata"]["labels"].get("dagster/op") for body in place.jobs.asked.values()]
    assert steps.count("raw_objects") == steps.count("documents") == 1
    assert steps.count("chunks") == 2
    assert steps.count(None) == 2, "the runs themselves"
    status = json.loads(place.lakeloom("status", "--json"))["corpora"]["house"]
    assert (status["documents"], status["rejected"]) == (3, 0)
    assert status["chunks"] >= 3


def test_a_container_refuses_a_store_on_its_own_disk(place: Place) -> None:
    place.jobs.environment = {
        name: value for name, value in place.jobs.environment.items() if name != "LAKELOOM_CATALOG"
    }
    run = place.materialize("house")
    assert place.ended(run).status == dg.DagsterRunStatus.FAILURE
    said = " ".join(
        str(record.user_message) + str(record.dagster_event)
        for record in place.instance.all_logs(run)
    )
    assert "set LAKELOOM_CATALOG to one of" in said
