"""Brings the evaluation queries of a corpus in line with its files and documents."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.documents.table import DOCUMENTS
from platform_assets.provenance import canonical, sha256_text
from platform_assets.queries import Query, QuerySet
from platform_assets.queries.derive import derived_queries, sentences
from platform_assets.queries.table import QUERIES
from platform_assets.queries.uploaded import is_evaluation_file, uploaded_queries
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.reconcile import diff, fingerprints
from platform_assets.tables import OwnRows, rows_of
from resources.object_store import ObjectStore
from resources.parsing import Element, ParsedDocument
from resources.warehouse import Warehouse


def refresh(corpus: str, lake: ObjectStore, warehouse: Warehouse) -> tuple[OwnRows, QuerySet]:
    """Read the judgements uploaded beside a corpus, or derive queries where there are none."""
    scope = {"corpus": corpus}
    keys = warehouse.scan(RAW_OBJECTS, scope, ["key"]).column("key").to_pylist()
    files = {key: lake.get(f"{corpus}/{key}") for key in keys if is_evaluation_file(key)}
    if files:
        documents = warehouse.scan(DOCUMENTS, scope, ["key"]).column("key").to_pylist()
        found = uploaded_queries(files, documents)
    else:
        found = derived_queries(_documents(warehouse, corpus, "title"))
        if not found.queries:  # plain text has no headings to ask for
            paragraphs = _documents(warehouse, corpus, "paragraph")
            found = derived_queries(paragraphs, candidates=sentences)
    rows = {query.query_id: _row(query) for query in found.queries}
    own = OwnRows(warehouse, QUERIES, scope)

    def compute(query_ids: Sequence[str]) -> pa.Table:
        return rows_of(QUERIES, [rows[query_id] for query_id in query_ids])

    wanted = fingerprints(list(rows), [str(row["fingerprint"]) for row in rows.values()])
    own.carry_out(diff(wanted, own.fingerprints()), compute, {}, max(1, len(rows)))
    return own, found


def read_queries(warehouse: Warehouse, corpus: str, split: str) -> list[Query]:
    """The stored queries of one split, by id."""
    rows = warehouse.scan(QUERIES, {"corpus": corpus, "split": split}).to_pylist()
    queries = (
        Query(
            query_id=row["query_id"],
            text=row["text"],
            split=row["split"],
            judgements={judged["key"]: judged["grade"] for judged in row["judgements"]},
            origin=row["origin"],
        )
        for row in rows
    )
    return sorted(queries, key=lambda query: query.query_id)


def _row(query: Query) -> dict[str, object]:
    judgements = sorted(query.judgements.items())
    content = [query.query_id, query.text, query.split, judgements, query.origin]
    return {
        "query_id": query.query_id,
        "text": query.text,
        "split": query.split,
        "judgements": [{"key": key, "grade": grade} for key, grade in judgements],
        "origin": query.origin,
        "fingerprint": sha256_text(canonical(content)),
    }


def _documents(
    warehouse: Warehouse, corpus: str, element_type: str
) -> Iterator[tuple[str, ParsedDocument]]:
    """Every document with its elements of one type; the others are not built."""
    columns = ["key", "title", "media_type", "elements"]
    for batch in warehouse.batches(DOCUMENTS, {"corpus": corpus}, columns):
        elements = batch.column("elements")
        parents, flat = pc.list_parent_indices(elements), pc.list_flatten(elements)
        kind = pc.equal(pc.struct_field(flat, "type"), element_type)
        found: dict[int, list[Element]] = {}
        kept = zip(parents.filter(kind).to_pylist(), flat.filter(kind).to_pylist(), strict=True)
        for row, e in kept:
            element = Element(e["type"], e["text"], e["page"], tuple(e["heading_path"]))
            found.setdefault(row, []).append(element)
        for row, document in enumerate(batch.drop_columns(["elements"]).to_pylist()):
            parsed = ParsedDocument(
                document["title"], document["media_type"], "", tuple(found.get(row, ()))
            )
            yield document["key"], parsed
