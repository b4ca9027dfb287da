"""The beginning of an erasure: what the document was is noted, then its objects go.

Here: everything that has to be read before it is gone, the tombstone, and the removal of the
objects with all their versions.
Not here: tables, index and all else, which follow by the ordinary graph and by settle.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS
from platform_assets.erasure.case import Case, Trained, cases, now
from platform_assets.erasure.forms import buffers
from platform_assets.erasure.passages import Passages
from platform_assets.erasure.tombstones import mark
from platform_assets.provenance import Ledger, Record
from platform_assets.queries import split_of
from platform_assets.queries.table import TRAINING_PAIRS
from platform_assets.queries.uploaded import is_evaluation_file
from platform_assets.raw_objects.listings import listing
from platform_assets.raw_objects.table import RAW_OBJECTS, document_id
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

_LEARNED_FROM = {"checkpoints": "training_pairs", "language_models": "chunks"}
"""Asset that holds trained weights -> the one it learned from."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One object that holds the bytes to erase."""

    doc_id: str
    key: str
    """Within the corpus."""
    sha256: str
    size: int


class NoSuchDocumentError(LookupError):
    """There is nothing to erase."""


def begin(corpus: str, doc_id: str, reason: str, lake: ObjectStore, warehouse: Warehouse) -> Case:
    """Mark a document and every other of the same bytes in its corpus, and remove their objects.

    An erasure of the document that is under way is taken up again; one that is proven stays as it
    is, unless the document has come back.

    Raises:
        NoSuchDocumentError: the corpus has no such document.
    """
    mine = [case for case in cases(lake, corpus) if doc_id in case.documents]
    there = _holders(corpus, doc_id, lake, warehouse)
    case = mine[-1] if mine else None
    if case is None or (case.state == "proven" and there):
        if not there:
            raise NoSuchDocumentError(f"corpus {corpus} has no document with the id {doc_id}")
        case = _noted(corpus, there, reason, lake, warehouse)
    for document in case.documents:
        for sha256 in case.contents:
            mark(lake, corpus, document, sha256, reason)
    for holder in there:
        lake.purge(f"{corpus}/{holder.key}")
    return case


def _holders(corpus: str, doc_id: str, lake: ObjectStore, warehouse: Warehouse) -> list[Holder]:
    """Every content the document ever had, and the other objects that hold one of these now.

    What the manifest says of the others may be outdated, and an object that was overwritten since
    holds something else: so their bytes are looked at.
    """
    scope, names = {"corpus": corpus}, ["doc_id", "key", "sha256", "size"]
    mine = {
        Holder(**row) for row in warehouse.history(RAW_OBJECTS, scope, names, [doc_id]).to_pylist()
    }
    if not mine:  # it was uploaded, and never materialised
        listed = listing(lake, corpus)
        mine = {
            Holder(doc_id, row["key"], lake.sha256(f"{corpus}/{row['key']}"), row["size"])
            for batch in listed.to_batches()
            for row in batch.to_pylist()
            if document_id(corpus, row["key"]) == doc_id
        }
    contents = {holder.sha256 for holder in mine}
    rows = warehouse.scan(RAW_OBJECTS, scope, names).to_pylist()
    others = (Holder(**row) for row in rows if row["doc_id"] != doc_id)
    same = (holder for holder in others if holder.sha256 in contents)
    return [*mine, *(holder for holder in same if _holds(lake, corpus, holder))]


def _holds(lake: ObjectStore, corpus: str, holder: Holder) -> bool:
    with suppress(FileNotFoundError):
        return lake.sha256(f"{corpus}/{holder.key}") == holder.sha256
    return False


def _noted(
    corpus: str, there: Sequence[Holder], reason: str, lake: ObjectStore, warehouse: Warehouse
) -> Case:
    passages = _distinctive(
        _passages(corpus, there, lake, warehouse), corpus, there, lake, warehouse
    )
    keys = {holder.key for holder in there}
    case = Case(
        corpus=corpus,
        documents=tuple(dict.fromkeys(holder.doc_id for holder in there)),
        contents=tuple(sorted({holder.sha256 for holder in there})),
        sizes=tuple(sorted({holder.size for holder in there})),
        reason=reason,
        marked=now(),
        checkpoints=tuple(_trained(corpus, keys, lake, warehouse)),
        judged=_judged(corpus, keys, lake, warehouse),
        passages=len(passages),
    )
    case.write_passages(lake, passages)
    return case.write(lake)


