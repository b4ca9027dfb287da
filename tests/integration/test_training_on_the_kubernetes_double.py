"""The engine kubernetes:// by dagster-k8s's own client, on a protocol double of the API.

The lake is a real S3 server; what runs as the pod has nothing but it and its environment.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from dagster_k8s.client import DagsterK8sError
from pydantic import TypeAdapter

from resources import registry
from resources.settings import Settings
from resources.training import TrainingJob, launch
from tests.integration.test_training_engines import ENDLESS, make_job, materialize
from tests.servers.kubernetes_double import Cluster, inherited, kubernetes_double
from tests.servers.seaweed import BUCKET, Seaweed
from tests.trainings import STEPS

pytestmark = pytest.mark.slow

FOLDER = "resources.training.kubernetes._FOLDER"
"""Where a pod has its volume; the double's pods share this machine with other tests."""
KILLED = f"""
import sys
from pathlib import Path
from pytest import MonkeyPatch

MonkeyPatch().setattr("{FOLDER}", Path(sys.argv[3]))
{ENDLESS}
"""
ENGINE = "kubernetes://search?image=registry.internal/lakeloom:1&deadline_seconds=600"


@pytest.fixture
def cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seaweed_server: Seaweed
) -> Iterator[Cluster]:
    """A double whose pods get the credentials of the lake, as from the secret they refer to."""
    for name, value in seaweed_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAKELOOM_LAKE", f"s3://{BUCKET}/{uuid4().hex}")
    location = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"  # of KUBECONFIG
    monkeypatch.setattr(location, str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(FOLDER, tmp_path / "pod")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with kubernetes_double(tmp_path, {**inherited(), **seaweed_server.env}) as found:
        yield found


def test_a_pod_trains_and_the_checkpoint_comes_back_through_the_lake(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = make_job(tmp_path, steps=2)
    heard: list[tuple[int, float]] = []
    result = materialize(ENGINE, job, heard.extend)
    assert tuple(heard) == result.losses
    assert (result.steps, result.world_size) == (2, 1)
    assert (job.output / "model.safetensors").is_file()
    (pod,) = cluster.asked
    assert pod["spec"]["containers"][0]["image"] == "registry.internal/lakeloom:1"
    assert cluster.pods == {}
    assert list(registry.connect_lake(Settings.from_env()).objects("_lakeloom/staging")) == []


def test_a_failed_pod_fails_the_run_and_leaves_nothing_in_the_lake(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = make_job(tmp_path, batch_siz=3)
    with pytest.raises(DagsterK8sError, match="batch_siz"):
        materialize(ENGINE, job)
    assert not job.output.exists()
    assert cluster.pods == {}
    assert list(registry.connect_lake(Settings.from_env()).objects("_lakeloom/staging")) == []


def test_what_a_killed_run_left_goes_with_the_next_launch(cluster: Cluster, tmp_path: Path) -> None:
    lake = registry.connect_lake(Settings.from_env())
    lake.put("_lakeloom/staging/training-of-others/x/pairs.parquet", b"theirs")
    job = make_job(tmp_path, steps=10**6)
    message = TypeAdapter(TrainingJob).dump_json(job).decode()
    kubeconfig = {"KUBECONFIG": str(tmp_path / "kubeconfig")}
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, ENGINE, message, str(tmp_path / "left")],
        env=os.environ | kubeconfig,
    )
    while not cluster.pods:
        time.sleep(0.2)
    run.kill()
    assert run.wait() == -9
    ((name, left),) = cluster.pods.items()
    assert left.process.poll() is None, "a pod outlives its run"
    assert left.body["spec"]["activeDeadlineSeconds"] == 600
    staged = [found.key for found in lake.objects("_lakeloom/staging/training/")]
    assert any(key.endswith("/pairs.parquet") for key in staged)

    materialize(ENGINE, replace(job, hyperparameters={**job.hyperparameters, "steps": 2}))
    assert left.process.poll() == -9
    assert name not in cluster.pods
    commands = [pod["spec"]["containers"][0]["command"] for pod in cluster.asked]
    assert len({command[4] for command in commands}) == 2, "each launch has a prefix of its own"
    (kept,) = lake.objects("_lakeloom/staging")
    assert kept.key.endswith("of-others/x/pairs.parquet")


def test_a_lost_pods_training_goes_on_from_its_last_state_in_the_lake(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = registry.connect_lake(Settings.from_env())
    job = make_job(tmp_path, save_steps=1)

    def lose() -> None:
        """Kill the pod once a state of it is in the lake."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            staged = lake.objects("_lakeloom/staging/training/")
            if any(found.key.endswith("/state.tar") for found in staged):
                (pod,) = cluster.pods.values()
                pod.process.kill()
                return
            time.sleep(0.1)

    losing = threading.Thread(target=lose, daemon=True)
    losing.start()
    with monkeypatch.context() as patch:
        patch.setattr(launch, "WORKER", "tests.faults.halted_worker")
        with pytest.raises(DagsterK8sError):
            materialize(ENGINE, job)
    losing.join()
    shutil.rmtree(tmp_path / "pod")  # another pod has another volume
    heard: list[tuple[int, float]] = []
    resumed = materialize(ENGINE, job, heard.extend)
    assert 0 < resumed.steps < STEPS
    assert tuple(heard) == resumed.losses
    assert list(lake.objects("_lakeloom/staging")) == []

    whole = replace(job, output=tmp_path / "whole", state=tmp_path / "whole-state")
    undisturbed = materialize("accelerate://", whole)
    assert undisturbed.losses == resumed.losses
    assert (job.output / "model.safetensors").read_bytes() == (
        whole.output / "model.safetensors"
    ).read_bytes()
