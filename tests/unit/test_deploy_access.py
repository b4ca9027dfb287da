"""The scripts of deploy/access; docs, charts and Compose name the same roles and secrets."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.servers.minio_double import ALREADY, BUCKETS, KINDS, asked

ROOT = Path(__file__).resolve().parents[2]
ACCESS = ROOT / "deploy/access"
ROLE = r"\blakeloom_[a-z]+\b"


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the table whose first heading is this."""
    _, _, text = (ROOT / "docs" / page).read_text().partition(f"| {heading} |")
    table = text.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table]


def secrets_of(page: str, heading: str, column: int) -> set[str]:
    return {re.findall(r"`([\w-]+)`", row[column])[0] for row in rows(page, heading)}


def read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return found


def test_users_have_the_policies_that_the_docs_say(tmp_path: Path) -> None:
    told = asked(tmp_path)
    assert told.ended.returncode == 0, told.ended.stderr
    said = {
        re.findall("`(.*?)`", user)[0]: re.findall(r"`(\w+)`", policies)
        for _, user, policies, *_ in rows("access.md", "process")
    }
    assert told.attached == said
    assert told.keys == {f"lakeloom-{kind}": f"planted-{kind}-key" for kind in KINDS}
    assert told.buckets == list(BUCKETS.values())
    for name, policy in told.policies.items():
        written = (ACCESS / f"s3/{name}.json").read_text()
        assert len(policy["Statement"]) == written.count('"Sid"')
        for statement in policy["Statement"]:
            assert re.fullmatch(r"arn:aws:s3:::\w+(/.+)?", statement["Resource"][0]), name


def test_a_second_time_changes_nothing_and_other_errors_stop(tmp_path: Path) -> None:
    again = asked(tmp_path, {"MC_FAILS_AT": "attach", "MC_SAYS": ALREADY})
    assert again.ended.returncode == 0, again.ended.stderr
    assert len(again.attached) == len(KINDS)
    for at in ("attach", "create", "add"):
        wrong = asked(tmp_path, {"MC_FAILS_AT": at, "MC_SAYS": "The server is on fire."})
        assert wrong.ended.returncode == 1
        assert "on fire" in wrong.ended.stderr


def test_a_password_that_urls_encode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "psql").write_text("#!/bin/sh\ncat > /dev/null\n")
    (tmp_path / "psql").chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "MLFLOW_DATABASE": "postgresql+psycopg2://lakeloom_mlflow:a%40b@postgres/mlflow",
    }
    command = ["sh", str(ACCESS / "databases.sh")]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "letters and digits" in ended.stderr
    assert "a%40b" not in ended.stderr


def test_each_secret_of_the_charts_is_documented() -> None:
    stack = set(read("deploy/kubernetes/stack/values.yaml")["secrets"].values())
    dagster = set(re.findall(r"lakeloom-(?:\w+)", _secrets_of_dagsters_chart()))
    assert dagster < stack
    assert secrets_of("deployment.md", "secret", 0) == stack
    assert secrets_of("access.md", "process", 1) == {s for s in stack if s.startswith("lakeloom-")}


def _secrets_of_dagsters_chart() -> str:
    values = read("deploy/kubernetes/dagster-values.yaml")
    (code,) = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    parts = (values["dagsterWebserver"], values["dagsterDaemon"], code, launcher)
    return str([part["envSecrets"] for part in parts])


def test_each_process_of_dagster_has_its_own_secret() -> None:
    values = read("deploy/kubernetes/dagster-values.yaml")
    (code,) = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    told = {
        "lakeloom-dagster": (values["dagsterWebserver"], values["dagsterDaemon"]),
        "lakeloom-sensor": (code,),
        "lakeloom-runner": (launcher,),
    }
    for secret, parts in told.items():
        for part in parts:
            assert part["envSecrets"] == [{"name": secret}]
    assert not code["includeConfigInLaunchedRuns"]["enabled"], "runs would get the sensors' keys"
    assert values["postgresql"]["postgresqlUsername"] == "lakeloom_dagster"


def test_keys_in_the_docs_are_those_that_the_chart_asks_for() -> None:
    schema = read("deploy/kubernetes/stack/values.schema.json")["properties"]["secrets"]
    names = read("deploy/kubernetes/stack/values.yaml")["secrets"]
    documented = {
        re.findall("`(.*?)`", row[0])[0]: row[1] for row in rows("deployment.md", "secret")
    }
    for kind, secret in names.items():
        for key in re.findall(
            r"[A-Z_]{6,}|[a-z]+-[a-z-]+", schema["properties"][kind]["description"]
        ):
            assert f"`{key}`" in documented[secret], (secret, key)


def test_roles_of_the_databases_are_the_same_everywhere() -> None:
    made = set(
        re.findall(r"CREATE ROLE (\w+)", "".join(f.read_text() for f in ACCESS.glob("*.sql")))
    )
    passwords = (ACCESS / "databases.sh").read_text()
    assert set(re.findall(r"^  password (\w+)", passwords, re.MULTILINE)) == made
    assert {
        role for row in rows("access.md", "process") for role in re.findall(ROLE, " ".join(row))
    } == made
    deployment = (ROOT / "docs/deployment.md").read_text()
    assert set(re.findall(ROLE, deployment)) == made
    compose = (ROOT / "deploy/compose/compose.yaml").read_text()
    assert set(re.findall(ROLE, compose)) <= made


def test_the_access_of_the_chart_is_deploy_access() -> None:
    link = ROOT / "deploy/kubernetes/stack/access"
    assert link.is_symlink()
    assert link.resolve() == ACCESS


def test_whoever_runs_nothing_counts_the_same_daemons() -> None:
    """The exporter says of each whether it is healthy; which there are is in the instance file."""
    mine, theirs = read("deploy/access/dagster.yaml"), read("deploy/kubernetes/dagster.yaml")
    for part in ("run_monitoring", "run_retries"):
        assert mine[part]["enabled"] == theirs[part]["enabled"]
    assert mine["storage"] == theirs["storage"]
    assert not {"run_coordinator", "scheduler", "freshness", "auto_materialize"} & {*mine, *theirs}
