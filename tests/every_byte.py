"""Looking for a marker in every byte of a folder: the tests' own search, not the platform's.

Here: raw bytes, and what Parquet, Avro, gzip and SQLite hide from a search of raw bytes.
"""

import gzip
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
from pyiceberg.avro.file import AvroFile
from pyiceberg.io.pyarrow import PyArrowFileIO


def holders(root: Path, markers: Sequence[str]) -> dict[str, set[str]]:
    """Form -> files below a folder that hold one of the markers in that form."""
    found: dict[str, set[str]] = {}
    for path in (path for path in root.rglob("*") if path.is_file()):
        for form, text in forms(path):
            if any(marker.encode() in text for marker in markers):
                found.setdefault(form, set()).add(path.relative_to(root).as_posix())
    return found


def forms(path: Path) -> Iterator[tuple[str, bytes]]:
    """(form, bytes) pairs of a file."""
    data = path.read_bytes()
    yield "raw", data
    if data.startswith(b"PAR1"):
        yield "parquet", repr(pq.read_table(path).to_pylist()).encode()
    elif data.startswith(b"Obj\x01"):
        with AvroFile(PyArrowFileIO().new_input(str(path))) as records:
            yield "avro", b"".join(repr(record).encode() for record in records)
    elif data.startswith(b"\x1f\x8b"):
        yield "gzip", gzip.decompress(data)
    elif data.startswith(b"SQLite format 3"):
        yield "sqlite", b"".join(_values(path))


def _values(path: Path) -> Iterator[bytes]:
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        for row in connection.execute(f'SELECT * FROM "{name}"'):
            for value in row:
                yield _plain(value) if isinstance(value, bytes) else str(value).encode()
    connection.close()


def _plain(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value
