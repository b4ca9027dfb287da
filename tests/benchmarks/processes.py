"""Whole processes, measured: wall clock, processor time, memory and what they printed."""

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its descendants took."""

    output: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    """Memory of the largest single process."""


def run(command: Sequence[str], env: Mapping[str, str], text: str = "") -> Usage:
    """Run a command to its end, with `text` on its standard input.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as printed:
        with tempfile.TemporaryFile("w+") as said:
            given.write(text)
            given.seek(0)
            start = time.perf_counter()
            process = subprocess.Popen(
                command, env=dict(env), stdin=given, stdout=printed, stderr=said
            )
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            if process.returncode:
                raise RuntimeError(f"{' '.join(command)} failed: {said.read()[-2000:]}")
        printed.seek(0)
        return Usage(printed.read(), seconds, used.ru_utime + used.ru_stime, _mb(used))


def environment(**more: str) -> dict[str, str]:
    """This environment for a child: it may keep bytecode, and no settings of ours leak in."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LAKELOOM_", "DAGSTER_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env | {"HF_HUB_OFFLINE": "1", "COCOINDEX_DISABLE_USAGE_TRACKING": "1"} | more


def _mb(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / 1024
