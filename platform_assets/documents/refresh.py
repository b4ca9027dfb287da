"""Brings the parsed documents of a corpus in line with its manifest."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.erasure.tombstones import REASON, refusals
from platform_assets.queries.uploaded import is_evaluation_file
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.reconcile import Progress, diff, fingerprint, fingerprints, unwatched
from platform_assets.tables import OwnRows, carry_out, rows_of, waves_of
from resources.object_store import ObjectStore
from resources.parsing import DocumentParser, ParsedDocument, Rejection
from resources.warehouse import Warehouse

WAVE_BYTES = 64 * 1024 * 1024
"""Document bytes in one commit."""


@dataclass(slots=True)
class Documents:
    """What a refresh leaves behind."""

    accepted: OwnRows
    rejected: OwnRows
    parsed: int = 0
    unsettled: list[str] = field(default_factory=list)
    """Keys whose bytes changed after they were listed; the next manifest names them anew."""


def refresh(
    corpus: str,
    lake: ObjectStore,
    warehouse: Warehouse,
    parser: DocumentParser,
    code_version: str,
    progress: Progress = unwatched,
) -> Documents:
    """Parse what is new or changed, drop what is gone, file what cannot be parsed.

    What was erased is not read again: it is filed among the dead letters until that is lifted.
    `progress` is called with the documents parsed so far and those to parse in all.
    """
    scope = {"corpus": corpus}
    refused = refusals(lake, corpus)
    manifest = warehouse.scan(RAW_OBJECTS, scope, ["doc_id", "key", "sha256", "size"]).to_pylist()
    objects = {row["doc_id"]: row for row in manifest if not is_evaluation_file(row["key"])}
    tables = (
        OwnRows(warehouse, DOCUMENTS, scope),
        OwnRows(warehouse, REJECTED_DOCUMENTS, scope),
    )
    done = Documents(*tables)

    erased = {doc_id for doc_id, row in objects.items() if refused.cover(doc_id, row["sha256"])}
    for doc_id, row in objects.items():
        reader = REASON if doc_id in erased else parser.fingerprint
        row["fingerprint"] = fingerprint(code_version, row["sha256"], reader)

    def compute(doc_ids: Sequence[str]) -> tuple[Sequence[str], Sequence[pa.Table]]:
        accepted: list[dict[str, object]] = []
        rejected = [objects[doc_id] | refused.letter() for doc_id in doc_ids if doc_id in erased]
        rows = {
            objects[doc_id]["key"]: objects[doc_id] for doc_id in doc_ids if doc_id not in erased
        }
        for key, outcome in parser.parse(_contents(corpus, lake, rows, done)):
            done.parsed += 1
            progress(done.parsed, todo - len(done.unsettled))
            if isinstance(outcome, Rejection):
                letter = {"reason": outcome.reason, "message": outcome.message}
                rejected.append(rows[key] | letter)
            else:
                accepted.append(rows[key] | _parsed(outcome))
        settled = [row["doc_id"] for row in (*accepted, *rejected)]
        return settled, (rows_of(DOCUMENTS, accepted), rows_of(REJECTED_DOCUMENTS, rejected))

    prints = [row["fingerprint"] for row in objects.values()]
    wanted = fingerprints(list(objects), prints)
    have = pa.concat_tables([table.fingerprints() for table in tables])
    plan = diff(wanted, have)
    todo = len(set(plan.stale) - erased)
    sizes = {doc_id: row["size"] for doc_id, row in objects.items()}
    batches = waves_of(plan, sizes, WAVE_BYTES, warehouse.bucket)
    carry_out(plan.removed, batches, tables, compute)
    return done


def _parsed(document: ParsedDocument) -> dict[str, object]:
    elements = [
        {"type": e.type, "text": e.text, "page": e.page, "heading_path": e.heading_path}
        for e in document.elements
    ]
    return {
        "title": document.title,
        "media_type": document.media_type,
        "parser": document.parser,
        "elements": elements,
    }


def _contents(
    corpus: str, lake: ObjectStore, rows: dict[str, dict[str, str]], done: Documents
) -> Iterator[tuple[str, bytes]]:
    for key, row in rows.items():
        try:
            data = lake.get(f"{corpus}/{key}")
        except FileNotFoundError:
            data = b""
        if hashlib.sha256(data).hexdigest() == row["sha256"]:
            yield key, data
        else:
            done.unsettled.append(key)
