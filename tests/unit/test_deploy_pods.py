"""The pod of every asset, as dagster-k8s renders it from the instance file and the op's tags."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job, get_user_defined_k8s_config
from kubernetes.client import ApiClient

from platform_assets.definitions import defs

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "registry.internal/lakeloom:1"
ASSETS = {
    asset.op.name: asset
    for asset in defs.resolve_asset_graph().assets_defs
    if asset.is_executable and asset.keys
}
IN_POD = {
    "KUBERNETES_SERVICE_HOST": "127.0.0.1",
    "KUBERNETES_SERVICE_PORT": "1",
    "LAKELOOM_NAMESPACE": "search",
    "LAKELOOM_IMAGE": IMAGE,
}
ON_GPU = {"checkpoints", "language_models"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """For each asset the job that would reach the API server."""
    home = tmp_path_factory.mktemp("home")
    whole = yaml.safe_load((ROOT / "deploy/kubernetes/dagster.yaml").read_text())
    launcher = {"run_launcher": whole["run_launcher"]}  # storage and logs are on servers
    (home / "dagster.yaml").write_text(yaml.safe_dump(launcher))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in IN_POD.items():
            patch.setenv(name, value)
        for constant in ("SERVICE_TOKEN_FILENAME", "SERVICE_CERT_FILENAME"):
            (home / constant).write_text("x")
            patch.setattr(f"kubernetes.config.incluster_config.{constant}", str(home / constant))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            return {name: job_of(instance, asset) for name, asset in ASSETS.items()}


def job_of(instance: dg.DagsterInstance, asset: dg.AssetsDefinition) -> dict[str, Any]:
    launcher: Any = instance.run_launcher
    of_run = launcher.get_container_context_for_run(dg.DagsterRun("run"))
    tags = get_user_defined_k8s_config(asset.op.tags)
    context = of_run.merge(K8sContainerContext(run_k8s_config=tags))
    config = context.get_k8s_job_config(launcher.job_image, launcher)
    job = construct_dagster_k8s_job(config, ["dagster"], "run", context.run_k8s_config)
    rendered: dict[str, Any] = ApiClient().sanitize_for_serialization(job)
    return rendered


@pytest.mark.parametrize("name", sorted(ASSETS))
def test_pod_of(jobs: dict[str, Any], name: str) -> None:
    job = jobs[name]
    kubernetes_validate.validate(job, "1.33", strict=True)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert pod["serviceAccountName"] == "lakeloom"
    assert {"configMapRef": {"name": "lakeloom-settings"}} in container["envFrom"]
    assert {"secretRef": {"name": "lakeloom-runner"}} in container["envFrom"]
    written = [each for each in container["env"] if "value" in each]
    assert not [each for each in written if "KEY" in each["name"] or "PASS" in each["name"]]
    asked = container["resources"]
    assert {"memory"} <= asked["requests"].keys() & asked["limits"].keys()
    assert ("nvidia.com/gpu" in asked["limits"]) is (name in ON_GPU)
    assert (ASSETS[name].op.pool == "gpu") is (name in ON_GPU)
    assert bool(pod.get("tolerations")) is (name in ON_GPU)
    places = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    shared = {"shm": "/dev/shm"} if name in ON_GPU else {}
    assert places == {"tmp": "/tmp", "home": "/var/lib/lakeloom"} | shared
    assert {each["name"] for each in pod["volumes"]} == set(places)


@pytest.mark.parametrize("name", sorted(ASSETS))
def test_pod_is_nobodys(jobs: dict[str, Any], name: str) -> None:
    pod = jobs[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_asset_is_looked_at() -> None:
    graph = defs.resolve_asset_graph()
    assert {
        key for asset in ASSETS.values() for key in asset.keys
    } == graph.materializable_asset_keys
    assert set(ASSETS) > ON_GPU
    for name in ON_GPU:
        assert json.loads(ASSETS[name].op.tags["dagster-k8s/config"])
