"""What goes between the pool and its workers: one line of JSON, then the bytes of the document.

Here: encoding and decoding. Not here: processes. Answers are data and never pickles, because the
process that wrote them has read hostile files.
"""

import json
from dataclasses import dataclass
from typing import IO, Any

from resources.parsing import Element, ParsedDocument, Rejection, RejectionReason

READY = b"{}\n"
"""A worker's first line: it can take documents."""


@dataclass(frozen=True, slots=True)
class Request:
    """One document to parse."""

    key: str
    data: bytes


def write_request(stream: IO[bytes], request: Request) -> None:
    """Send a document to a worker."""
    head = {"key": request.key, "size": len(request.data)}
    stream.write(json.dumps(head).encode() + b"\n")
    stream.write(request.data)
    stream.flush()


def read_request(stream: IO[bytes]) -> Request | None:
    """The next document; None when the pool is done or gone."""
    line = stream.readline()
    if not line:
        return None
    head: dict[str, Any] = json.loads(line)
    data = stream.read(head["size"])
    return Request(head["key"], data) if len(data) == head["size"] else None


def encode(outcome: ParsedDocument | Rejection) -> bytes:
    """One line; heading paths, which repeat, are stated once."""
    if isinstance(outcome, Rejection):
        answer: dict[str, Any] = {"reason": outcome.reason, "message": outcome.message}
    else:
        paths = dict.fromkeys(element.heading_path for element in outcome.elements)
        index = {path: number for number, path in enumerate(paths)}
        answer = {
            "title": outcome.title,
            "media_type": outcome.media_type,
            "parser": outcome.parser,
            "paths": list(paths),
            "elements": [(e.type, e.text, e.page, index[e.heading_path]) for e in outcome.elements],
        }
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> ParsedDocument | Rejection:
    """What `encode` wrote."""
    answer: dict[str, Any] = json.loads(line)
    if "reason" in answer:
        return Rejection(RejectionReason(answer["reason"]), answer["message"])
    paths = [tuple(path) for path in answer["paths"]]
    return ParsedDocument(
        answer["title"],
        answer["media_type"],
        answer["parser"],
        tuple(
            Element(kind, text, page, paths[path]) for kind, text, page, path in answer["elements"]
        ),
    )
