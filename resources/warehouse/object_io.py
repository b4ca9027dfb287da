"""The tables' files in an object store, through the same client as the lake's objects.

Here: pyiceberg's file access on obstore, so that one set of variables says where the store is, who
may use it, how it encrypts and how patient it is; and the catalog properties that choose it.
Not here: the catalogs (iceberg.py), the clients (resources/object_store/clients.py).
"""

import io
from collections.abc import Sequence
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import fs

from resources.object_store.clients import open_client, served

if TYPE_CHECKING:
    from obstore.store import ObjectStore
    from pyiceberg.io import FileIO

WHOLE_BYTES = 4 * 1024 * 1024
"""What one request brings; a smaller file is read with that one request."""
UPLOAD_MEMORY_BYTES = 32 * 1024 * 1024
"""What a file that is being written takes of memory before it goes to a temporary file."""


def file_properties(location: str) -> dict[str, str]:
    """Catalog properties by which pyiceberg reaches the files under a location."""
    local = location.startswith("file:")
    return {} if local else {"py-io-impl": f"{__name__}.{object_file_io.__name__}"}


def object_file_io(properties: dict[str, str]) -> "FileIO":
    """File access for pyiceberg; what a catalog says of credentials does not count here."""
    from pyiceberg.io.pyarrow import PyArrowFileIO

    files = PyArrowFileIO(properties)
    files.fs_by_scheme = _file_system
    return files


def _file_system(scheme: str, bucket: str | None) -> fs.FileSystem:
    if scheme == "file":
        return fs.LocalFileSystem()
    return fs.PyFileSystem(ObjectFiles(f"{scheme}://{bucket}"))


class ObjectFiles(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """Files of one bucket for pyarrow; paths begin with the bucket's name."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectFiles) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)

    @property
    def _client(self) -> "ObjectStore":
        return open_client(self._url)

    def get_type_name(self) -> str:
        """Name of the kind of file system."""
        return "obstore"

    def normalize_path(self, path: str) -> str:
        """The path as it is."""
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[fs.FileInfo]:
        """What there is at each path."""
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        """Every file below a folder, at any depth; an object store has no folders to be missing."""
        bucket, _, prefix = selector.base_dir.partition("/")
        listed = served(self._url, lambda: list(chain.from_iterable(self._client.list(prefix))))
        return [
            fs.FileInfo(
                f"{bucket}/{found['path']}",
                fs.FileType.File,
                size=found["size"],
                mtime=found["last_modified"],
            )
            for found in listed
        ]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """A file to read at any position; a small one is fetched whole."""

        def begin() -> tuple[int, bytes]:
            begun = self._client.get(_key(path), options={"range": (0, WHOLE_BYTES)})
            return begun.meta["size"], bytes(begun.bytes())

        size, beginning = served(self._url, begin)
        if size <= WHOLE_BYTES:
            return pa.BufferReader(beginning)
        return pa.PythonFile(_Ranges(self._url, _key(path), size, beginning), mode="r")

    def open_input_stream(self, path: str) -> pa.NativeFile:
        """A file to read from its beginning."""
        return self.open_input_file(path)

    def open_output_stream(self, path: str, _: Any) -> pa.NativeFile:
        """A file to write; it is there when it is closed, and not before."""
        return pa.PythonFile(_Upload(self._client, self._url, _key(path)), mode="w")

    def delete_file(self, path: str) -> None:
        """Remove a file."""
        served(self._url, lambda: self._client.delete(_key(path)))

    def _info(self, path: str) -> fs.FileInfo:
        try:
            found = served(self._url, lambda: self._client.head(_key(path)))
        except FileNotFoundError:
            return fs.FileInfo(path, fs.FileType.NotFound)
        kind, modified = fs.FileType.File, found["last_modified"]
        return fs.FileInfo(path, kind, size=found["size"], mtime=modified)

    def _absent(self, *_: Any) -> Any:
        raise NotImplementedError("Iceberg needs no folders, copies and appends")

    create_dir = delete_dir = delete_dir_contents = _absent
    delete_root_dir_contents = move = copy_file = open_append_stream = _absent


class _Ranges(io.RawIOBase):
    """A file of which each read is a request of its own, tried again if it fails."""

    def __init__(self, url: str, key: str, size: int, beginning: bytes) -> None:
        self._url, self._source, self._size = url, key, size
        self._beginning, self._position = beginning, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Say where the next read begins."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        start = min(self._position, self._size)
        end = self._size if size < 0 else min(start + size, self._size)
        self._position = end
        if end <= max(start, len(self._beginning)):
            return self._beginning[start:end]
        client, where = open_client(self._url), {"start": start, "end": end}
        return served(self._url, lambda: bytes(client.get_range(self._source, **where)))


class _Upload(SpooledTemporaryFile[bytes]):
    """What is written goes to the store, in parts where it is large, when the file is closed."""

    def __init__(self, client: "ObjectStore", url: str, key: str) -> None:
        super().__init__(UPLOAD_MEMORY_BYTES)
        self._client, self._url, self._target = client, url, key

    def close(self) -> None:
        """Write the object."""
        if self.closed:
            return
        try:
            served(self._url, self._send)
        finally:
            super().close()

    def _send(self) -> None:
        self.seek(0)
        self._client.put(self._target, self)


def _key(path: str) -> str:
    return path.partition("/")[2]
