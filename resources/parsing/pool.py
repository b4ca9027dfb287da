"""The guarded pool: parses documents on all cores, each within bounds of time and memory.

Here: `GuardedParser`, which implements `DocumentParser`. Not here: the worker processes
(process.py, worker.py), or how any format is read (router.py and the parsers behind it).
"""

import hashlib
import json
import os
import selectors
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version

from resources.parsing import ParsedDocument, Rejection, RejectionReason, formats, wire
from resources.parsing.process import Limits, WorkerProcess

_LIBRARIES = (
    "charset-normalizer",
    "docutils",
    "markdown-it-py",
    "pypandoc-binary",
    "pypdfium2",
    "selectolax",
    "spacy",
    "unstructured",
)
_Outcome = tuple[str, ParsedDocument | Rejection]


@dataclass(frozen=True)
class GuardedParser:
    """Parses documents in worker processes; implements `DocumentParser`."""

    limits: Limits = field(default_factory=Limits)
    workers: int | None = None
    """Most worker processes at a time, where `parse` is not told; one a core by default."""
    parser: str = "resources.parsing.router:FormatParser"
    """`module:attribute`: a worker imports it and calls it with nothing to get its `Parser`."""

    @cached_property
    def fingerprint(self) -> str:
        """Digest of what a parse depends on but our code: libraries, limits, the parser's name.

        A change to this folder that changes what parsing returns raises `CODE_VERSION` of the
        asset `documents`.
        """
        facts = {
            "parser": self.parser,
            "libraries": {name: version(name) for name in _LIBRARIES},
            "limits": asdict(self.limits),
            "unpacked_bytes": formats.UNPACKED_BYTES,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def parse(
        self, documents: Iterable[tuple[str, bytes]], cores: int | None = None
    ) -> Generator[_Outcome, None, None]:
        """Parse `(key, bytes)` pairs; results come as they finish, one a key.

        A worker process a core, but never more than documents; one document a worker and the next
        one are in memory. Closing the iterator ends the workers.

        Raises:
            RuntimeError: a worker could not even start, which is no document's fault.
        """
        requests = (wire.Request(key, data) for key, data in documents)
        with tempfile.TemporaryDirectory(prefix="lakeloom-parsing-") as folder:
            crew = _Crew(self, folder, cores)
            try:
                yield from crew.run(requests)
            finally:
                crew.stop()


class _Crew:
    """The workers of one call of `parse`, started as documents come."""

    def __init__(self, settings: GuardedParser, folder: str, cores: int | None) -> None:
        self._settings = settings
        self._folder = folder
        self._size = cores or settings.workers or len(os.sched_getaffinity(0))
        self._workers: list[WorkerProcess] = []

    def run(self, requests: Iterator[wire.Request]) -> Iterator[_Outcome]:
        """Feed the workers first and yield after, so that they work while the caller does."""
        outcomes: list[_Outcome] = []
        request = next(requests, None)
        while True:
            while request:
                if len(request.data) > self._settings.limits.document_bytes:
                    outcomes.append((request.key, self._too_large(request)))
                elif worker := self._idle():
                    worker.give(request)
                else:
                    break
                request = next(requests, None)
            yield from outcomes
            busy = [worker for worker in self._workers if worker.request]
            if not busy:
                return
            outcomes = [outcome for worker in _answering(busy) if (outcome := self._listen(worker))]

    def stop(self) -> None:
        """End every worker."""
        for worker in self._workers:
            worker.stop()

    def _idle(self) -> WorkerProcess | None:
        idle = next((worker for worker in self._workers if not worker.request), None)
        return idle or (self._start() if len(self._workers) < self._size else None)

    def _start(self) -> WorkerProcess:
        worker = WorkerProcess(self._settings.parser, self._settings.limits, self._folder)
        self._workers.append(worker)
        return worker

    def _listen(self, worker: WorkerProcess) -> _Outcome | None:
        request = worker.request
        assert request, "only a worker with a document is waited for"
        try:
            line = worker.answer()
        except EOFError:
            return self._bury(worker, request)
        return (request.key, wire.decode(line)) if line else None

    def _bury(self, worker: WorkerProcess, request: wire.Request) -> _Outcome | None:
        """Take a dead worker away; its document is condemned unless an earlier one may be guilty.

        What one document leaves behind in a process (memory, a broken heap) can kill the next one,
        so only a worker that has parsed nothing else, or a timeout, condemns.
        """
        self._workers.remove(worker)
        verdict = worker.verdict()
        if worker.used and verdict.reason is not RejectionReason.TIMEOUT:
            self._start().give(request)
            return None
        return request.key, verdict

    def _too_large(self, request: wire.Request) -> Rejection:
        size, limit = len(request.data), self._settings.limits.document_bytes
        return Rejection(RejectionReason.TOO_LARGE, f"{size:,} bytes, more than {limit:,}")


def _answering(busy: list[WorkerProcess]) -> list[WorkerProcess]:
    """Wait until some of them have answered or died."""
    with selectors.DefaultSelector() as selector:
        for worker in busy:
            selector.register(worker, selectors.EVENT_READ, worker)
        return [key.data for key, _ in selector.select()]
