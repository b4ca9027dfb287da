"""Brings the parsed documents of a corpus in line with its manifest."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.documents.parsing import Listed, Outcome, Parse
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.erasure.tombstones import REASON, Refusals, refusals
from platform_assets.queries.uploaded import is_evaluation_file
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.reconcile import Progress, diff, fingerprint, fingerprints, unwatched
from platform_assets.slices import Slices, Source
from platform_assets.streams import computed, cut
from platform_assets.tables import OwnRows, carry_out, rows_of
from resources.engines import Engine
from resources.object_store import ObjectStore
from resources.parsing import DocumentParser, ParsedDocument, Rejection
from resources.warehouse import Warehouse

WAVE_BYTES = 64 * 1024 * 1024
"""Document bytes in one commit."""
LEAST_BYTES = 4 * 1024
"""What a document counts for at least: its row takes memory however short it is."""


@dataclass(slots=True)
class Documents:
    """What a refresh leaves behind."""

    accepted: OwnRows
    rejected: OwnRows
    parsed: int = 0
    unsettled: list[str] = field(default_factory=list)
    """Ids of documents whose bytes changed after they were listed; the next run reads them."""


@dataclass(frozen=True, slots=True)
class _Stale:
    """The objects to read, by document id."""

    rows: Mapping[str, dict[str, Any]]
    refused: Refusals

    def erased(self, doc_id: str) -> bool:
        return self.refused.cover(doc_id, self.rows[doc_id]["sha256"])

    def listed(self, doc_ids: Sequence[str]) -> list[Listed]:
        """What is to be parsed of them."""
        rows = (self.rows[doc_id] for doc_id in doc_ids if not self.erased(doc_id))
        return [(row["key"], row["sha256"]) for row in rows]


def refresh(
    corpus: str,
    lake: ObjectStore,
    warehouse: Warehouse,
    parser: DocumentParser,
    engine: Engine,
    code_version: str,
    progress: Progress = unwatched,
) -> Documents:
    """Parse what is new or changed, drop what is gone, file what cannot be parsed.

    What was erased is not read again: it is filed among the dead letters until that is lifted.
    `progress` is called with the documents parsed so far and those to parse in all.
    """
    scope = {"corpus": corpus}
    refused = refusals(lake, corpus)
    manifest = Source.now(warehouse, RAW_OBJECTS, scope)
    made_by = (code_version, parser.fingerprint, refused.digest)
    own = [Source.now(warehouse, table, scope) for table in (DOCUMENTS, REJECTED_DOCUMENTS)]
    slices = Slices(lake, warehouse, f"documents/{corpus}", made_by, [manifest], own)
    tables = (
        OwnRows(warehouse, DOCUMENTS, scope, slices=slices),
        OwnRows(warehouse, REJECTED_DOCUMENTS, scope, slices=slices),
    )
    columns = ["doc_id", "key", "sha256", "size"]
    found = manifest.scan(warehouse, columns, slices.open)
    objects = _objects(found, refused, parser, code_version)
    done = Documents(*tables)
    wanted = fingerprints(objects.column("doc_id"), objects.column("fingerprint"))
    plan = diff(wanted, pa.concat_tables([table.fingerprints() for table in tables]))
    chosen = pc.is_in(objects.column("doc_id"), pa.array(plan.stale, pa.string()))
    rows = {row["doc_id"]: row for row in objects.filter(chosen).to_pylist()}
    stale = _Stale(rows, refused)
    todo = sum(not stale.erased(doc_id) for doc_id in rows)
    sizes = {doc_id: max(LEAST_BYTES, row["size"]) for doc_id, row in rows.items()}

    def batches(wave: Sequence[str]) -> list[list[Listed]]:
        return [stale.listed(part) for part in cut(wave, sizes, engine.parts)]

    def committed() -> Iterator[tuple[Sequence[str], Sequence[pa.Table]]]:
        waves = done.accepted.waves(plan, sizes, WAVE_BYTES)
        for wave, outcomes in computed(engine, Parse(corpus, lake, parser), waves, batches):
            yield _rows(wave, stale, _counted(outcomes, wave, stale, done, progress, todo))

    carry_out(plan.removed, committed(), tables)
    return done


def _objects(
    found: pa.Table, refused: Refusals, parser: DocumentParser, code_version: str
) -> pa.Table:
    """The objects that are documents, each with the fingerprint of what it is to become."""
    flags = [not is_evaluation_file(key) for key in found.column("key").to_pylist()]
    found = found.filter(pa.array(flags, pa.bool_()))
    pairs = zip(*(found.column(name).to_pylist() for name in ("doc_id", "sha256")), strict=True)
    reader = parser.fingerprint
    prints = [
        fingerprint(code_version, sha256, REASON if refused.cover(doc_id, sha256) else reader)
        for doc_id, sha256 in pairs
    ]
    return found.append_column("fingerprint", pa.array(prints, pa.string()))


def _counted(
    outcomes: Iterable[Outcome],
    wave: Sequence[str],
    stale: _Stale,
    done: Documents,
    progress: Progress,
    todo: int,
) -> Iterator[tuple[dict[str, Any], ParsedDocument | Rejection]]:
    """Rows of the manifest with what came of them; what is unsettled is noted and left out."""
    by_key = {stale.rows[doc_id]["key"]: stale.rows[doc_id] for doc_id in wave}
    for key, outcome in outcomes:
        if outcome is None:
            done.unsettled.append(by_key[key]["doc_id"])
            continue
        done.parsed += 1
        progress(done.parsed, todo - len(done.unsettled))
        yield by_key[key], outcome


def _rows(
    wave: Sequence[str],
    stale: _Stale,
    outcomes: Iterable[tuple[dict[str, Any], ParsedDocument | Rejection]],
) -> tuple[Sequence[str], Sequence[pa.Table]]:
    """The documents that are settled, and their rows in both tables."""
    accepted: list[dict[str, object]] = []
    erased = (stale.rows[doc_id] for doc_id in wave if stale.erased(doc_id))
    rejected = [row | stale.refused.letter() for row in erased]
    for row, outcome in outcomes:
        if isinstance(outcome, Rejection):
            rejected.append(row | {"reason": outcome.reason, "message": outcome.message})
        else:
            accepted.append(row | _parsed(outcome))
    settled = [str(row["doc_id"]) for row in (*accepted, *rejected)]
    return settled, (rows_of(DOCUMENTS, accepted), rows_of(REJECTED_DOCUMENTS, rejected))


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
