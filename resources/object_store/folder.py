"""A local folder as an object store.

Here: what obstore's client of a folder lacks. Not here: the rest (obstore.py).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from resources.object_store.obstore import ObstoreObjectStore


class FolderObjectStore(ObstoreObjectStore):
    """A folder, `file:///folder`."""

    def swap(self, key: str, data: bytes, etag: str) -> bool:
        """Overwrite an object only if its etag is still `etag`; False if it is not."""
        with self._alone():
            try:
                unchanged = self.head(key).etag == etag
            except FileNotFoundError:
                return False
            if unchanged:
                self.put(key, data)
            return unchanged

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process or thread swaps: the folder itself is what they lock."""
        folder = os.open(Path(unquote(urlsplit(self._url).path)), os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
