"""Brings the manifest in line with the lake. Bytes are read only of objects that look new."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from platform_assets.raw_objects.table import RAW_OBJECTS, document_id
from platform_assets.reconcile import Plan, diff, fingerprint, fingerprints
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


def plan(objects: Mapping[str, ObjectInfo], own: OwnRows, code_version: str) -> Plan:
    """What of a listing the manifest does not hold, or holds otherwise."""
    values = [_fingerprint(item, code_version) for item in objects.values()]
    return diff(fingerprints(list(objects), values), own.fingerprints())


def refresh(corpus: str, lake: ObjectStore, warehouse: Warehouse, code_version: str) -> OwnRows:
    """Reconcile the manifest of one corpus with the lake."""
    objects = listing(lake, corpus)
    own = OwnRows(warehouse, RAW_OBJECTS, {"corpus": corpus})

    def compute(doc_ids: Sequence[str]) -> pa.Table:
        with ThreadPoolExecutor(READERS) as readers:
            digests = list(readers.map(lambda doc_id: _digest(lake, objects[doc_id]), doc_ids))
        found = [
            _row(corpus, objects[doc_id], code_version) | {"doc_id": doc_id, "sha256": sha256}
            for doc_id, sha256 in zip(doc_ids, digests, strict=True)
            if sha256
        ]
        return rows_of(RAW_OBJECTS, found)

    own.carry_out(plan(objects, own, code_version), compute, {}, WAVE)
    return own


def _fingerprint(item: ObjectInfo, code_version: str) -> str:
    """Digest of what a listing says of an object."""
    return fingerprint(code_version, item.etag, str(item.size), item.modified.isoformat())


def _digest(lake: ObjectStore, item: ObjectInfo) -> str | None:
    """Digest of an object's bytes; None if it was deleted after it was listed."""
    try:
        return lake.sha256(item.key)
    except FileNotFoundError:
        return None


def _row(corpus: str, item: ObjectInfo, code_version: str) -> dict[str, object]:
    return {
        "key": item.key.removeprefix(f"{corpus}/"),
        "size": item.size,
        "etag": item.etag,
        "modified": item.modified,
        "fingerprint": _fingerprint(item, code_version),
    }
