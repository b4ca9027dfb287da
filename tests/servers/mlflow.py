"""MLflow: a real tracking server, its runs in a SQLite file, its artefacts served by itself."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_ports, running

_PATIENCE_SECONDS = 240
"""It imports most of what is installed: seconds on a quiet machine, a minute on a busy one."""


@contextmanager
def mlflow_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """A running server; yields its URL. Started again on a folder, it goes on from there."""
    [port] = [port] if port else free_ports(1)
    url = f"http://127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    log = folder / "server.log"
    with running(command, log, lambda: _healthy(url), environment, _PATIENCE_SECONDS):
        yield url


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
