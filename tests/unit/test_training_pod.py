"""The pod of the engine kubernetes://, rendered by dagster-k8s and validated without a cluster."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_k8s.pipes import build_pod_body
from kubernetes.client import ApiClient

from platform_assets.checkpoints.assets import checkpoints
from platform_assets.language_models.assets import language_models
from platform_assets.pods import TRAINING_TAGS, training_tags
from resources.object_store.folder import FolderObjectStore
from resources.settings import UsageError
from resources.training import Resources, TrainingJob
from resources.training.folders import StateFolder, last_state
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
    kubernetes_validate.validate(
        rendered(trainer().pod_spec(asked, "tuned", "x")), "1.33", strict=True
    )


def test_pod_asks_for_what_the_recipe_asks_for() -> None:
    spec = rendered(trainer().pod_spec(ASKED, "tuned", "f00"))["spec"]
    (container,) = spec["containers"]
    assert container["image"] == IMAGE
    assert container["resources"] == {
        "requests": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "32Gi", "nvidia.com/gpu": "2"},
    }
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert spec["restartPolicy"] == "Never"
    command = " ".join(container["command"])
    assert command.startswith("python -m resources.training.pod tuned f00 python -m torch.")
    assert "--nproc-per-node 2" in command


def test_secrets_come_by_reference() -> None:
    (container,) = rendered(trainer().pod_spec(ASKED, "tuned", "x"))["spec"]["containers"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "lakeloom-settings"}},
        {"secretRef": {"name": "lakeloom-runner"}},
    ]
    assert container["env"] == [{"name": "LAKELOOM_LAKE", "value": "s3://lake"}]


def test_pod_without_gpu_runs_the_worker_alone() -> None:
    spec = rendered(trainer().pod_spec(Resources(), "tuned", "x"))["spec"]
    (container,) = spec["containers"]
    assert spec["tolerations"] == []
    assert container["command"][-3:] == ["python", "-m", "resources.training.worker"]


def test_what_a_pod_cannot_do_without_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="set LAKELOOM_LAKE to s3://"):
        trainer(lake="file:///lake").pod_spec(ASKED, "tuned", "x")
    monkeypatch.delenv("LAKELOOM_IMAGE", raising=False)
    with pytest.raises(UsageError, match="set LAKELOOM_IMAGE"):
        trainer("kubernetes://search").pod_spec(ASKED, "tuned", "x")
    monkeypatch.setenv("LAKELOOM_IMAGE", IMAGE)
    spec = trainer("kubernetes://search").pod_spec(ASKED, "tuned", "x")
    assert spec["containers"][0]["image"] == IMAGE


def test_files_pass_through_the_lake_and_leave_it(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "base" / "1_Pooling").mkdir(parents=True)
    (here / "base" / "1_Pooling" / "config.json").write_text("{}")
    (here / "pairs").write_text("pairs")
    job = TrainingJob(here / "base", here / "pairs", here / "out", here / "state", {})
    lake = FolderObjectStore(f"file://{tmp_path}/lake")
    staging, pod = Staging(lake, "tuned", "x"), elsewhere(job, there)
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
    other = Staging(lake, "tuned", "xy")
    other.hand_over(job)
    staging.clear()
    assert {found.key.split("/")[3] for found in lake.objects()} == {"xy"}
    other.clear()
    assert list(lake.objects()) == []


def save(job: TrainingJob, step: int) -> None:
    state = StateFolder(job.state, "f")
    state.partial(step).mkdir(parents=True)
    (state.partial(step) / "model.safetensors").write_text(f"after {step}")
    state.publish(step)


def test_a_later_launch_takes_over_the_last_state_and_nothing_else(tmp_path: Path) -> None:
    here, lake = tmp_path / "here", FolderObjectStore(f"file://{tmp_path}/lake")
    (here / "base").mkdir(parents=True)
    (here / "base" / "config.json").write_text("{}")
    (here / "pairs").write_text("pairs")
    job = TrainingJob(here / "base", here / "pairs", here / "out", here / "state", {})
    first, pod = Staging(lake, "tuned", "1"), elsewhere(job, tmp_path / "first")
    first.hand_over(job)
    first.receive(pod)
    first.keep(pod)
    assert not first.has_state()
    save(pod, 2)
    first.keep(pod)
    save(pod, 4)
    first.keep(pod)

    second, pod = Staging(lake, "tuned", "2"), elsewhere(job, tmp_path / "second")
    second.inherit()
    assert [found.key for found in lake.objects()] == ["_lakeloom/staging/tuned/2/state.tar"]
    second.hand_over(job)
    second.receive(pod)
    last = StateFolder(pod.state, "f").last()
    assert last is not None
    assert (last.name, (last / "model.safetensors").read_text()) == ("step-000000004", "after 4")


def test_a_state_that_goes_while_it_is_read_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = FolderObjectStore(f"file://{tmp_path}/lake")
    job = TrainingJob(tmp_path, tmp_path, tmp_path, tmp_path / "state", {})
    staging = Staging(lake, "tuned", "1")
    lake.put("_lakeloom/staging/tuned/1/pairs.parquet", b"")
    save(job, 2)
    state = last_state(job.state)
    add = tarfile.TarFile.add

    def overtaken(self: tarfile.TarFile, *told: Any, **options: Any) -> None:
        add(self, *told, **options)
        if last_state(job.state) == state:
            save(job, 4)

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "add", overtaken)
        staging.keep(job)
    assert not staging.has_state()
    staging.keep(job)
    assert staging.has_state()
    staging.clear()  # by a run that gave the training up, before its pod
    save(job, 6)
    staging.keep(job)
    assert not staging.has_state()


def test_a_pod_ends_by_itself() -> None:
    spec = rendered(trainer().pod_spec(ASKED, "tuned", "x"))["spec"]
    assert spec["activeDeadlineSeconds"] == 24 * 60 * 60
    url = f"kubernetes://search?image={IMAGE}&deadline_seconds=60"
    assert trainer(url).pod_spec(ASKED, "tuned", "x")["active_deadline_seconds"] == 60


def test_labels_tell_the_trainings_of_one_lake_from_others() -> None:
    names = ("checkpoints/" + "long-" * 12 + "name", "language_models/x")
    found = [
        trainer(lake=lake).labels(name) for name in names for lake in ("s3://one", "s3://other")
    ]
    assert len({each["lakeloom/training"] for each in found}) == 4
    assert trainer(lake="s3://one").labels(names[0]) == found[0]
    assert all(len(value) <= 63 for each in found for value in each.values())


@pytest.mark.parametrize(
    ("engine", "gpus"),
    [
        ("", "1"),
        ("accelerate://", "1"),
        ("accelerate://?processes=2", "2"),
        ("deepspeed://?stage=2&processes=4", "4"),
        ("accelerate://?processes=many", "1"),
        ("ray://?workers=2", "1"),
        ("ray://head:6379?workers=2", None),
        ("spark://master:7077", None),
        ("kubernetes://search", None),
    ],
)
def test_a_run_asks_for_a_gpu_a_process_unless_it_waits_for_another_machine(
    engine: str, gpus: str | None
) -> None:
    config = training_tags(engine)["dagster-k8s/config"]
    assert config["container_config"]["resources"]["limits"].get("nvidia.com/gpu") == gpus
    assert ("pod_spec_config" in config) is (gpus is not None)


@pytest.mark.parametrize(
    ("encoding", "asked"), [("openvino://", False), ("torch://", False), ("torch://?gpus=1", True)]
)
def test_embedding_asks_for_a_gpu_and_its_pool_where_it_is_told_to(
    encoding: str, asked: bool
) -> None:
    code = (
        "import json; from platform_assets.embeddings.assets import embeddings;"
        "print(json.dumps([embeddings.op.pool, embeddings.op.tags.get('dagster-k8s/config')]))"
    )
    env = {**os.environ, "LAKELOOM_ENCODING": encoding}
    said = subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
    )
    pool, config = json.loads(said.stdout)
    assert pool == ("gpu" if asked else None)
    assert ("nvidia.com/gpu" in (config or "")) is asked


@pytest.mark.parametrize("asset", [checkpoints, language_models])
def test_what_trains_asks_for_a_gpu_and_waits_in_its_pool(asset: dg.AssetsDefinition) -> None:
    asked = json.loads(asset.op.tags["dagster-k8s/config"])
    assert asked == TRAINING_TAGS["dagster-k8s/config"]
    assert asset.op.pool == "gpu"
