"""One guarded worker process, as the pool sees it, and the verdict when it dies.

Here: starting, feeding and burying a worker. Not here: which document goes to which (pool.py), or
what a worker does (worker.py).

A worker is a fresh interpreter, not a fork: the caller may have threads, and its main module, which
`multiprocessing` would import again, may be all of Dagster. It gets no secrets of the environment.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resources.parsing import Rejection, RejectionReason, wire
from resources.parsing.worker import OUT_OF_MEMORY_STATUS

_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")
_SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one document; a document beyond one of them is rejected."""

    seconds: float = 60.0
    """Wall-clock time in a worker."""
    memory_bytes: int = 2 << 30
    """Data memory of a worker, its libraries included (unstructured takes 0.4 GiB)."""
    document_bytes: int = 200_000_000


class WorkerProcess:
    """A worker and the document it has."""

    def __init__(self, parser: str, limits: Limits, folder: str) -> None:
        self._limits = limits
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "resources.parsing.worker"),
                *(parser, str(limits.seconds), str(limits.memory_bytes)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(folder),
            process_group=0,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._ready = False
        self.request: wire.Request | None = None
        self.used = False
        """Whether it has parsed a document before the one it has."""

    def fileno(self) -> int:
        """What to wait on until there is an answer."""
        return self._answers.fileno()

    def give(self, request: wire.Request) -> None:
        """Hand over a document; it is sent once the worker has started."""
        self.request = request
        if self._ready:
            with suppress(BrokenPipeError):  # a dead worker shows when its answer is read
                wire.write_request(self._requests, request)

    def answer(self) -> bytes | None:
        """The answer to its document, or None when it only says that it has started.

        Raises:
            EOFError: the worker is dead.
        """
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        if self._ready:
            self.request, self.used = None, True
            return line
        self._ready = True
        if self.request:
            self.give(self.request)
        return None

    def stop(self) -> int:
        """Kill it with all it started; returns its exit status, a signal being negative."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        with suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()
        return status

    def verdict(self) -> Rejection:
        """Why its document killed it.

        Raises:
            RuntimeError: it never started, which is no document's fault.
        """
        status = self.stop()
        cause = f"status {status}" if status >= 0 else f"signal: {signal.strsignal(-status)}"
        if not self._ready:
            raise RuntimeError(f"a parsing worker could not start ({cause}); see standard error")
        if status == -signal.SIGALRM:
            message = f"not parsed within {self._limits.seconds:g} seconds"
            return Rejection(RejectionReason.TIMEOUT, message)
        if status == OUT_OF_MEMORY_STATUS:
            message = f"parsing takes more than {self._limits.memory_bytes / 2**20:,.0f} MiB"
            return Rejection(RejectionReason.OUT_OF_MEMORY, message)
        return Rejection(RejectionReason.CRASHED, f"the parser's process died ({cause})")


def _environment(folder: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return kept | _SETTINGS | {"PYTHONPATH": path, "TMPDIR": folder}
