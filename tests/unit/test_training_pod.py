"""The pod of the engine kubernetes://, rendered by dagster-k8s and validated without a cluster."""

from pathlib import Path
from typing import Any

import pytest
from dagster_k8s.pipes import build_pod_body
from kubernetes.client import ApiClient

from platform_assets.checkpoints.pods import training_tags
from resources.object_store.folder import FolderObjectStore
from resources.settings import UsageError
from resources.training import Resources, TrainingJob
from resources.training.kubernetes import KubernetesTrainer, PodOptions
from resources.training.staging import Staging, elsewhere

IMAGE = "registry.internal/lakeloom:1"
ASKED = Resources(gpus=2, cpu=8, memory="32Gi")


def trainer(url: str = f"kubernetes://search?image={IMAGE}", lake: str = "s3://lake") -> Any:
    def no_lake() -> Any:
        raise AssertionError

    return KubernetesTrainer(PodOptions.of(url), lake, no_lake)


def rendered(spec: dict[str, Any]) -> dict[str, Any]:
    """The pod as it would reach the API server."""
    pod = build_pod_body("training", None, None, {"LAKELOOM_LAKE": "s3://lake"}, None, spec)
    found: dict[str, Any] = ApiClient().sanitize_for_serialization(pod)
    return {"apiVersion": "v1", "kind": "Pod", **found}


@pytest.mark.parametrize("asked", [ASKED, Resources()])
def test_pod_is_valid(asked: Resources) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(rendered(trainer().pod_spec(asked, "x")), "1.33", strict=True)


def test_pod_asks_for_what_the_recipe_asks_for() -> None:
    spec = rendered(trainer().pod_spec(ASKED, "f00"))["spec"]
    (container,) = spec["containers"]
    assert container["image"] == IMAGE
    assert container["resources"] == {
        "requests": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "32Gi", "nvidia.com/gpu": "2"},
    }
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert spec["restartPolicy"] == "Never"
    command = " ".join(container["command"])
    assert command.startswith("python -m resources.training.pod f00 python -m torch.distributed")
    assert "--nproc-per-node 2" in command


def test_secrets_come_by_reference() -> None:
    (container,) = rendered(trainer().pod_spec(ASKED, "x"))["spec"]["containers"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "lakeloom-settings"}},
        {"secretRef": {"name": "lakeloom-credentials"}},
    ]
    assert container["env"] == [{"name": "LAKELOOM_LAKE", "value": "s3://lake"}]


def test_pod_without_gpu_runs_the_worker_alone() -> None:
    spec = rendered(trainer().pod_spec(Resources(), "x"))["spec"]
    (container,) = spec["containers"]
    assert spec["tolerations"] == []
    assert container["command"][-3:] == ["python", "-m", "resources.training.worker"]


def test_what_a_pod_cannot_do_without_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="set LAKELOOM_LAKE to s3://"):
        trainer(lake="file:///lake").pod_spec(ASKED, "x")
    monkeypatch.delenv("LAKELOOM_IMAGE", raising=False)
    with pytest.raises(UsageError, match="set LAKELOOM_IMAGE"):
        trainer("kubernetes://search").pod_spec(ASKED, "x")
    monkeypatch.setenv("LAKELOOM_IMAGE", IMAGE)
    spec = trainer("kubernetes://search").pod_spec(ASKED, "x")
    assert spec["containers"][0]["image"] == IMAGE


def test_files_pass_through_the_lake_and_leave_it(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "base" / "1_Pooling").mkdir(parents=True)
    (here / "base" / "1_Pooling" / "config.json").write_text("{}")
    (here / "pairs").write_text("pairs")
    job = TrainingJob(here / "base", here / "pairs", here / "out", here / "state", {})
    lake = FolderObjectStore(f"file://{tmp_path}/lake")
    staging, pod = Staging(lake, "x"), elsewhere(job, there)
    staging.hand_over(job)

    staging.receive(pod)
    assert (pod.base_model / "1_Pooling" / "config.json").read_text() == "{}"
    assert pod.pairs.read_text() == "pairs"
    pod.output.mkdir()
    (pod.output / "model.safetensors").write_text("weights")
    staging.hand_back(pod)

    staging.take(job)
    staging.take(job)  # again, as after a crash
    assert (job.output / "model.safetensors").read_text() == "weights"
    staging.clear()
    assert list(lake.objects()) == []


@pytest.mark.parametrize(
    ("engine", "gpu"),
    [
        ("", True),
        ("accelerate://?processes=2", True),
        ("ray://?workers=2", True),
        ("ray://head:6379?workers=2", False),
        ("spark://master:7077", False),
        ("kubernetes://search", False),
    ],
)
def test_a_run_that_waits_for_another_machine_asks_for_no_gpu(engine: str, gpu: bool) -> None:
    config = training_tags(engine)["dagster-k8s/config"]
    assert ("nvidia.com/gpu" in config["container_config"]["resources"]["limits"]) is gpu
    assert ("pod_spec_config" in config) is gpu
