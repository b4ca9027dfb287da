"""Brings the manifest in line with the lake. Bytes are read only of objects that look new."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.buckets import Buckets, Source
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
_LISTED = ("key", "size", "etag", "modified")
LISTING = pa.schema([RAW_OBJECTS.schema.field(name).remove_metadata() for name in _LISTED])
IDENTIFIED = LISTING.append(pa.field("doc_id", pa.string())).append(
    pa.field("fingerprint", pa.string())
)


def listing(lake: ObjectStore, corpus: str) -> pa.Table:
    """Objects of a corpus, `LISTING` columns; the markers consoles make for folders are none.

    Streamed into Arrow: about 200 bytes an object, an eighth of what Python's objects take.
    """
    items = iter(lake.objects(f"{corpus}/"))
    batches = iter(lambda: list(islice(items, PAGE)), [])
    return pa.Table.from_batches((_listed(corpus, batch) for batch in batches), LISTING)


@dataclass(frozen=True, slots=True)
class Compared:
    """The lake held against the manifest."""

    objects: pa.Table
    """Columns of `LISTING`, `doc_id` and `fingerprint`: objects of the buckets looked at."""
    own: OwnRows
    plan: Plan
    """What the manifest does not hold, or holds otherwise."""


def compare(corpus: str, lake: ObjectStore, warehouse: Warehouse, code_version: str) -> Compared:
    """List a corpus and find what the manifest lacks.

    All objects are compared by what the listing says of them. Ids and fingerprints are worked out
    where something differs: in the buckets that hold it.
    """
    scope, objects = {"corpus": corpus}, listing(lake, corpus)
    now = Source.now(warehouse, RAW_OBJECTS, scope)
    buckets = Buckets(lake, warehouse, f"raw_objects/{corpus}", [code_version], [], [now])
    if buckets.known:
        objects = _of_open(corpus, objects, now, buckets, warehouse)
    own = OwnRows(warehouse, RAW_OBJECTS, scope, buckets=buckets)
    parts = [_identified(corpus, code_version, batch) for batch in objects.to_batches(PAGE)]
    found = pa.Table.from_batches(parts, IDENTIFIED)
    wanted = fingerprints(found.column("doc_id"), found.column("fingerprint"))
    return Compared(found, own, diff(wanted, own.fingerprints()))


def refresh(
    corpus: str,
    lake: ObjectStore,
    warehouse: Warehouse,
    code_version: str,
    arrivals: Arrivals | None = None,
) -> OwnRows:
    """Reconcile the manifest of one corpus with the lake; `arrivals` counts what is taken in."""
    found = compare(corpus, lake, warehouse, code_version)

    def compute(doc_ids: Sequence[str]) -> pa.Table:
        chosen = pc.is_in(found.objects.column("doc_id"), pa.array(doc_ids, pa.string()))
        rows = {row["doc_id"]: row for row in found.objects.filter(chosen).to_pylist()}
        with ThreadPoolExecutor(READERS) as readers:
            keys = [f"{corpus}/{row['key']}" for row in rows.values()]
            digests = list(readers.map(lambda key: _digest(lake, key), keys))
        read = zip(rows.values(), digests, strict=True)
        if arrivals:
            arrivals.add(row["modified"] for row in rows.values())
        return rows_of(RAW_OBJECTS, [{**row, "sha256": sha256} for row, sha256 in read if sha256])

    found.own.carry_out(found.plan, compute, {}, WAVE)
    return found.own


def _of_open(
    corpus: str, objects: pa.Table, manifest: Source, buckets: Buckets, warehouse: Warehouse
) -> pa.Table:
    """The objects of open buckets, after those in which something differs are open."""
    differing = _differing(objects, manifest.scan(warehouse, _LISTED))
    buckets.reopen([document_id(corpus, key) for key in differing])
    if not buckets.known:
        return objects
    rows = manifest.scan(warehouse, ["key"], buckets.open)
    keys = pa.concat_arrays([*rows.column("key").chunks, pa.array(differing, pa.string())])
    return objects.filter(pc.is_in(objects.column("key"), keys))


def _differing(objects: pa.Table, manifest: pa.Table) -> list[str]:
    """Keys of which listing and manifest say different things, or one of them nothing."""
    listed, noted = _told(objects), _told(manifest)
    of_objects = objects.column("key").filter(pc.invert(pc.is_in(listed, noted)))
    of_manifest = manifest.column("key").filter(pc.invert(pc.is_in(noted, listed)))
    return sorted({*of_objects.to_pylist(), *of_manifest.to_pylist()})


def _told(objects: pa.Table) -> pa.Array:
    """All that a listing says of each object, in one text."""
    text = pa.large_string()  # those of twenty million objects are more than two gigabytes
    parts = [objects.column(name).cast(text) for name in ("key", "etag", "size")]
    modified = objects.column("modified").cast(pa.int64()).cast(text)
    joined = pc.binary_join_element_wise(*parts, modified, pa.scalar("\x1f", text))
    return pa.concat_arrays([pa.array([], text), *joined.chunks])


def _listed(corpus: str, items: Sequence[ObjectInfo]) -> pa.RecordBatch:
    start = len(corpus) + 1
    rows = [
        (item.key[start:], item.size, item.etag, item.modified)
        for item in items
        if item.size or not item.key.endswith("/")
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(LISTING)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, LISTING, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=LISTING)


def _identified(corpus: str, code_version: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """A listing with ids, and digests of what it says of each object."""
    columns = (batch.column(name).to_pylist() for name in ("etag", "size", "modified"))
    prints = [
        fingerprint(code_version, etag, str(size), modified.isoformat())
        for etag, size, modified in zip(*columns, strict=True)
    ]
    ids = [document_id(corpus, key) for key in batch.column("key").to_pylist()]
    more = [pa.array(ids, pa.string()), pa.array(prints, pa.string())]
    return pa.RecordBatch.from_arrays([*batch.columns, *more], schema=IDENTIFIED)


def _digest(lake: ObjectStore, key: str) -> str | None:
    """Digest of an object's bytes; None if it was deleted after it was listed."""
    try:
        return lake.sha256(key)
    except FileNotFoundError:
        return None
