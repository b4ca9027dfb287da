"""Lakeloom's own webhook receiver, `lakeloom events`, as a process."""

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import answers, running

TOKEN = "planted-webhook-token"


def environment(home: Path, lake: str, port: int) -> dict[str, str]:
    """Settings of the receiver, and of whatever takes notices from it."""
    return {
        "LAKELOOM_HOME": str(home),
        "LAKELOOM_LAKE": lake,
        "LAKELOOM_EVENTS": f"webhook://127.0.0.1:{port}",
        "LAKELOOM_EVENTS_TOKEN": TOKEN,
    }


@contextmanager
def receiver(env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A running receiver with the settings of `environment`."""
    port = int(env["LAKELOOM_EVENTS"].rsplit(":", 1)[1])
    command = [str(Path(sys.executable).with_name("lakeloom")), "events"]
    log = Path(env["LAKELOOM_HOME"]) / "receiver.log"
    with running(command, log, lambda: answers(port), env) as process:
        yield process


def post(url: str, body: bytes, token: str | None = TOKEN, scheme: str = "Bearer") -> int:
    """Status of a call.

    Raises:
        OSError: there was no answer.
    """
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    if token is not None:
        request.add_header("Authorization", f"{scheme} {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
