"""Lakeloom's own exporter, `lakeloom metrics`, as a process."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_ports, running


@contextmanager
def exporter(home: Path, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """A running exporter that was asked once and answered; yields its address."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    program = str(Path(sys.executable).with_name("lakeloom"))
    command = [program, "metrics", "--listen", f"127.0.0.1:{port}", "--every", "1"]
    here = {"LAKELOOM_HOME": str(home), **(env or {})}

    def ready() -> bool:
        return readiness(url)[0] != 0 and "no answer yet" not in readiness(url)[1].values()

    with running(command, home / "exporter.log", ready, here):
        yield url


def readiness(url: str) -> tuple[int, dict[str, str]]:
    """Status and body of `/readyz`; 0 if nothing listens."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except (urllib.error.URLError, ConnectionError):
        return 0, {}


def scraped(url: str) -> dict[str, float]:
    """Series -> value, as Prometheus's own parser reads them."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        _named(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _named(name: str, labels: Mapping[str, str]) -> str:
    shown = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"{name}{{{shown}}}" if shown else name