def _passages(
    corpus: str, there: Sequence[Holder], lake: ObjectStore, warehouse: Warehouse
) -> Passages:
    """Passages of every text that the documents ever had, as far back as the tables go."""
    doc_ids = sorted({holder.doc_id for holder in there})
    columns = ["title", "elements"]
    rows = warehouse.history(DOCUMENTS, {"corpus": corpus}, columns, doc_ids).to_pylist()
    elements = [element for row in rows for element in row["elements"]]
    headings = {e["text"] for e in elements if e["type"] == "title"}
    headings |= {row["title"] for row in rows}
    found = Passages.of(sorted({e["text"] for e in elements} - headings), sorted(headings))
    if not len(found):  # it could not be parsed, or was not yet
        with suppress(FileNotFoundError):
            found = Passages.of_bytes(lake.get(f"{corpus}/{there[0].key}"))
    return found


def _distinctive(
    passages: Passages,
    corpus: str,
    there: Sequence[Holder],
    lake: ObjectStore,
    warehouse: Warehouse,
) -> Passages:
    """Passages that no other document has: boilerplate proves nothing, wherever it is found."""
    mine = pa.array([holder.doc_id for holder in there], pa.string())
    contents = pa.array([holder.sha256 for holder in there], pa.string())
    for other in Ledger(lake).partitions("documents"):
        columns = ["doc_id", "sha256", "title", "elements"]
        for batch in warehouse.batches(DOCUMENTS, {"corpus": other}, columns):
            same = pc.is_in(batch.column("sha256"), value_set=contents)
            if other == corpus:
                same = pc.or_(same, pc.is_in(batch.column("doc_id"), value_set=mine))
            # `take` copies: the buffers of a mere view would hold the other rows as well.
            rows = batch.take(pc.indices_nonzero(pc.invert(same)))
            for column in ("title", "elements"):
                for text in buffers(rows.column(column)):
                    passages = passages.without(passages.found(text))
    return passages


def _trained(
    corpus: str, keys: set[str], lake: ObjectStore, warehouse: Warehouse
) -> Iterator[Trained]:
    """Every checkpoint and adapter that was ever trained on one of the documents."""
    ledger = Ledger(lake)
    shows: dict[str, bool | None] = {}
    for record_id, record in ledger.newest_first():
        link = record.upstream.get(f"{_LEARNED_FROM.get(record.asset)}/{corpus}")
        if link is None or record.details.get("trained") == "no":
            continue
        if link.record not in shows:
            shows[link.record] = _shown(warehouse, ledger.get(link.record), keys)
        if shows[link.record] is not False:
            checkpoint, certain = record.details["checkpoint"], shows[link.record] is True
            yield Trained(record.partition, checkpoint, record_id, certain)


def _shown(warehouse: Warehouse, read: Record, keys: set[str]) -> bool | None:
    """Whether pairs, or texts to train on, show one of some documents; None if they are gone."""
    try:
        return not keys.isdisjoint(_keys(warehouse, read))
    except (ValueError, FileNotFoundError, LookupError):
        return None


def _keys(warehouse: Warehouse, read: Record) -> set[str]:
    scope = {"corpus": read.partition}
    if read.asset == "chunks":
        rows = warehouse.scan(CHUNKS, scope, ["key"], snapshot=read.snapshot)
        return {key for key in rows.column("key").to_pylist() if split_of(key) == "train"}
    columns = ["positive_key", "negative_keys"]
    rows = warehouse.scan(TRAINING_PAIRS, scope, columns, snapshot=read.snapshot)
    shown: set[str] = set(rows.column("positive_key").to_pylist())
    shown.update(pc.list_flatten(rows.column("negative_keys")).to_pylist())
    return shown


def _judged(corpus: str, keys: set[str], lake: ObjectStore, warehouse: Warehouse) -> dict[str, int]:
    """Lines of uploaded judgements that name one of the documents, by file."""
    names = {name for key in keys for name in _short_forms(key)}
    rows = warehouse.scan(RAW_OBJECTS, {"corpus": corpus}, ["key"]).column("key").to_pylist()
    found: dict[str, int] = {}
    for file in (key for key in rows if is_evaluation_file(key) and key.endswith(".tsv")):
        lines = lake.get(f"{corpus}/{file}").decode(errors="replace").splitlines()
        cells: list[list[str]] = [line.split("\t") for line in lines]
        if count := sum(len(cell) > 1 and cell[1].strip() in names for cell in cells):
            found[file] = count
    return found


def _short_forms(key: str) -> Mapping[str, Any]:
    path = PurePosixPath(key)
    return dict.fromkeys((key, str(path.with_suffix("")), path.stem))
