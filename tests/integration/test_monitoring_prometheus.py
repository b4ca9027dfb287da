"""The files of deploy/monitoring: on a real Prometheus, which `make test-monitoring` unpacks."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.servers.exporter import exporter
from tests.servers.prometheus import MONITORING, PROGRAM, PROMTOOL, asked, prometheus
from tests.spies import Platform
from tests.unit.test_monitoring_files import expressions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAM.exists(), reason="make test-monitoring unpacks Prometheus"),
]
DEADLINE_SECONDS = 60


def until(holds: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < DEADLINE_SECONDS
        time.sleep(0.2)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        platform = Platform(tmp_path_factory.mktemp("platform"), patch)
        platform.write("birds", "owl.md", "# The Barn Owl\n\nThe barn owl hunts voles.\n")
        platform.materialize("birds")
        folder = tmp_path_factory.mktemp("prometheus")
        with exporter(platform.state.settings.home) as figures, prometheus(folder, figures) as url:
            until(lambda: bool(asked(url, "query", query="lakeloom_documents")["result"]))
            yield url


def test_it_scrapes_the_exporter(url: str) -> None:
    (target,) = asked(url, "targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    (documents,) = asked(url, "query", query="lakeloom_documents")["result"]
    assert documents["metric"]["corpus"] == "birds"
    assert documents["value"][1] == "1"


@pytest.mark.parametrize("expression", sorted(expressions()))
def test_every_query_of_the_dashboard_and_the_rules_is_answered(url: str, expression: str) -> None:
    asked(url, "query", query=expression.replace("$corpus", ".*"))


def test_the_rules_are_loaded_and_healthy(url: str) -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    (group,) = asked(url, "rules")["groups"]
    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in rules]
    assert {rule["lastError"] for rule in group["rules"] if "lastError" in rule} <= {""}


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [PROMTOOL, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    cases = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in cases
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules}
