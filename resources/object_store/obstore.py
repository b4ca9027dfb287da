"""Object storage through obstore: a local folder, S3, Google Cloud Storage or Azure Blob by URL.

Here: the adapter. Not here: meaning of keys.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from resources.object_store import ObjectInfo

if TYPE_CHECKING:
    import obstore.store

CHUNK_BYTES = 8 * 1024 * 1024


class ObstoreObjectStore:
    """A bucket, or a folder within one, behind obstore's client."""

    def __init__(self, url: str) -> None:
        """Open `file:///folder`, `s3://bucket/prefix`, `gs://...` or `az://...`.

        Credentials, region and endpoint come from each system's standard variables.
        """
        self._store = _open(url)

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix`, streamed."""
        folder = prefix.rsplit("/", 1)[0] if "/" in prefix else ""
        for batch in self._store.list(folder or None, chunk_size=1000):
            for meta in batch:
                key = str(meta["path"])
                if key.startswith(prefix):
                    etag = str(meta["e_tag"] or "")
                    yield ObjectInfo(key, int(meta["size"]), etag, meta["last_modified"])

    def prefixes(self) -> list[str]:
        """First-level prefixes, sorted."""
        return sorted(
            str(prefix) for prefix in self._store.list_with_delimiter()["common_prefixes"]
        )

    def get(self, key: str) -> bytes:
        """The object's bytes; FileNotFoundError if there is none."""
        return bytes(self._store.get(key).bytes())

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object atomically, from bytes or streamed from a file."""
        self._store.put(key, data)

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        try:
            self._store.delete(key)
        except FileNotFoundError:
            return

    def sha256(self, key: str) -> str:
        """sha256 of the object's bytes, streamed."""
        digest = hashlib.sha256()
        for part in self._store.get(key).stream(min_chunk_size=CHUNK_BYTES):
            digest.update(part)
        return digest.hexdigest()


def _open(url: str) -> "obstore.store.ObjectStore":
    from obstore.store import LocalStore, from_url

    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder)
    return from_url(url)
