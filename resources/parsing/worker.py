"""A worker process of the pool: reads documents, parses, answers, under bounds of its own.

Run as `python -m resources.parsing.worker PARSER SECONDS BYTES`. The kernel holds both bounds, so
a parser that hangs in C or never gives up memory cannot escape them: an alarm that nothing catches
ends the process, and allocations beyond the data limit fail. Imports stay few: an edit of one page
waits for this process to start. Not here: what to do with a worker that died (pool.py).
"""

import os
import resource
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import IO

from resources.parsing import ParsedDocument, ParseError, Parser, Rejection, RejectionReason, wire

OUT_OF_MEMORY_STATUS = 86
"""Exit status of a worker whose parser ran into the memory bound."""
_MESSAGE_CHARACTERS = 500


def main() -> None:
    """Serve the pool until it closes the pipe."""
    path, seconds, memory_bytes = sys.argv[1:]
    requests, answers = _take_pipes()
    _bound_memory(int(memory_bytes))
    module, _, attribute = path.partition(":")
    parser: Parser = getattr(import_module(module), attribute)()
    answers.write(wire.READY)
    answers.flush()
    try:
        _serve(parser, float(seconds), requests, answers)
    except MemoryError:
        os._exit(OUT_OF_MEMORY_STATUS)


def _serve(parser: Parser, seconds: float, requests: IO[bytes], answers: IO[bytes]) -> None:
    while request := wire.read_request(requests):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        answer = wire.encode(_outcome(parser, request))
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(answer)
        answers.flush()


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes, moved off standard input and output, so that no library writes into them."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


def _bound_memory(limit: int) -> None:
    # RLIMIT_DATA counts memory that is written to; RLIMIT_AS would count mapped libraries as well.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _outcome(parser: Parser, request: wire.Request) -> ParsedDocument | Rejection:
    try:
        return parser.parse(request.key, request.data)
    except ParseError as error:
        return Rejection(error.reason, error.message)
    except MemoryError:
        raise
    except RecursionError:
        return Rejection(RejectionReason.CORRUPT, "nested too deeply")
    except Exception as error:  # noqa: BLE001 - whatever a parser raises condemns one document
        message = f"{type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS]
        return Rejection(RejectionReason.CORRUPT, message)


if __name__ == "__main__":
    main()
