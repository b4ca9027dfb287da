"""`lakeloom ui` takes all its processes with it, however it was started and stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_upload_to_search import Daemon

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_processes_end_with_it(tmp_path: Path, number: signal.Signals) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.until("the UI answers", daemon.answers)
        own = psutil.Process(daemon.process.pid)
        children = own.children(recursive=True)
        assert len(children) >= 4  # Dagster's own command, webserver, daemon, code server
        own.send_signal(number)
        assert daemon.process.wait(150) == 0
        assert [child for child in children if _lives(child)] == []


def test_a_shell_that_has_it_ignore_signals_does_not_keep_it_alive() -> None:
    """As `lakeloom ui &` in a script does."""
    code = (
        "import sys; from platform_assets.commands.ui import serve;"
        "sys.exit(serve([sys.executable, '-c', 'print(1, flush=True); input()'], {}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"1\n"
        (child,) = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
        assert not _lives(child)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
