"""Prometheus: the real server from Debian's package; `make test-monitoring` unpacks it."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers import free_ports, running

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "build/prometheus/usr/bin/prometheus"
PROMTOOL = PROGRAM.with_name("promtool")
MONITORING = ROOT / "deploy/monitoring"


@contextmanager
def prometheus(folder: Path, exporter: str) -> Iterator[str]:
    """A server with the files of deploy/monitoring that scrapes an exporter each second."""
    (port,) = free_ports(1)
    settings = (MONITORING / "prometheus.yaml").read_text()
    target = exporter.removeprefix("http://")
    for shown, real in (
        ("127.0.0.1:9464", target),
        ("scrape_interval: 30s", "scrape_interval: 1s"),
    ):
        assert shown in settings
        settings = settings.replace(shown, real)
    (folder / "prometheus.yaml").write_text(settings)
    (folder / "alerts.yaml").write_bytes((MONITORING / "alerts.yaml").read_bytes())
    url = f"http://127.0.0.1:{port}"
    command = [
        *(str(PROGRAM), f"--config.file={folder / 'prometheus.yaml'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={folder / 'data'}"),
    ]
    with running(command, folder / "prometheus.log", lambda: _ready(url)):
        yield url


def asked(url: str, path: str, **query: str) -> Any:
    """What its API answers."""
    address = f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)["data"]


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
