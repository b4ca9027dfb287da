"""Dagster's instance files: each loads with the classes it names, on a real PostgreSQL."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from platform_assets.checkpoints.assets import checkpoints
from platform_assets.language_models.assets import language_models

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "platform_assets/dagster.yaml",
    "deploy/aws/dagster.yaml",
    "deploy/kubernetes/dagster.yaml",
)
Open = Callable[[str], Any]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens the instance that a file of the repository describes, in a folder of its own."""

    @contextmanager
    def open_it(path: str) -> Iterator[dg.DagsterInstance]:
        shutil.copyfile(ROOT / path, tmp_path / "dagster.yaml")
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            yield instance

    return open_it


@pytest.fixture
def served(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the files of several machines take from the environment."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("LAKELOOM_LOGS_BUCKET", "logs-of-ours")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


@pytest.fixture
def in_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kubernetes puts into a pod: the API server's address, a token and a certificate."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    for name, constant in (
        ("token", "SERVICE_TOKEN_FILENAME"),
        ("ca.crt", "SERVICE_CERT_FILENAME"),
    ):
        (tmp_path / name).write_text("x")
        monkeypatch.setattr(f"kubernetes.config.incluster_config.{constant}", str(tmp_path / name))
    monkeypatch.setenv("LAKELOOM_NAMESPACE", "search")
    monkeypatch.setenv("LAKELOOM_IMAGE", "registry.internal/lakeloom:1")


def test_one_machine(opened: Open) -> None:
    with opened("platform_assets/dagster.yaml") as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 2


@pytest.mark.parametrize("path", FILES)
def test_what_holds_everywhere(path: str) -> None:
    """Telemetry off, retries of what was lost, limits, and ticks that do not pile up."""
    said = yaml.safe_load((ROOT / path).read_text())
    assert said["telemetry"] == {"enabled": False}
    assert said["run_monitoring"]["enabled"]
    assert said["run_retries"]["max_retries"] == 2
    # Where a step may have a container of its own, its loss is a failed step.
    steps_are_lost = "kubernetes" in path
    assert said["run_retries"]["retry_on_asset_or_op_failure"] == steps_are_lost
    assert said["concurrency"]["pools"]["default_limit"] == 1
    assert said["concurrency"]["runs"]["max_concurrent_runs"] >= 2
    assert said["retention"]["sensor"]["purge_after_days"]["skipped"] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("served")
def test_aws_keeps_its_history_in_postgres_and_compute_logs_in_s3(opened: Open) -> None:
    from dagster._core.storage.compute_log_manager import ComputeIOType
    from dagster_aws.s3 import S3ComputeLogManager

    with opened("deploy/aws/dagster.yaml") as instance:
        assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
        logs: Any = instance.compute_log_manager
        assert logs._s3_bucket == "logs-of-ours"
        key = logs._s3_key(["run", "step"], ComputeIOType.STDOUT)
        assert key == "lakeloom/logs/storage/run/step.out"
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        limits = instance.get_concurrency_config().run_queue_config.tag_concurrency_limits
        assert [limit["key"] for limit in limits] == ["dagster/partition"]


@pytest.mark.slow
@pytest.mark.usefixtures("served", "in_cluster")
def test_kubernetes_runs_each_run_in_a_pod(opened: Open) -> None:
    from dagster_k8s import K8sRunLauncher

    with opened("deploy/kubernetes/dagster.yaml") as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, K8sRunLauncher)
        assert launcher.job_namespace == "search"
        assert launcher.job_image == "registry.internal/lakeloom:1"


@pytest.mark.slow
@pytest.mark.usefixtures("served", "in_cluster")
@pytest.mark.parametrize("asset", [checkpoints, language_models])
def test_a_training_asks_kubernetes_for_a_gpu(opened: Open, asset: dg.AssetsDefinition) -> None:
    """The pod of its step, as the executor of LAKELOOM_STEPS=kubernetes renders it."""
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job, get_user_defined_k8s_config

    with opened("deploy/kubernetes/dagster.yaml") as instance:
        launcher = instance.run_launcher
        tags = get_user_defined_k8s_config(asset.op.tags)
        of_run = launcher.get_container_context_for_run(dg.DagsterRun("train"))
        context = of_run.merge(K8sContainerContext(run_k8s_config=tags))
        config = context.get_k8s_job_config(launcher.job_image, launcher)
        job = construct_dagster_k8s_job(config, ["dagster"], "train", context.run_k8s_config)
    pod = job.to_dict()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.internal/lakeloom:1"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert [each["key"] for each in pod["tolerations"]] == ["nvidia.com/gpu"]
    assert pod["service_account_name"] == "lakeloom"
    sources = [source["secret_ref"] for source in container["env_from"] if source["secret_ref"]]
    assert [source["name"] for source in sources] == ["lakeloom-runner"]
