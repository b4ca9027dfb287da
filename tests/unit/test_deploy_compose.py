"""The Compose file, read by Docker Compose itself; no engine runs, nothing is started."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from resources.settings import VARIABLES, Settings
from resources.systems import SYSTEMS
from tests.servers.minio_double import BUCKETS, KINDS

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy/compose/compose.yaml"
PASSWORDS = ("STACK", "RUNNER", "SENSOR", "DAGSTER", "READER", "MLFLOW")
ONCE = {"buckets", "tables", "roles"}
"""Services that prepare the others and end."""
COMPOSE = Path(sys.executable).with_name("docker-compose")


def read(file: Path) -> subprocess.CompletedProcess[str]:
    """What Compose makes of a file: its schema checked, anchors and variables filled in."""
    command = [COMPOSE, "--file", file, "config", "--no-path-resolution"]
    env = {f"{name}_PASSWORD": f"planted{name.lower()}" for name in PASSWORDS}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    told = read(FILE)
    assert (told.returncode, told.stderr) == (0, "")
    found: dict[str, dict[str, Any]] = yaml.safe_load(told.stdout)["services"]
    return found


def test_it_has_every_part(services: dict[str, dict[str, Any]]) -> None:
    stores = {"minio", "postgres", "qdrant", "mlflow", "catalog"}
    assert services.keys() == stores | ONCE | {"webserver", "daemon", "code", "metrics"}


def test_compose_refuses_what_its_schema_lacks(tmp_path: Path) -> None:
    wrong = FILE.read_text().replace(
        "    healthcheck: {test: [CMD, mc,", "    healthchek: {test: [CMD, mc,"
    )
    (tmp_path / "compose.yaml").write_text(wrong)
    assert "healthchek" in read(tmp_path / "compose.yaml").stderr


def known_variables() -> set[str]:
    """Those of the settings, and those that code or an instance file reads beside them."""
    files = [ROOT / "deploy/aws/dagster.yaml"]
    for package in ("resources", "platform_assets", "sensors"):
        files += (ROOT / package).rglob("*.py")
    named = re.compile(r"LAKELOOM_[A-Z_]+")
    read = {name for file in files for name in named.findall(file.read_text())}
    return {*VARIABLES.values(), "LAKELOOM_HOME", *read}


def test_every_variable_is_one_we_know(services: dict[str, dict[str, Any]]) -> None:
    told = {name for each in services.values() for name in each.get("environment", {})}
    ours = {name for name in told if name.startswith("LAKELOOM_")}
    assert ours
    assert ours <= known_variables()


@pytest.mark.parametrize("service", ["code", "webserver", "daemon", "metrics", "tables"])
def test_no_layer_is_left_on_a_disk_of_its_own(
    services: dict[str, dict[str, Any]], service: str
) -> None:
    settings = Settings.from_env(services[service]["environment"])
    assert settings.local_places().keys() == {"home"}
    for layer in VARIABLES:
        assert str(getattr(settings, layer)).split(":")[0].split("+")[0] in SYSTEMS[layer], layer


def test_addresses_are_services(services: dict[str, dict[str, Any]]) -> None:
    for each in services.values():
        for value in each.get("environment", {}).values():
            for host in re.findall(r"(?:http://|@)([a-z0-9]+)", str(value)):
                assert host in services


def test_the_lake_has_four_drives(services: dict[str, dict[str, Any]]) -> None:
    assert services["minio"]["command"][:2] == ["server", "/data{1...4}"]
    drives = {each["source"]: each["target"] for each in services["minio"]["volumes"]}
    assert drives == {f"drive{number}": f"/data{number}" for number in range(1, 5)}


def test_buckets_are_those_that_are_asked_for(services: dict[str, dict[str, Any]]) -> None:
    told = services["buckets"]["environment"]
    made = {told[name] for name in BUCKETS}
    code = services["code"]["environment"]
    asked = {code["LAKELOOM_LAKE"].removeprefix("s3://"), code["LAKELOOM_LOGS_BUCKET"]}
    artefacts = services["mlflow"]["command"][-1].removeprefix("s3://")
    assert made == asked | {artefacts}


def test_only_this_machine_reaches_it_and_nothing_writes_outside_its_volumes(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, each in services.items():
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        assert not each["image"].endswith(":latest"), name
        assert re.search(r":[\w.-]+$", each["image"]), name
        assert (name in ONCE) is (each["restart"] == "no"), name
        assert name in ONCE or each["healthcheck"]["test"], name
        for port in each.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name


def test_the_exporter_listens_where_it_is_scraped_and_probed(
    services: dict[str, dict[str, Any]],
) -> None:
    exporter = services["metrics"]
    assert exporter["command"] == ["lakeloom", "metrics", "--listen", "0.0.0.0:9464"]
    (port,) = exporter["ports"]
    assert (port["target"], port["published"]) == (9464, "9464")
    assert "http://127.0.0.1:9464/healthz" in exporter["healthcheck"]["test"][-1]


def test_the_catalogs_file_lies_in_its_volume(services: dict[str, dict[str, Any]]) -> None:
    """And below no home: root without capabilities may not enter another user's."""
    file = Path(services["catalog"]["environment"]["CATALOG_URI"].removeprefix("jdbc:sqlite:"))
    (volume,) = services["catalog"]["volumes"]
    assert str(file.parent) == volume["target"]
    assert file.parts[1] != "home"


