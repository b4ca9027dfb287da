"""The stack's chart, rendered by Helm itself and validated strictly: `make deploy-check`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HELM = ROOT / "build/helm"
STACK = ROOT / "deploy/kubernetes/stack"
CLUSTERS = ("1.29", "1.33", "1.37")
WITH_RAY = ("--set", "ray.enabled=true", "--set", "ray.gpusPerWorker=1")
pytestmark = pytest.mark.skipif(not HELM.exists(), reason="`make deploy-check` brings Helm")


def helm(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(each) for each in (HELM, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rendered(*options: str) -> list[dict[str, Any]]:
    told = helm("template", "stack", STACK, "--namespace", "search", *options)
    assert told.returncode == 0, told.stderr
    return [found for found in yaml.safe_load_all(told.stdout) if found]


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return rendered(*WITH_RAY)


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name -> template of each pod."""
    found = {}
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "RayCluster":
            found["ray-head"] = spec["headGroupSpec"]["template"]
            found["ray-worker"] = spec["workerGroupSpecs"][0]["template"]
        elif "template" in spec:
            found[each["metadata"]["name"]] = spec["template"]
    return found


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def test_helm_has_nothing_to_say() -> None:
    told = helm("lint", "--strict", STACK)
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_object_is_valid(objects: list[dict[str, Any]], cluster: str) -> None:
    for each in objects:
        if each["kind"] != "RayCluster":
            kubernetes_validate.validate(each, cluster, strict=True)
    for name, template in pods(objects).items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
        kubernetes_validate.validate({**pod, "spec": template["spec"]}, cluster, strict=True)


def test_every_container_is_nobodys(objects: list[dict[str, Any]]) -> None:
    for name, template in pods(objects).items():
        spec = template["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"], name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec.get("automountServiceAccountToken", True) is (name == "ray-head"), name
        for container in spec["containers"] + spec.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_every_container_asks_and_is_bounded(objects: list[dict[str, Any]]) -> None:
    for name, template in pods(objects).items():
        spec = template["spec"]
        for container in spec["containers"] + spec.get("initContainers", []):
            asked = container["resources"]
            assert {"cpu", "memory"} <= asked["requests"].keys(), name
            assert "memory" in asked["limits"], name


def test_what_serves_is_probed_and_spared(objects: list[dict[str, Any]]) -> None:
    budgets = named(objects, "PodDisruptionBudget")
    for kind in ("Deployment", "StatefulSet"):
        for name, each in named(objects, kind).items():
            for container in each["spec"]["template"]["spec"]["containers"]:
                probes = {"startupProbe", "livenessProbe", "readinessProbe"}
                assert probes <= container.keys(), name
            chosen = budgets[name]["spec"]["selector"]["matchLabels"].items()
            assert chosen <= each["spec"]["template"]["metadata"]["labels"].items()


def test_secrets_are_only_referred_to(objects: list[dict[str, Any]]) -> None:
    assert not named(objects, "Secret")
    for template in pods(objects).values():
        for container in template["spec"]["containers"]:
            for variable in container.get("env", []):
                name = variable["name"]
                secret = any(word in name for word in ("PASSWORD", "SECRET", "API_KEY", "USER_NA"))
                assert ("valueFrom" in variable) or not secret, name


def test_minio_stands_the_loss_of_a_drive(objects: list[dict[str, Any]]) -> None:
    minio = named(objects, "StatefulSet")["minio"]["spec"]
    (container,) = minio["template"]["spec"]["containers"]
    assert minio["replicas"] == 4
    assert container["args"][1] == "http://minio-{0...3}.minio-drives.search.svc:9000/data"
    assert {"name": "MINIO_STORAGE_CLASS_STANDARD", "value": "EC:2"} in container["env"]
    assert named(objects, "PodDisruptionBudget")["minio"]["spec"]["maxUnavailable"] == 1


