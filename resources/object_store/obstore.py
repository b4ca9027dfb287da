"""Object storage through obstore: Google Cloud Storage and Azure Blob by URL.

Here: the adapter that S3 (s3.py) and the local folder (folder.py) build on. Not here: how clients
are configured (clients.py), meaning of keys.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from resources.object_store import ObjectInfo
from resources.object_store.clients import (
    attempts,
    be_patient_anew,
    clear_errors,
    open_client,
    served,
)
from resources.object_store.errors import unfit

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

CHUNK_BYTES = 8 * 1024 * 1024
KEY_BYTES = 1024
"""What every store but the local folder takes."""
CONTROL = re.compile("[\x00-\x1f\x7f]")


class ObstoreObjectStore:
    """A bucket, or a folder within one, behind obstore's client."""

    def __init__(self, url: str) -> None:
        """Open `gs://bucket/prefix`, `az://container/prefix` or what a subclass knows.

        Credentials, region and endpoint come from each system's standard variables.
        """
        self._url = url
        self._client = open_client(url)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        """Pickled as its URL: whoever reads it connects with variables of its own."""
        return type(self), (self._url,)

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix`, streamed; a page that fails is asked for anew.

        Patience is for one page, however long the listing is and whatever is done meanwhile.
        """
        after = ""
        for attempt in attempts():
            with attempt:
                for item in self._listed(prefix, after):
                    yield item
                    after = item.key
                    be_patient_anew(attempt)

    def prefixes(self) -> list[str]:
        """First-level prefixes, sorted."""
        found = served(self._url, self._client.list_with_delimiter)["common_prefixes"]
        return sorted(str(prefix) for prefix in found)

    def head(self, key: str) -> ObjectInfo:
        """What a listing says of one object; FileNotFoundError if there is none."""
        path = self._path(key)
        return self._info(served(self._url, lambda: self._client.head(path)))

    def get(self, key: str, version: str | None = None) -> bytes:
        """The bytes of an object, or of one version of it; FileNotFoundError if there is none."""
        return b"".join(self._stream(key, version))

    def download(self, key: str, path: Path) -> None:
        """Stream an object to a file, which appears whole or not at all."""
        with TemporaryDirectory(dir=path.parent) as folder:
            scratch = Path(folder) / "object"
            with scratch.open("wb") as file:
                file.writelines(self._stream(key))
            scratch.replace(path)

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object atomically, from bytes or streamed from a file."""
        path = self._path(key)
        served(self._url, lambda: self._client.put(path, data))

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if there is none; False if there was."""
        from obstore.exceptions import AlreadyExistsError

        with clear_errors(self._url):
            try:
                self._client.put(self._path(key), data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def swap(self, key: str, data: bytes, etag: str) -> bool:
        """Overwrite an object only if its etag is still `etag`; False if it is not."""
        from obstore.exceptions import PreconditionError

        with clear_errors(self._url):
            try:
                self._client.put(self._path(key), data, mode={"e_tag": etag})
            except (PreconditionError, FileNotFoundError):
                return False
        return True

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        path = self._path(key)
        with suppress(FileNotFoundError):
            served(self._url, lambda: self._client.delete(path))

    def versions(self, key: str) -> list[ObjectInfo]:
        """The present version alone: of these stores the client lists no others."""
        try:
            return [self.head(key)]
        except FileNotFoundError:
            return []

    def purge(self, key: str) -> None:
        """Remove an object; a bucket that keeps its past must be told by a rule of its own."""
        self.delete(key)

    def forget_past(self, _prefix: str) -> int:
        """Nothing: of these stores the client lists no earlier versions."""
        return 0

    def sha256(self, key: str) -> str:
        """sha256 of the object's bytes, streamed."""
        digest = hashlib.sha256()
        for part in self._stream(key):
            digest.update(part)
        return digest.hexdigest()

    def _info(self, meta: "ObjectMeta") -> ObjectInfo:
        etag, version = str(meta["e_tag"] or ""), str(meta["version"] or "")
        if self._url.startswith("az:"):  # its listing leaves out the quotes
            etag = '"' + etag.strip('"') + '"'
        return ObjectInfo(
            str(meta["path"]), int(meta["size"]), etag, meta["last_modified"], version
        )

    def _path(self, key: str) -> str:
        """The key, if the client leaves it as it is."""
        if why := unaddressable(key):
            raise unfit(self._url, f"{key!r} has {why}")
        return key

    def _listed(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        folder = prefix.rsplit("/", 1)[0] if "/" in prefix else ""
        with clear_errors(self._url):
            for batch in self._client.list(folder or None, offset=after or None, chunk_size=1000):
                for meta in batch:
                    if str(meta["path"]).startswith(prefix):
                        yield self._info(meta)

    def _stream(self, key: str, version: str | None = None) -> Iterator[memoryview]:
        """The bytes of an object; where an answer breaks off, the rest is asked for.

        Patience is for one part, however long the whole takes: the client gives an answer half a
        minute, and an object that has a slow way takes longer.
        """
        from obstore.exceptions import PreconditionError

        path, done, size = self._path(key), 0, -1
        options: GetOptions = {"version": version} if version else {}
        for attempt in attempts():
            with attempt, clear_errors(self._url):
                if done == size:  # it broke off behind the last byte
                    return
                try:
                    found = self._client.get(path, options=options)
                except PreconditionError:
                    raise FileNotFoundError(f"{key} changed while it was read") from None
                size = int(found.meta["size"])
                for part in found.stream(min_chunk_size=CHUNK_BYTES):
                    yield memoryview(part)
                    done += len(part)
                    options = {**options, "range": {"offset": done}}
                    options["if_match"] = found.meta["e_tag"]
                    be_patient_anew(attempt)


def unaddressable(key: str) -> str | None:
    """What of a key the client would refuse or alter; None for a key it can address."""
    if len(key.encode()) > KEY_BYTES:
        return f"over {KEY_BYTES} bytes"
    if not {"", ".", ".."}.isdisjoint(key.split("/")):
        return "a part between slashes that is empty, `.` or `..`"
    return "control characters" if CONTROL.search(key) else None
