"""Steps that train, by dagster-k8s's own executor: the job of each, and that they take turns.

Runs are real; the API server is a double that notes jobs and starts none (jobs_on_paper.py).
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import kubernetes_validate
import pytest
import yaml

from tests.servers.jobs_on_paper import JobsOnPaper, jobs_on_paper

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "registry.internal/lakeloom:1"
GPUS = 2
_T = TypeVar("_T")


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsOnPaper]:
    """A deployment as deploy/kubernetes has it, but for its history, which is in a folder."""
    whole = yaml.safe_load((ROOT / "deploy/kubernetes/dagster.yaml").read_text())
    found = {name: whole[name] for name in ("telemetry", "run_launcher", "concurrency")}
    kubeconfig = str(tmp_path / "kubeconfig")
    found["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": kubeconfig,
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(found))
    settings = {
        "DAGSTER_HOME": str(tmp_path),
        "LAKELOOM_HOME": str(tmp_path / "lakeloom"),
        "LAKELOOM_IMAGE": IMAGE,
        "LAKELOOM_NAMESPACE": "search",
        "LAKELOOM_STEPS": "kubernetes",
        "LAKELOOM_TRAINER": f"accelerate://?processes={GPUS}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with jobs_on_paper(tmp_path) as double:
        yield double


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a run that makes an encoder's checkpoint."""
    runs: list[subprocess.Popen[bytes]] = []

    def begin(encoder: str) -> subprocess.Popen[bytes]:
        program = str(Path(sys.executable).with_name("dagster"))
        what = ("-m", "platform_assets.definitions", "--select", "checkpoints")
        with (tmp_path / f"{encoder}.log").open("wb") as log:
            command = [program, "asset", "materialize", *what, "--partition", encoder]
            run = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=log, stderr=log)
        runs.append(run)
        return run

    yield begin
    for run in runs:
        run.kill()
        run.wait()


def once(look: Callable[[], _T], folder: Path) -> _T:
    """What is there as soon as something is."""
    for _ in range(1200):
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("\n".join(log.read_text()[-3000:] for log in folder.glob("*.log")))


def test_a_training_step_asks_for_its_gpus_and_the_next_one_waits_for_the_pool(
    jobs: JobsOnPaper, start: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    first = start("minilm")
    [(name, body)] = once(lambda: list(jobs.asked.items()), tmp_path)
    check(body)

    second = start("minilm-tuned")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        once(lambda: waits(instance), tmp_path)
        assert list(jobs.asked) == [name]
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 1

        jobs.fail(name)
        assert first.wait() == 1
        (later,) = once(lambda: [other for other in jobs.asked if other != name], tmp_path)
        check(jobs.asked[later])
        jobs.fail(later)
        assert second.wait() == 1
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE}
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0


def check(body: dict[str, Any]) -> None:
    """The job of a training step."""
    kubernetes_validate.validate(body, "1.33", strict=True)
    assert body["metadata"]["labels"]["dagster/op"] == "checkpoints"
    pod = body["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["args"][:3] == ["dagster", "api", "execute_step"]
    assert container["resources"]["limits"] == {"memory": "16Gi", "nvidia.com/gpu": str(GPUS)}
    assert container["resources"]["requests"] == {"cpu": "4", "memory": "16Gi"}
    assert {"key": "nvidia.com/gpu", "operator": "Exists"} in pod["tolerations"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert {"configMapRef": {"name": "lakeloom-settings"}} in container["envFrom"]
    assert {"secretRef": {"name": "lakeloom-runner"}} in container["envFrom"]
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert told["DAGSTER_RUN_STEP_KEY"] == "checkpoints"
    assert pod["serviceAccountName"] == "lakeloom"


def waits(instance: dg.DagsterInstance) -> list[str]:
    """What runs say of a pool that is full."""
    entries = [entry for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    return [entry.message for entry in entries if "blocked" in entry.message]
