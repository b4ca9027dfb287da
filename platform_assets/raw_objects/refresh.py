"""Brings the manifest in line with the lake. Bytes are read only of objects that look new."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.raw_objects.arrivals import Arrivals
from platform_assets.raw_objects.table import RAW_OBJECTS, document_id
from platform_assets.reconcile import Plan, diff, fingerprint, fingerprints
from platform_assets.tables import OwnRows, rows_of
from resources.object_store import ObjectInfo, ObjectStore
from resources.warehouse import Warehouse

WAVE = 20_000
"""Objects in one commit."""
READERS = 8
"""Objects read at a time for their digest."""
PAGE = 10_000
"""Objects of a listing held as Python's objects at a time."""
_LISTED = ("doc_id", "key", "size", "etag", "modified")
LISTING = pa.schema([RAW_OBJECTS.schema.field(name).remove_metadata() for name in _LISTED])


def listing(lake: ObjectStore, corpus: str) -> pa.Table:
    """Objects of a corpus, `LISTING` columns; the markers consoles make for folders are none.

    Streamed into Arrow: about 200 bytes an object, an eighth of what Python's objects take.
    """
    items = iter(lake.objects(f"{corpus}/"))
    batches = iter(lambda: list(islice(items, PAGE)), [])
    return pa.Table.from_batches((_listed(corpus, batch) for batch in batches), LISTING)


def fingerprinted(objects: pa.Table, code_version: str) -> pa.Table:
    """A listing with the column `fingerprint`: digests of what it says of each object."""
    parts = [_fingerprints(batch, code_version) for batch in objects.to_batches(PAGE)]
    return objects.append_column("fingerprint", pa.chunked_array(parts, pa.string()))


def plan(objects: pa.Table, own: OwnRows) -> Plan:
    """What of a fingerprinted listing the manifest does not hold, or holds otherwise."""
    wanted = fingerprints(objects.column("doc_id"), objects.column("fingerprint"))
    return diff(wanted, own.fingerprints())


def refresh(
    corpus: str,
    lake: ObjectStore,
    warehouse: Warehouse,
    code_version: str,
    arrivals: Arrivals | None = None,
) -> OwnRows:
    """Reconcile the manifest of one corpus with the lake; `arrivals` counts what is taken in."""
    objects = fingerprinted(listing(lake, corpus), code_version)
    own = OwnRows(warehouse, RAW_OBJECTS, {"corpus": corpus})

    def compute(doc_ids: Sequence[str]) -> pa.Table:
        chosen = pc.is_in(objects.column("doc_id"), pa.array(doc_ids, pa.string()))
        rows = {row["doc_id"]: row for row in objects.filter(chosen).to_pylist()}
        with ThreadPoolExecutor(READERS) as readers:
            keys = [f"{corpus}/{row['key']}" for row in rows.values()]
            digests = list(readers.map(lambda key: _digest(lake, key), keys))
        found = zip(rows.values(), digests, strict=True)
        if arrivals:
            arrivals.add(row["modified"] for row in rows.values())
        return rows_of(RAW_OBJECTS, [{**row, "sha256": sha256} for row, sha256 in found if sha256])

    own.carry_out(plan(objects, own), compute, {}, WAVE)
    return own


def _listed(corpus: str, items: Sequence[ObjectInfo]) -> pa.RecordBatch:
    keys = [(item.key.removeprefix(f"{corpus}/"), item) for item in items]
    there = [(key, item) for key, item in keys if item.size or not key.endswith("/")]
    columns = [
        [document_id(corpus, key) for key, _ in there],
        [key for key, _ in there],
        [item.size for _, item in there],
        [item.etag for _, item in there],
        [item.modified for _, item in there],
    ]
    arrays = [pa.array(c, field.type) for c, field in zip(columns, LISTING, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=LISTING)


def _fingerprints(batch: pa.RecordBatch, code_version: str) -> pa.Array:
    columns = (batch.column(name).to_pylist() for name in ("etag", "size", "modified"))
    return pa.array(
        [
            fingerprint(code_version, etag, str(size), modified.isoformat())
            for etag, size, modified in zip(*columns, strict=True)
        ],
        pa.string(),
    )


def _digest(lake: ObjectStore, key: str) -> str | None:
    """Digest of an object's bytes; None if it was deleted after it was listed."""
    try:
        return lake.sha256(key)
    except FileNotFoundError:
        return None
