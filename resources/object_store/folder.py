"""A local folder as an object store.

Here: what obstore's client of a folder lacks. Not here: the rest (obstore.py).
"""

import logging
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from resources.object_store import ObjectInfo
from resources.object_store.obstore import ObstoreObjectStore, unaddressable
from resources.process_lock import alone_in

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNFINISHED = re.compile(r"#\d+$")
"""End of the names under which the client writes what is not complete."""


class FolderObjectStore(ObstoreObjectStore):
    """A folder, `file:///folder`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._root = Path(unquote(urlsplit(url).path))

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Files whose key begins with `prefix`, streamed.

        People put files here themselves, with any name a disk can hold. Those that no key can say
        are left out, with a warning; the client's own listing would end at the first of them.
        """
        for path in _files(self._root / prefix.rpartition("/")[0]):
            key = path.removeprefix(f"{self._root}/")
            if why := _unfit(key):
                logging.getLogger(__name__).warning("%a is left out: it has %s", key, why)
            elif key.startswith(prefix):
                try:
                    yield _info(key, os.stat(path))  # noqa: PTH116
                except FileNotFoundError:  # deleted meanwhile, or a link to nothing
                    continue

    def prefixes(self) -> list[str]:
        """First-level folders, sorted."""
        return sorted(entry.name for entry in os.scandir(self._root) if entry.is_dir())

    def swap(self, key: str, data: bytes, etag: str) -> bool:
        """Overwrite an object only if its etag is still `etag`; False if it is not."""
        with alone_in(self._root):
            try:
                unchanged = self.head(key).etag == etag
            except FileNotFoundError:
                return False
            if unchanged:
                self.put(key, data)
            return unchanged


def _files(folder: Path) -> Iterator[str]:
    """Paths of the files at any depth; links are followed, though not in circles."""
    seen = set()
    for place, folders, names in os.walk(folder, onerror=_unless_gone, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (f"{place}/{name}" for name in names)


def _unless_gone(error: OSError) -> None:
    """A folder that cannot be read is no empty one: nobody is to take its files for deleted."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _unfit(key: str) -> str | None:
    try:
        key.encode()
    except UnicodeEncodeError:
        return "letters that are not UTF-8"
    if _UNFINISHED.search(key):
        return "an end as unfinished uploads have"
    return unaddressable(key)


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    """What the client would say of the file."""
    micros = found.st_mtime_ns // 1000
    etag = f'"{found.st_ino:x}-{micros:x}-{found.st_size:x}"'
    return ObjectInfo(key, found.st_size, etag, EPOCH + timedelta(microseconds=micros))