def chosen_by(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    exactly = selector.get("matchLabels", {}).items() <= labels.items()
    among = selector.get("matchExpressions", [])
    return exactly and all(labels.get(each["key"]) in each["values"] for each in among)


def admitted(objects: list[dict[str, Any]], to: dict[str, str], sender: dict[str, str]) -> set[int]:
    """Ports at which a pod's policies let another one of the namespace in."""
    ports = set()
    for each in named(objects, "NetworkPolicy").values():
        spec = each["spec"]
        if "Ingress" in spec["policyTypes"] and chosen_by(spec["podSelector"], to):
            for rule in spec.get("ingress", []):
                here = [peer for peer in rule["from"] if "namespaceSelector" not in peer]
                if any(chosen_by(peer["podSelector"], sender) for peer in here):
                    ports |= {port["port"] for port in rule.get("ports", [{"port": 0}])}
    return ports


APP = "app.kubernetes.io/name"
RUN = {APP: "dagster", "app.kubernetes.io/component": "run_worker"}
WEBSERVER = {APP: "dagster", "component": "dagster-webserver"}
CODE = {APP: "dagster-user-deployments"}


@pytest.mark.parametrize(
    ("to", "sender", "ports"),
    [
        ({APP: "minio"}, RUN, {9000}),
        ({APP: "minio"}, {APP: "minio"}, {9000}),
        ({APP: "minio"}, {APP: "oauth2-proxy"}, set()),
        ({APP: "postgres"}, {APP: "mlflow"}, {5432}),
        ({APP: "postgres"}, {APP: "oauth2-proxy"}, set()),
        ({APP: "qdrant"}, RUN, {6333}),
        ({APP: "qdrant"}, {APP: "mlflow"}, set()),
        ({APP: "minio"}, {APP: "metrics"}, {9000}),
        ({APP: "postgres"}, {APP: "metrics"}, {5432}),
        ({APP: "qdrant"}, {APP: "metrics"}, {6333}),
        ({APP: "mlflow"}, {APP: "metrics"}, set()),
        ({APP: "minio"}, {APP: "roles"}, {9000}),
        ({APP: "postgres"}, {APP: "roles"}, {5432}),
        ({APP: "qdrant"}, {APP: "roles"}, {6333}),
        ({APP: "postgres"}, {APP: "minio-buckets"}, set()),
        ({APP: "metrics"}, RUN, set()),
        ({APP: "metrics"}, {APP: "prometheus"}, set()),
        ({APP: "ray"}, RUN, set()),
        (CODE, WEBSERVER, {4000}),
        (WEBSERVER, {APP: "oauth2-proxy"}, {80}),
        (WEBSERVER, RUN, set()),
        (WEBSERVER, {APP: "ray"}, set()),
        (RUN, {APP: "minio"}, set()),
    ],
)
def test_who_may_speak_to_whom(
    objects: list[dict[str, Any]], to: dict[str, str], sender: dict[str, str], ports: set[int]
) -> None:
    assert admitted(objects, to, sender) == ports
    assert named(objects, "NetworkPolicy")["nothing-by-default"]["spec"]["podSelector"] == {}


def test_prometheus_alone_reaches_the_figures() -> None:
    told = ("metrics.scrapedBy.namespace=watching", "metrics.scrapedBy.name=agent")
    found = rendered(*(part for each in told for part in ("--set", each)))
    (rule,) = named(found, "NetworkPolicy")["metrics"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9464}]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "watching"}}
    assert peer["podSelector"] == {"matchLabels": {APP: "agent"}}


