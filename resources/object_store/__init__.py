"""Object storage: the data lake's bucket.

Here: the protocol; one file for each storage client implements it.
Not here: what the keys mean (platform_assets/raw_objects), tables (resources/warehouse).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says of one object."""

    key: str
    size: int
    """Bytes."""
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """A bucket: keys to bytes."""

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix`, streamed in no promised order."""
        ...

    def prefixes(self) -> list[str]:
        """First-level prefixes, sorted, without the slash."""
        ...

    def get(self, key: str) -> bytes:
        """The object's bytes.

        Raises:
            FileNotFoundError: there is no such object.
        """
        ...

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object atomically, from bytes or streamed from a file."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""
        ...

    def sha256(self, key: str) -> str:
        """sha256 of the object's bytes, streamed.

        Raises:
            FileNotFoundError: there is no such object.
        """
        ...