KNOWN = {
    "webserver": {"dagster"},
    "daemon": {"dagster"},
    "code": {"runner", "dagster"},
    "catalog": {"runner"},
    "mlflow": {"mlflow"},
    "metrics": {"reader"},
    "qdrant": {"runner", "reader"},
    "minio": {"stack"},
    "postgres": {"stack"},
    "tables": {"stack", "runner"},
    "roles": {"stack", "dagster", "reader", "mlflow"},
    "buckets": {"stack", "runner", "sensor", "dagster", "reader", "mlflow"},
}
"""Service -> whose passwords it knows."""


@pytest.mark.parametrize("service", KNOWN)
def test_a_service_knows_these_passwords_alone(
    services: dict[str, dict[str, Any]], service: str
) -> None:
    assert KNOWN.keys() == services.keys()
    told = yaml.safe_dump(services[service])
    assert "on-my-machine" not in told
    assert set(re.findall(r"planted([a-z]+)", told)) == KNOWN[service]


def test_users_are_those_that_are_made(services: dict[str, dict[str, Any]]) -> None:
    made = services["buckets"]["environment"]
    keys = {made[f"{kind.upper()}_ID"]: made[f"{kind.upper()}_KEY"] for kind in KINDS}
    assert keys == {f"lakeloom-{kind}": f"planted{kind}" for kind in KINDS}
    for name, each in services.items():
        told = each.get("environment", {})
        if user := told.get("AWS_ACCESS_KEY_ID"):
            assert keys[user] == told["AWS_SECRET_ACCESS_KEY"], name
        if url := told.get("DAGSTER_POSTGRES_URL"):
            database = services["roles"]["environment"]
            known = {database["DAGSTER_DATABASE"], database["WATCHER_DATABASE"]}
            assert name == "tables" or url in known, name


def test_whoever_needs_a_role_waits_for_it(services: dict[str, dict[str, Any]]) -> None:
    for name in ("code", "mlflow"):
        waits = services[name]["depends_on"]["roles"]
        assert waits["condition"] == "service_completed_successfully"
    assert services["tables"]["command"] == ["lakeloom", "upgrade", "--only-missing"]
    assert services["roles"]["depends_on"]["tables"]


def test_what_is_mounted_is_there() -> None:
    mounted = re.findall(r"(\.\./[^:]+):/", FILE.read_text())
    assert "../access" in mounted
    assert all((FILE.parent / source).exists() for source in mounted)
