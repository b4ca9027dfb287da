"""`lakeloom ui`: Dagster's UI and daemon, and no process of theirs once the command has ended.

Dagster's own command leaves its code server to a timeout, and what it could not stop in time to
nobody; started in the background by a shell, it ignores signals. So it runs in a process group.
Not here: which state it shows (state.py).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from platform_assets.commands.state import State, dagster_home

GRACE_SECONDS = 60.0
"""What Dagster's services may take to end by themselves; a second signal ends the wait."""
TERM_SECONDS = 10.0
LOOK_SECONDS = 0.2


def ui(state: State, port: int) -> dict[str, Any]:
    """Show the UI at a port and run the daemon until a signal, or until one of them ends."""
    dagster = str(Path(sys.executable).with_name("dagster"))
    command = [dagster, "dev", "-m", "platform_assets.definitions", "-p", str(port)]
    home = {"DAGSTER_HOME": str(dagster_home(state.settings))}
    return {"ok": serve(command, home) == 0, "port": port}


def serve(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command in a process group of its own until SIGINT or SIGTERM, then end the group.

    Returns:
        The command's status; 0 if a signal ended it.
    """
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))
    process = subprocess.Popen(command, env={**os.environ, **env}, start_new_session=True)
    while process.poll() is None and not signals:
        time.sleep(LOOK_SECONDS)
    if signals and process.poll() is None:
        process.send_signal(signal.SIGINT)
        _wait(process, signals)
    _end_group(process.pid)
    return 0 if signals else process.wait()


def _wait(process: "subprocess.Popen[bytes]", signals: Sequence[int]) -> None:
    ends = time.monotonic() + GRACE_SECONDS
    while process.poll() is None and len(signals) == 1 and time.monotonic() < ends:
        time.sleep(LOOK_SECONDS)


def _end_group(group: int) -> None:
    """End what still runs in a process group, first gently."""
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, TERM_SECONDS)):
        members = _members(group)
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(number)
        psutil.wait_procs(members, timeout=seconds)


def _members(group: int) -> list[psutil.Process]:
    """Processes of a group, without those that have ended and that nobody has asked about."""
    return [process for process in psutil.process_iter() if _group(process) == group]


def _group(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getpgid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
