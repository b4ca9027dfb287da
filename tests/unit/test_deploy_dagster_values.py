"""The values for Dagster's chart: they say of runs what dagster.yaml says, which Dagster validates.

The chart itself is on no registry: `make deploy-check CHART=folder` renders a copy of it, strictly
and offline, with the schemas of Kubernetes that kubernetes-validate carries.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HELM = ROOT / "build/helm"
VALUES = ROOT / "deploy/kubernetes/dagster-values.yaml"
CHART = os.environ.get("LAKELOOM_DAGSTER_CHART", "")
with_chart = pytest.mark.skipif(not CHART, reason="`make deploy-check CHART=folder`")


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    return found


@pytest.fixture(scope="module")
def instance() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/dagster.yaml").read_text())
    return found


def snake(value: Any) -> Any:
    """The same with keys as Dagster writes them."""
    if isinstance(value, dict):
        named = ((re.sub("([A-Z])", r"_\1", key).lower(), each) for key, each in value.items())
        return {key: snake(each) for key, each in named}
    return [snake(each) for each in value] if isinstance(value, list) else value


def agree(one: Any, other: Any) -> bool:
    """Whether two settings are equal wherever both speak."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(agree(one[key], other[key]) for key in one.keys() & other.keys())
    return bool(one == other)


def test_the_instance_is_the_one_without_the_chart(
    values: dict[str, Any], instance: dict[str, Any]
) -> None:
    said, written = snake(values), snake(instance)
    assert said["dagster_daemon"]["run_retries"] == written["run_retries"]
    assert agree(said["dagster_daemon"]["run_monitoring"], written["run_monitoring"])
    assert agree(said["concurrency"], written["concurrency"])
    assert said["concurrency"]["enabled"]
    assert agree(said["retention"], written.get("retention", {}))
    logs = said["compute_log_manager"]["config"]["s3_compute_log_manager"]
    assert agree(logs, written.get("compute_logs", {}).get("config", {}))
    assert said["telemetry"] == written["telemetry"] == {"enabled": False}


def test_runs_get_the_same_pod_as_without_the_chart(
    values: dict[str, Any], instance: dict[str, Any]
) -> None:
    launcher, config = values["runLauncher"], instance["run_launcher"]["config"]
    assert launcher["type"] == instance["run_launcher"]["class"] == "K8sRunLauncher"
    said = snake(launcher["config"]["k8sRunLauncher"])
    assert said.pop("load_incluster_config")
    for sources in ("env_config_maps", "env_secrets"):
        said[sources] = [each["name"] for each in said[sources]]
    assert said == snake({key: config[key] for key in said})
    assert values["global"]["serviceAccountName"] == config["service_account_name"]


def test_nothing_that_serves_is_root_or_unbounded(values: dict[str, Any]) -> None:
    (code,) = values["dagster-user-deployments"]["deployments"]
    for part in (values["dagsterWebserver"], values["dagsterDaemon"], code):
        assert part["podSecurityContext"]["runAsNonRoot"]
        assert part["securityContext"]["readOnlyRootFilesystem"]
        assert part["resources"]["requests"].keys() == {"cpu", "memory"}
        assert part["livenessProbe"]
        assert part["image"] == values["dagsterWebserver"]["image"]


def test_no_secret_is_written(values: dict[str, Any]) -> None:
    assert not re.search(r"(?i)(password|secret_?key|token): *\S", VALUES.read_text())
    assert not values["generatePostgresqlPasswordSecret"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The chart's objects. Its schema names Kubernetes' by an address, which becomes a file."""
    chart = tmp_path_factory.mktemp("chart") / "dagster"
    shutil.copytree(CHART, chart)
    carried = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema/v1.33.0-local"
    definitions = json.loads((carried / "_definitions.json").read_text())
    definitions.pop("$id")
    (chart / "_definitions.json").write_text(json.dumps(definitions))
    for schema in chart.rglob("values.schema.json"):
        local = f"file://{chart}/_definitions.json#/$defs/"
        address = r"https://[^\"#]*/_definitions\.json#/definitions/"
        schema.write_text(re.sub(address, local, schema.read_text()))
    told = subprocess.run(
        [HELM, "template", "dagster", chart, "--namespace", "search", "--values", VALUES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return [found for found in yaml.safe_load_all(told.stdout) if found]


@with_chart
def test_chart_renders_valid_objects(rendered: list[dict[str, Any]]) -> None:
    known = [each for each in rendered if "." not in each["apiVersion"].split("/")[0]]
    assert {"Deployment", "Service", "ConfigMap"} <= {each["kind"] for each in known}
    for each in known:
        kubernetes_validate.validate(each, "1.33", strict=True)


@with_chart
def test_chart_keeps_every_container_nobodys(rendered: list[dict[str, Any]]) -> None:
    for each in rendered:
        if each["kind"] == "Deployment":
            pod = each["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            for container in pod["containers"] + pod.get("initContainers", []):
                assert container["securityContext"]["readOnlyRootFilesystem"], container["name"]
                assert container["resources"]["limits"]["memory"], container["name"]


@with_chart
def test_chart_fits_the_stack(rendered: list[dict[str, Any]]) -> None:
    """The stack's policies and its proxy know Dagster's pods and service by these names."""
    services = {each["metadata"]["name"] for each in rendered if each["kind"] == "Service"}
    assert {"dagster-dagster-webserver", "lakeloom"} <= services
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in rendered
        if each["kind"] == "Deployment"
    ]
    names = {each["app.kubernetes.io/name"] for each in labels}
    assert names == {"dagster", "dagster-user-deployments"}
    assert "dagster-webserver" in {each["component"] for each in labels}
    written = [each["metadata"]["name"] for each in rendered if each["kind"] == "ConfigMap"]
    assert "dagster-instance" in written, "the exporter mounts it"


@with_chart
def test_dagster_takes_the_instance_that_the_chart_writes(
    rendered: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster._core.instance.config import dagster_instance_config

    written = next(each for each in rendered if each["metadata"]["name"] == "dagster-instance")
    (tmp_path / "dagster.yaml").write_text(written["data"]["dagster.yaml"])
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "x")
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["run_launcher"]["class"] == "K8sRunLauncher"
