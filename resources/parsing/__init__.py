"""Document parsing: bytes in, typed elements out.

Here: the vocabulary every parser speaks (`Element`, `ParsedDocument`, `Rejection`) and the
`Parser` protocol. One file for each parsing system implements it; `pool.py` runs them guarded.
Not here: what is done with the elements (platform_assets/documents and platform_assets/chunks).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class RejectionReason(StrEnum):
    """Why a document could not be parsed; the class that operators count and filter by."""

    EMPTY = "empty"
    ENCRYPTED = "encrypted"
    CORRUPT = "corrupt"
    UNDECODABLE = "undecodable"
    UNSUPPORTED = "unsupported"
    NO_TEXT = "no_text"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Element:
    """One structural unit of a document, in reading order."""

    type: str
    """`title`, `paragraph`, `list_item`, `table` or `code`."""
    text: str
    page: int | None
    """One-based page, sheet or slide number; None where the format has none."""
    heading_path: tuple[str, ...]
    """Headings above this element, outermost first; a title's own text is the last entry."""


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A parsed document: at least one element with text."""

    title: str
    media_type: str
    parser: str
    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A document that could not be parsed, and why."""

    reason: RejectionReason
    message: str


class ParseError(Exception):
    """Raised by a parser that knows why it cannot read a document."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Parser(Protocol):
    """Turns the bytes of one document into elements; runs inside a guarded worker process."""

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one document.

        Raises:
            ParseError: the document cannot be read; the reason says why.
        """
        ...


class DocumentParser(Protocol):
    """What the documents asset needs: a fingerprint and a guarded, parallel parse."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything that changes what parsing returns: versions and limits."""
        ...

    def parse(
        self, documents: Iterable[tuple[str, bytes]], cores: int | None = None
    ) -> Iterator[tuple[str, ParsedDocument | Rejection]]:
        """Parse `(key, bytes)` pairs on so many cores; results come as they finish, one a key.

        `cores` is all that there are by default.
        """
        ...
