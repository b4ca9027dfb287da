"""Forms: text that a search of raw bytes would miss, because a file is compressed.

Here: a file in blocks, and the text inside Parquet, Avro, gzip and zip files and inside SQLite's
compressed values.
Not here: the search (search.py).
"""

import gzip
import io
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from platform_assets.erasure.passages import WINDOW

HEAD = 16
"""First bytes of a file that tell its form."""
READ_BYTES = 1 << 23
_BYTES = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_SYNC = 16

Text = Iterator[bytes | memoryview]
_DAMAGED = (
    *(pa.ArrowException, OSError, EOFError, KeyError, IndexError, RuntimeError),
    *(zlib.error, zipfile.BadZipFile, sqlite3.Error),
)
"""What readers raise for a file that is not what it seems, or encrypted."""


class Readable(Protocol):
    """An open file."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many."""
        ...


def form_of(head: bytes) -> str | None:
    """Name of the form that a file's first bytes announce; None for plain bytes."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def decoded(form: str, file: BinaryIO) -> Text:
    """What stands in a file of a form.

    Raises:
        ValueError: it is no such file, or damaged.
    """
    try:
        yield from _READERS[form](file)
    except _DAMAGED as error:
        raise ValueError(f"{form} cannot be read: {error}") from error


def blocks(file: Readable) -> Iterator[bytes]:
    """A file in blocks that overlap by less than a passage."""
    tail = b""
    while block := file.read(READ_BYTES):
        both = tail + block
        yield both
        tail = both[1 - WINDOW :]


def buffers(column: pa.ChunkedArray | pa.Array) -> Text:
    """The bytes behind an Arrow column: its strings lie in them one after another."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    for chunk in chunks:
        yield from (memoryview(buffer) for buffer in chunk.buffers() if buffer is not None)


def _parquet(file: BinaryIO) -> Text:
    parquet = pq.ParquetFile(file)
    leaves = (parquet.schema.column(index) for index in range(len(parquet.schema)))
    names = {leaf.path.split(".")[0] for leaf in leaves if leaf.physical_type in _BYTES}
    for group in range(parquet.num_row_groups):
        for column in parquet.read_row_group(group, columns=sorted(names)).columns:
            yield from buffers(column)


def _avro(file: BinaryIO) -> Text:
    """Blocks of an Avro file (specification 1.11, object container files), decompressed."""
    from pyiceberg.avro.codecs import AVRO_CODEC_KEY, KNOWN_CODECS

    file.seek(4)
    header: dict[str, bytes] = {}
    while count := _long(file):
        if count < 0:
            _long(file)
        for _ in range(abs(count)):
            name = file.read(_long(file)).decode()
            header[name] = file.read(_long(file))
    yield from header.values()
    file.read(_SYNC)
    codec = KNOWN_CODECS[header.get(AVRO_CODEC_KEY, b"null").decode()]  # type: ignore[index]
    while _more(file):
        _long(file)
        block = file.read(_long(file))
        yield codec.decompress(block) if codec else block
        file.read(_SYNC)


def _more(file: BinaryIO) -> bool:
    ahead = file.read(1)
    file.seek(-len(ahead), io.SEEK_CUR)
    return bool(ahead)


def _long(file: BinaryIO) -> int:
    """A zigzag variable-length integer."""
    value, shift, byte = 0, 0, 0x80
    while byte & 0x80:
        byte = file.read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value >> 1) ^ -(value & 1)


def _gzip(file: BinaryIO) -> Text:
    with gzip.open(file) as plain:
        yield from blocks(plain)


def _zip(file: BinaryIO) -> Text:
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                yield from blocks(member)


def _sqlite(file: BinaryIO) -> Text:
    """Values that zlib compressed, as Dagster stores some; the others stand in the pages."""
    name = getattr(file, "name", None)
    if not isinstance(name, str):
        return
    with closing(sqlite3.connect(f"{Path(name).as_uri()}?mode=ro", uri=True)) as database:
        for table, column in columns_of(database):
            query = f'SELECT "{column}" FROM "{table}" WHERE typeof("{column}") = \'blob\''  # noqa: S608
            for (value,) in database.execute(query):
                try:
                    yield zlib.decompress(value)
                except zlib.error:
                    continue


def columns_of(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """(table, column) pairs of a database."""
    query = (
        "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c "
        "WHERE t.type = 'table'"
    )
    return database.execute(query).fetchall()


_MAGIC: Mapping[bytes, str] = {
    b"PAR1": "parquet",
    b"Obj\x01": "avro",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"SQLite format 3\0": "sqlite",
}
_READERS: Mapping[str, Callable[[BinaryIO], Text]] = {
    "parquet": _parquet,
    "avro": _avro,
    "gzip": _gzip,
    "zip": _zip,
    "sqlite": _sqlite,
}
