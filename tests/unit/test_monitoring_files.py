"""Dashboard and alert rules name metrics that there are; the dashboard is what its code makes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.monitoring.dashboard import FILE, build
from platform_assets.monitoring.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SERIES = {metric.name + end for metric in METRICS.values() for end in ENDINGS[metric.kind]}


def expressions() -> set[str]:
    """Every query of the dashboard and of the rules."""
    rules = yaml.safe_load((ROOT / "deploy/monitoring/alerts.yaml").read_text())
    alerts = {rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    return alerts | set(_of_panels(json.loads(FILE.read_text())["panels"]))


def _of_panels(panels: list[dict[str, Any]]) -> Iterator[str]:
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", []))
        yield from _of_panels(panel.get("panels", []))


def _named(expression: str) -> set[str]:
    return set(re.findall(r"\blakeloom_\w+", re.sub(r'"[^"]*"', "", expression)))


def test_the_dashboard_is_what_its_code_makes() -> None:
    assert FILE.read_text() == build(), "run `python -m deploy.monitoring.dashboard`"


def test_grafanas_own_library_loads_it() -> None:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    found = Dashboard.from_json(json.loads(FILE.read_text()))
    assert found.uid == "lakeloom"
    assert found.templating.list_val
    assert [variable.name for variable in found.templating.list_val] == ["datasource", "corpus"]
    assert found.panels
    assert len(found.panels) > 15


def test_every_metric_that_is_named_exists() -> None:
    named = {name for expression in expressions() for name in _named(expression)}
    assert named
    assert named <= SERIES, sorted(named - SERIES)


def test_every_metric_is_shown_or_watched() -> None:
    named = {name for expression in expressions() for name in _named(expression)}
    rarely = {"lakeloom_materializations"}
    missing = {
        metric.name
        for metric in METRICS.values()
        if not named & {metric.name + end for end in ENDINGS[metric.kind]}
    }
    assert missing == rarely


def test_every_metric_is_in_the_docs() -> None:
    docs = (ROOT / "docs/monitoring.md").read_text()
    assert set(re.findall(r"^\| `(lakeloom_\w+)`", docs, re.MULTILINE)) == {
        metric.name + ENDINGS[metric.kind][0].replace("_bucket", "") for metric in METRICS.values()
    }
