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
    version: str = ""
    """Names one version of the object in a bucket that keeps several."""


class ObjectStore(Protocol):
    """A bucket: keys to bytes.

    Every method raises PermissionError where the store refuses the credentials and ConnectionError
    where it does not answer; both name the variables to set and hold no secret.
    """

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix`, streamed in no promised order."""
        ...

    def prefixes(self) -> list[str]:
        """First-level prefixes, sorted, without the slash."""
        ...

    def head(self, key: str) -> ObjectInfo:
        """What a listing says of one object.

        Raises:
            FileNotFoundError: there is no such object.
        """
        ...

    def get(self, key: str, version: str | None = None) -> bytes:
        """The object's bytes, of the newest version or of one that `versions` named.

        Raises:
            FileNotFoundError: there is no such object.
        """
        ...

    def download(self, key: str, path: Path) -> None:
        """Stream an object to a local file, which appears whole or not at all.

        Raises:
            FileNotFoundError: there is no such object.
        """
        ...

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object atomically, from bytes or streamed from a file.

        Raises:
            ValueError: the store cannot hold such a key.
        """
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if there is none; False if there was. Of racing writers one wins.

        Raises:
            ConnectionError: the store did not answer; the object may or may not be written.
        """
        ...

    def swap(self, key: str, data: bytes, etag: str) -> bool:
        """Overwrite an object only if its etag is still `etag`; False if it is not.

        Raises:
            ConnectionError: the store did not answer; the object may or may not be written.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none. A versioned bucket keeps its past."""
        ...

    def versions(self, key: str) -> list[ObjectInfo]:
        """Every stored version of an object, newest first; one where the store keeps no others."""
        ...

    def purge(self, key: str) -> None:
        """Remove an object with every version of it that the store can list."""
        ...

    def forget_past(self, prefix: str) -> int:
        """Remove all but the newest version of every object below `prefix`; returns how many.

        Nothing happens where the store keeps no others, or cannot list them.
        """
        ...

    def sha256(self, key: str) -> str:
        """sha256 of the object's bytes, streamed.

        Raises:
            FileNotFoundError: there is no such object.
        """
        ...