def test_the_exporter_listens_where_it_is_scraped_and_probed(objects: list[dict[str, Any]]) -> None:
    service = named(objects, "Service")["metrics"]
    spec = named(objects, "Deployment")["metrics"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["args"] == ["lakeloom", "metrics", "--listen", "0.0.0.0:9464"]
    assert container["ports"] == [{"name": "http", "containerPort": 9464}]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert service["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9464",
        "prometheus.io/path": "/metrics",
    }
    assert service["spec"]["publishNotReadyAddresses"], "an outage is what figures are for"
    assert not named(rendered("--set", "metrics.enabled=false"), "Service").get("metrics")


SECRETS = {
    "metrics": {"lakeloom-reader"},
    "mlflow": {"lakeloom-mlflow"},
    "ray-head": {"lakeloom-runner"},
    "ray-worker": {"lakeloom-runner"},
    "minio": {"minio-root"},
    "postgres": {"postgres-owner"},
    "qdrant": {"lakeloom-runner", "lakeloom-reader"},
    "oauth2-proxy": {"oauth2-proxy"},
    "minio-buckets-1": {"minio-root"}
    | {f"lakeloom-{kind}" for kind in ("runner", "sensor", "dagster", "reader", "mlflow")},
    "roles-1": {"postgres-owner", "dagster-postgresql-secret"}
    | {f"lakeloom-{kind}" for kind in ("runner", "reader", "mlflow")},
}
"""Pod -> the secrets it may know."""


@pytest.mark.parametrize("pod", SECRETS)
def test_a_pod_knows_these_secrets_alone(objects: list[dict[str, Any]], pod: str) -> None:
    found = pods(objects)
    assert found.keys() == SECRETS.keys()
    spec = found[pod]["spec"]
    told = set()
    for container in spec["containers"] + spec.get("initContainers", []):
        whole = [each.get("secretRef", {}) for each in container.get("envFrom", [])]
        single = [each.get("valueFrom", {}) for each in container.get("env", [])]
        keys = [each["secretKeyRef"] for each in single if "secretKeyRef" in each]
        told |= {each["name"] for each in whole + keys if each}
    assert told == SECRETS[pod]


def test_qdrants_keys_are_those_of_who_writes_and_who_reads(objects: list[dict[str, Any]]) -> None:
    (container,) = pods(objects)["qdrant"]["spec"]["containers"]
    told = {
        each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in container["env"]
    }
    key = "LAKELOOM_VECTORS_API_KEY"
    assert told["QDRANT__SERVICE__API_KEY"] == {"name": "lakeloom-runner", "key": key}
    assert told["QDRANT__SERVICE__READ_ONLY_API_KEY"] == {"name": "lakeloom-reader", "key": key}


def test_the_jobs_run_the_scripts_of_deploy_access(objects: list[dict[str, Any]]) -> None:
    jobs = named(objects, "Job")
    held = named(objects, "ConfigMap")["access"]["data"]
    for name, script in (("minio-buckets-1", "minio.sh"), ("roles-1", "databases.sh")):
        spec = jobs[name]["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert f"/access/{script}" in " ".join(container["command"] + container.get("args", []))
        (volume,) = [each for each in spec["volumes"] if each["name"] == "access"]
        for item in volume["configMap"]["items"]:
            file = ROOT / "deploy/access" / item["path"]
            assert held[item["key"]].strip() == file.read_text().strip()
        kept = {each["path"] for each in volume["configMap"]["items"]}
        here = (ROOT / "deploy/access").rglob("*")
        assert kept == {str(f.relative_to(ROOT / "deploy/access")) for f in here if f.is_file()}


def test_the_tables_are_migrated_only_if_asked() -> None:
    for options, command in (
        ((), ["lakeloom", "upgrade", "--only-missing"]),
        (("--set", "upgrade=true"), ["lakeloom", "upgrade"]),
    ):
        job = named(rendered(*options), "Job")["roles-1"]
        (tables,) = job["spec"]["template"]["spec"]["initContainers"]
        assert tables["args"] == command


def test_buckets_are_those_of_the_settings(objects: list[dict[str, Any]]) -> None:
    settings = named(objects, "ConfigMap")["lakeloom-settings"]["data"]
    (container,) = pods(objects)["minio-buckets-1"]["spec"]["containers"]
    made = {each["name"]: each.get("value") for each in container["env"]}
    assert settings["LAKELOOM_LAKE"] == f"s3://{made['BUCKET']}"
    assert settings["LAKELOOM_LOGS_BUCKET"] == made["LOGS_BUCKET"]
    (mlflow,) = pods(objects)["mlflow"]["spec"]["containers"]
    assert mlflow["args"][-1] == f"s3://{made['MLFLOW_BUCKET']}"


def images(*options: str) -> set[str]:
    found = pods(rendered(*options)).values()
    return {container["image"] for each in found for container in each["spec"]["containers"]}


@pytest.mark.parametrize(
    "proxy", ["mirror.internal/a/proxy:1", "mirror:5000/proxy:1", "localhost/proxy:1"]
)
def test_an_image_that_names_its_host_is_left_alone(proxy: str) -> None:
    told = ("--set", f"oauth2Proxy.image={proxy}")
    usual = "oauth2-proxy/oauth2-proxy:v7.12.0"
    assert images(*told) == images() - {usual} | {proxy}
    mirrored = {f"all.internal/{each}" for each in images() - {usual}}
    assert images(*told, "--set", "registry=all.internal/") == mirrored | {proxy}


def test_only_the_proxy_is_seen_from_outside(objects: list[dict[str, Any]]) -> None:
    (ingress,) = named(objects, "Ingress").values()
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == "oauth2-proxy"
    assert ingress["spec"]["tls"]
    assert all(
        each["spec"].get("type", "ClusterIP") == "ClusterIP"
        for each in named(objects, "Service").values()
    )


def test_settings_are_ones_we_know(objects: list[dict[str, Any]]) -> None:
    from resources.settings import Settings

    told = named(objects, "ConfigMap")["lakeloom-settings"]["data"]
    found = Settings.from_env(told)
    assert found.local_places().keys() == {"home", "catalog"}, "the catalog's URL is a secret"
    schema = json.loads((STACK / "values.schema.json").read_text())
    assert (
        "LAKELOOM_CATALOG" in schema["properties"]["secrets"]["properties"]["runner"]["description"]
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("minio.drives=3", "minimum"),
        ("settings.LAKELOOM_VECTORS_API_KEY=x", "LAKELOOM_VECTORS_API_KEY"),
        ("minio.dirves=4", "dirves"),
        ("oauth2Proxy.issuer=http://login", "issuer"),
        ("metrics.scrapedBy.name=Prometheus", "scrapedBy"),
    ],
)
def test_wrong_values_are_refused(wrong: str, said: str) -> None:
    told = helm("template", "stack", STACK, "--set", wrong)
    assert told.returncode
    assert said in told.stderr


def test_the_command_in_the_docs_is_one() -> None:
    text = (ROOT / "docs/deployment.md").read_text().replace("\\\n", " ")
    (line,) = [each for each in text.splitlines() if each.startswith("helm") and "/stack" in each]
    told = helm("template", *line.split()[3:])
    assert told.returncode == 0, told.stderr
    assert "registry.internal/lakeloom:1" in told.stdout


def test_files_in_the_docs_are_there() -> None:
    import re

    text = (ROOT / "docs/deployment.md").read_text()
    named = set(re.findall(r"deploy/[\w/.-]+\w", text))
    assert len(named) > 4
    assert all((ROOT / each).exists() for each in named)
