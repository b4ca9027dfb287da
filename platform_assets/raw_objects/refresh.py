"""Brings the manifest in line with the lake. Bytes are read only of objects that look new."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from platform_assets.provenance import sha256_text
from platform_assets.raw_objects.table import RAW_OBJECTS, document_id
from platform_assets.reconcile import diff, fingerprints
from platform_assets.tables import OwnRows, rows_of
from resources.object_store import ObjectInfo, ObjectStore
from resources.warehouse import Warehouse

WAVE = 5_000
"""Objects in one commit."""
READERS = 8
"""Objects read at a time for their digest."""


def listing(lake: ObjectStore, corpus: str) -> dict[str, ObjectInfo]:
    """Objects of a corpus by document id; the markers consoles make for folders are none."""
    prefix = f"{corpus}/"
    found = (item for item in lake.objects(prefix) if item.size or not item.key.endswith("/"))
    return {document_id(corpus, item.key.removeprefix(prefix)): item for item in found}


def fingerprint(item: ObjectInfo) -> str:
    """Digest of what a listing says of an object."""
    return sha256_text(f"{item.etag}|{item.size}|{item.modified.isoformat()}")


def refresh(corpus: str, lake: ObjectStore, warehouse: Warehouse) -> OwnRows:
    """Reconcile the manifest of one corpus with the lake."""
    objects = listing(lake, corpus)
    own = OwnRows(warehouse, RAW_OBJECTS, {"corpus": corpus})
    wanted = fingerprints(list(objects), [fingerprint(item) for item in objects.values()])

    def compute(doc_ids: Sequence[str]) -> pa.Table:
        with ThreadPoolExecutor(READERS) as readers:
            digests = list(readers.map(lambda doc_id: _digest(lake, objects[doc_id]), doc_ids))
        rows = zip(doc_ids, digests, strict=True)
        found = [_row(corpus, doc_id, objects[doc_id], sha256) for doc_id, sha256 in rows if sha256]
        return rows_of(RAW_OBJECTS, found)

    own.carry_out(diff(wanted, own.fingerprints()), compute, {}, WAVE)
    return own


def _digest(lake: ObjectStore, item: ObjectInfo) -> str | None:
    """Digest of an object's bytes; None if it was deleted after it was listed."""
    try:
        return lake.sha256(item.key)
    except FileNotFoundError:
        return None


def _row(corpus: str, doc_id: str, item: ObjectInfo, sha256: str) -> dict[str, object]:
    return {
        "doc_id": doc_id,
        "key": item.key.removeprefix(f"{corpus}/"),
        "size": item.size,
        "etag": item.etag,
        "modified": item.modified,
        "sha256": sha256,
        "fingerprint": fingerprint(item),
    }
