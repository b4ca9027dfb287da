"""Brings the manifest in line with the lake. Bytes are read only of objects that look new."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.raw_objects.arrivals import Arrivals
from platform_assets.raw_objects.listings import (
    LISTING,
    PAGE,
    READERS,
    TOLD,
    listing,
    listing_digest,
    named,
    object_number,
)
from platform_assets.raw_objects.table import RAW_OBJECTS, document_id
from platform_assets.reconcile import Plan, diff, fingerprint, fingerprints
from platform_assets.slices import Slices, Source
from platform_assets.tables import OwnRows, keep, rows_of
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

LISTED = "listing"
"""Name, in the note of a slice, of the sum of its objects' numbers."""
WAVE = 20_000
"""Objects in one commit."""
IDENTIFIED = LISTING.append(pa.field("doc_id", pa.string())).append(
    pa.field("fingerprint", pa.string())
)


@dataclass(frozen=True, slots=True)
class Compared:
    """The lake held against the manifest."""

    objects: pa.Table
    """Columns of `LISTING`, `doc_id` and `fingerprint`: objects of the slices looked at."""
    own: OwnRows
    plan: Plan
    """What the manifest does not hold, or holds otherwise."""


def compare(
    corpus: str,
    lake: ObjectStore,
    warehouse: Warehouse,
    code_version: str,
    keys: Sequence[str] = (),
) -> Compared:
    """Find what the manifest lacks of a corpus, or of those of its objects that are named.

    All objects are compared by what the listing says of them. Ids and fingerprints are worked out
    where something differs: in the slices that hold it. Where `keys` are named, the store is asked
    for these alone, unless there is more to look at: a new manifest, a slice that nothing is
    noted of, a key that cannot be asked for.
    """
    scope = {"corpus": corpus}
    now = Source.now(warehouse, RAW_OBJECTS, scope)
    slices = Slices(lake, warehouse, f"raw_objects/{corpus}", [code_version], [], [now])
    objects = None
    if keys and slices.known and not slices.open:
        objects = _with_named(corpus, keys, lake, now, slices, warehouse)
    if objects is None:
        objects = _of_open(corpus, listing(lake, corpus), now, slices, warehouse)
    own = OwnRows(warehouse, RAW_OBJECTS, scope, slices=slices)
    parts = [_identified(corpus, code_version, batch) for batch in objects.to_batches(PAGE)]
    found = pa.Table.from_batches(parts, IDENTIFIED)
    wanted = fingerprints(found.column("doc_id"), found.column("fingerprint"))
    return Compared(found, own, diff(wanted, own.fingerprints()))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it was left."""

    own: OwnRows
    _numbers: Mapping[int, int]
    """Slice -> sum of its objects' numbers, as they were listed."""

    @property
    def listing(self) -> str:
        """Digest of the listing that the manifest was held against.

        Empty where another writer came between.
        """
        return listing_digest(self._numbers.values()) if self.own.undisturbed else ""

    def keep(self) -> None:
        """Note how the slices are left."""
        more = {each: {LISTED: f"{number:x}"} for each, number in self._numbers.items()}
        keep([self.own], more=more)


def refresh(
    corpus: str,
    lake: ObjectStore,
    warehouse: Warehouse,
    code_version: str,
    arrivals: Arrivals | None = None,
    keys: Sequence[str] = (),
) -> Manifest:
    """Reconcile the manifest of one corpus with the lake; `arrivals` counts what is taken in.

    Where `keys` are named, only these objects are looked at (`compare`).
    """
    found = compare(corpus, lake, warehouse, code_version, keys)
    gone: set[str] = set()

    def compute(doc_ids: Sequence[str]) -> pa.Table:
        chosen = pc.is_in(found.objects.column("doc_id"), pa.array(doc_ids, pa.string()))
        rows = {row["doc_id"]: row for row in found.objects.filter(chosen).to_pylist()}
        with ThreadPoolExecutor(READERS) as readers:
            keys = [f"{corpus}/{row['key']}" for row in rows.values()]
            digests = list(readers.map(lambda key: _digest(lake, key), keys))
        read = list(zip(rows.values(), digests, strict=True))
        gone.update(row["doc_id"] for row, sha256 in read if not sha256)
        if arrivals:
            arrivals.add(row["modified"] for row in rows.values())
        return rows_of(RAW_OBJECTS, [{**row, "sha256": sha256} for row, sha256 in read if sha256])

    found.own.carry_out(found.plan, compute, {}, WAVE)
    there = pc.invert(pc.is_in(found.objects.column("doc_id"), pa.array(gone, pa.string())))
    numbers = _numbers(corpus, found.objects.filter(there), found.own, warehouse)
    return Manifest(found.own, numbers)


def _with_named(
    corpus: str,
    keys: Sequence[str],
    lake: ObjectStore,
    manifest: Source,
    slices: Slices,
    warehouse: Warehouse,
) -> pa.Table | None:
    """Objects of the slices of those named: the others as the manifest has them.

    None where a key cannot be asked for.
    """
    try:
        there = named(lake, corpus, sorted(set(keys)))
    except ValueError:
        return None
    slices.reopen([document_id(corpus, key) for key in keys])
    rows = manifest.scan(warehouse, TOLD, slices.open).cast(LISTING)
    others = pc.invert(pc.is_in(rows.column("key"), pa.array(keys, pa.string())))
    return pa.concat_tables([rows.filter(others), there])


def _of_open(
    corpus: str, objects: pa.Table, manifest: Source, slices: Slices, warehouse: Warehouse
) -> pa.Table:
    """The objects of open slices, after those in which something differs are open."""
    if not slices.known:
        return objects
    differing = _differing(objects, manifest.scan(warehouse, TOLD))
    slices.reopen([document_id(corpus, key) for key in differing])
    if not slices.known:
        return objects
    rows = manifest.scan(warehouse, ["key"], slices.open)
    keys = pa.concat_arrays([*rows.column("key").chunks, pa.array(differing, pa.string())])
    return objects.filter(pc.is_in(objects.column("key"), keys))


def _numbers(corpus: str, objects: pa.Table, own: OwnRows, warehouse: Warehouse) -> dict[int, int]:
    """Sum of the objects' numbers of each slice: noted, or of the objects looked at."""
    known = own.slices.known if own.slices else {}
    found = {each: int(of[LISTED], 16) for each, of in known.items() if LISTED in of}
    places = warehouse.slices(RAW_OBJECTS, objects.column("doc_id"))
    for batch in objects.append_column("place", places).to_batches(PAGE):
        columns = (batch.column(name).to_pylist() for name in ("place", "key", "etag", "size"))
        for slice_, key, etag, size in zip(*columns, strict=True):
            number = object_number(f"{corpus}/{key}", etag, size)
            found[slice_] = found.get(slice_, 0) + number
    return found


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
    """Digest of an object's bytes; None if it was deleted after it was listed.

    One that is overwritten while it is read counts as gone to the store, and is read once more.
    """
    for _ in range(2):
        with suppress(FileNotFoundError):
            return lake.sha256(key)
    return None
