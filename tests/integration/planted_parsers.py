"""Parsers that misbehave, each as a document of the same name tells it to; a worker imports them.

Workers take them by import path: `GuardedParser(parser=f"{__name__}:Planted")`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from resources.parsing import Element, ParsedDocument, ParseError, Parser, RejectionReason
from resources.parsing.router import FormatParser

MEBIBYTE = 1 << 20
_kept: list[bytearray] = []


def _answer(text: str) -> ParsedDocument:
    return ParsedDocument("planted", "text/plain", "planted", (Element("code", text, None, ()),))


def spin() -> str:
    """Hang without ever sleeping, deaf to polite signals."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    while True:
        pass


def spawn_and_wait(path: str) -> str:
    """Hang in a child process, whose id goes to a file."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    Path(path).write_text(str(child.pid))
    return str(child.wait())


def eat() -> str:
    """Take a gibibyte, a mebibyte at a time, all of it written to."""
    hoard = [bytearray(b"x" * MEBIBYTE) for _ in range(1024)]
    return str(len(hoard))


def leak() -> str:
    """Leave 100 MiB behind, as a library might."""
    _kept.append(bytearray(b"x" * (100 * MEBIBYTE)))
    return "leaked"


def die() -> str:
    """Die as a broken C library does."""
    os.abort()


def chatter() -> str:
    """Write where the answers go."""
    os.write(1, b"noise\n")
    sys.stdout.write("noise\n")
    sys.stdout.flush()
    return sys.stdin.read()


def recurse() -> str:
    """Call itself without end."""
    return recurse() + "x"


def refuse() -> str:
    """Know why not."""
    raise ParseError(RejectionReason.UNSUPPORTED, "not today")


def fail() -> str:
    """Raise what no one expects."""
    raise ZeroDivisionError("by \ud800 zero")


_DEEDS: dict[str, Callable[[], str]] = {
    deed.__name__: deed for deed in (spin, eat, leak, die, chatter, recurse, refuse, fail)
}


class Planted:
    """Does what the key says; any other key is answered with the worker's id."""

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """See `Parser`."""
        name = key.split(".", 1)[0]
        if name == "spawn_and_wait":
            return _answer(spawn_and_wait(data.decode()))
        if name == "environment":
            return _answer("\n".join(os.environ))
        return _answer(_DEEDS[name]() if name in _DEEDS else str(os.getpid()))


class FormatParserWithBugs:
    """The real parser, but documents named `spin` and `eat` do as they say."""

    def __init__(self) -> None:
        self._formats, self._bugs = FormatParser(), Planted()

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """See `Parser`."""
        parser: Parser = self._bugs if key.startswith(("spin.", "eat.")) else self._formats
        return parser.parse(key, data)
