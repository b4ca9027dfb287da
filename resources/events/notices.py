"""What the notifications of object stores say: what of the lake they are about.

Here: the shapes. S3's own, which MinIO speaks too, bare or in the envelope of SNS; EventBridge's;
that of SeaweedFS's filer. Sources: the manuals of S3 ("Event message structure", "EventBridge
event message structure") and SNS ("HTTP/HTTPS notification JSON format"), MinIO's manual, and what
a SeaweedFS 4.48 sends.
Not here: how notifications arrive (sqs.py, receiver.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

FILER_BUCKETS = "/buckets/"
"""Where the filer keeps buckets."""
_READ = "ObjectAccessed"
"""Part of the name of events of which nothing changes."""

Named = tuple[str, str]
"""Bucket and key of an object, or of a folder, with a slash at its end."""


@dataclass(frozen=True, slots=True)
class Lake:
    """The bucket whose notices count."""

    bucket: str
    prefix: str
    """Within the bucket: empty, or ending in a slash."""

    @classmethod
    def of(cls, url: str) -> "Lake":
        """The lake of `LAKELOOM_LAKE`.

        A folder counts as the bucket of its name, as gateways that serve folders have it.
        """
        parts = urlsplit(url)
        path = unquote(parts.path).strip("/")
        if parts.scheme == "file":
            return cls(PurePosixPath(path).name, "")
        return cls(parts.netloc, f"{path}/" if path else "")

    def names(self, body: str | bytes) -> frozenset[str]:
        """What a notification names (`Batch.names`), without our own; of a folder, its corpus.

        Raises:
            ValueError: it has none of the known shapes.
        """
        try:
            named = list(_named(json.loads(body)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"no bucket notification: {type(error).__name__}") from None
        keys = (
            key.removeprefix(self.prefix)
            for bucket, key in named
            if bucket == self.bucket and key.startswith(self.prefix)
        )
        return frozenset(_name(key) for key in keys if key and not key.startswith(("_", "/")))


def _name(key: str) -> str:
    corpus, slash, within = key.partition("/")
    return key if slash and not within.endswith("/") else f"{corpus}/"


def _named(notification: Any, *, enveloped: bool = False) -> Iterator[Named]:
    match notification:
        case {"Records": list(records)}:
            for record in records:
                yield from _of_record(record)
        case {"Event": "s3:TestEvent"}:
            return
        case {"Type": "Notification", "Message": str(message)} if not enveloped:
            yield from _named(json.loads(message), enveloped=True)
        case {"source": "aws.s3", "detail": {"bucket": {"name": bucket}, "object": {"key": key}}}:
            yield str(bucket), str(key)  # as it is: of all shapes this one is not URL-encoded
        case {"event_type": str(), "key": str(path), "message": dict(message)}:
            yield from _of_filer(path, message)
        case _:
            raise ValueError


def _of_record(record: dict[str, Any]) -> Iterator[Named]:
    if _READ not in record["eventName"]:
        s3 = record["s3"]
        yield str(s3["bucket"]["name"]), unquote_plus(s3["object"]["key"])


def _of_filer(path: str, message: dict[str, Any]) -> Iterator[Named]:
    """The path an entry had, and where a rename took it.

    A folder that appears is no news: whatever is in it has notices of its own.
    """
    before, after = message.get("old_entry"), message.get("new_entry")
    entry = after or before or {}
    end = "/" if entry.get("is_directory") else ""
    if end and not before:
        return
    moved = f"{message.get('new_parent_path') or ''}/{entry.get('name') or ''}"
    for place in (f"{path}{end}", f"{moved}{end}"):
        if place.startswith(FILER_BUCKETS):
            bucket, _, key = place.removeprefix(FILER_BUCKETS).partition("/")
            yield bucket, key
