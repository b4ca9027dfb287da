"""What the lake says of a corpus's objects: as rows, and as one digest of them all.

Here: whole listings, and the objects that somebody named. Not here: the manifest (refresh.py).
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pyarrow as pa

from platform_assets.raw_objects.table import RAW_OBJECTS
from resources.object_store import ObjectInfo, ObjectStore

READERS = 8
"""Objects asked for at a time."""
PAGE = 10_000
"""Objects of a listing held as Python's objects at a time."""
TOLD = ("key", "size", "etag", "modified")
LISTING = pa.schema([RAW_OBJECTS.schema.field(name).remove_metadata() for name in TOLD])
MODULUS = 2**256
LISTING_METADATA = "lakeloom/listing"
"""Metadata key of a materialised manifest: digest of the listing that it was held against."""


def listing(lake: ObjectStore, corpus: str) -> pa.Table:
    """Objects of a corpus, `LISTING` columns; the markers consoles make for folders are none.

    Streamed into Arrow: about 200 bytes an object, an eighth of what Python's objects take.
    """
    items = iter(lake.objects(f"{corpus}/"))
    batches = iter(lambda: list(islice(items, PAGE)), [])
    return pa.Table.from_batches((_rows(corpus, batch) for batch in batches), LISTING)


def named(lake: ObjectStore, corpus: str, keys: Sequence[str]) -> pa.Table:
    """Like `listing`, of those of the named objects that are there.

    Raises:
        ValueError: the store cannot hold one of the keys, or has no such bucket.
    """
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda key: _head(lake, f"{corpus}/{key}"), keys)
        return pa.Table.from_batches([_rows(corpus, [each for each in found if each])], LISTING)


def object_number(key: str, etag: str, size: int) -> int:
    """An object as a number; sums of them tell sets of objects apart, whatever the order.

    A multiset hash (Clarke et al. 2003), of 256 bits: sums are taken modulo `MODULUS`.
    """
    seen = f"{key}\x1f{etag}\x1f{size}".encode()
    return int.from_bytes(hashlib.sha256(seen).digest(), "big")


def listing_digest(numbers: Iterable[int]) -> str:
    """Digest of a listing from the numbers of its objects, or sums of such."""
    return f"{sum(numbers) % MODULUS:064x}"


def _head(lake: ObjectStore, key: str) -> ObjectInfo | None:
    try:
        return lake.head(key)
    except FileNotFoundError:
        return None


def _rows(corpus: str, items: Sequence[ObjectInfo]) -> pa.RecordBatch:
    """Times are to the second: some stores tell more in a listing than of one object."""
    start = len(corpus) + 1
    rows = [
        (item.key[start:], item.size, item.etag, item.modified.replace(microsecond=0))
        for item in items
        if item.size or not item.key.endswith("/")
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(LISTING)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, LISTING, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=LISTING)
