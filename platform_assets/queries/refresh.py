"""Brings the evaluation queries of a corpus in line with its files and documents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.documents.table import DOCUMENTS
from platform_assets.provenance import canonical, sha256_text
from platform_assets.queries import Query, QuerySet, split_of
from platform_assets.queries.derive import (
    derived_queries,
    opening_queries,
    sentences,
    with_test,
)
from platform_assets.queries.table import QUERIES
from platform_assets.queries.uploaded import EVALUATION_FILES, is_evaluation_file, uploaded_queries
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.reconcile import diff, fingerprints
from platform_assets.sampling import of_few_slices
from platform_assets.slices import Source, sought
from platform_assets.tables import OwnRows, rows_of
from resources.object_store import ObjectStore
from resources.parsing import Element, ParsedDocument
from resources.warehouse import Warehouse

MOST_ASKED = 4_000
"""Documents of which queries are made; hundreds of queries need no more."""
OPENING = 8
"""Elements of a document in which its first words are looked for."""


def refresh(corpus: str, lake: ObjectStore, warehouse: Warehouse) -> tuple[OwnRows, QuerySet]:
    """Read the judgements uploaded beside a corpus, or derive queries where none can be used."""
    scope = {"corpus": corpus}
    files = {key: lake.get(f"{corpus}/{key}") for key in _evaluation_files(corpus, lake, warehouse)}
    documents = Source.now(warehouse, DOCUMENTS, scope)
    found = QuerySet(())
    if files:
        names = documents.scan(warehouse, ["key"]).column("key").to_pylist()
        found = _uploaded(files, names)
    if not found.queries:
        found = replace(found, queries=_derived(corpus, lake, warehouse, documents))
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


def _uploaded(files: Mapping[str, bytes], documents: Sequence[str]) -> QuerySet:
    """What was uploaded, with its fault if it cannot be used: it stops no document."""
    try:
        found = uploaded_queries(files, documents)
    except ValueError as error:
        return QuerySet((), fault=f"{error} Queries are derived instead.")
    if not found.queries:
        return replace(
            found,
            fault="no uploaded query is judged relevant to a document of the corpus: queries are "
            "derived instead",
        )
    queries = with_test(found.queries)
    if queries == found.queries:
        return found
    why = "all uploaded queries were for training, and are for testing now: add qrels/test.tsv"
    return replace(found, queries=queries, fault=why)


def _evaluation_files(corpus: str, lake: ObjectStore, warehouse: Warehouse) -> list[str]:
    """Keys of the files with judgements."""

    def matches(rows: pa.Table) -> pa.Array:
        return pc.match_substring_regex(rows.column("key"), EVALUATION_FILES)

    source = Source.now(warehouse, RAW_OBJECTS, {"corpus": corpus})
    name, columns = f"queries-files/{corpus}", ["doc_id", "key"]
    found = sought(lake, warehouse, name, [EVALUATION_FILES], source, columns, matches)
    return [key for key in found.column("key").to_pylist() if is_evaluation_file(key)]


def _asked(corpus: str, lake: ObjectStore, warehouse: Warehouse, documents: Source) -> pa.Table:
    """Columns `doc_id`, `key` and `sha256`, the digest of the bytes, of documents to ask for.

    Their copies are among them, which may be anywhere in a large corpus.
    """
    columns = ["doc_id", "key", "sha256"]
    asked = of_few_slices(warehouse, documents, MOST_ASKED)
    if len(asked) < MOST_ASKED:
        return documents.scan(warehouse, columns)
    digests = warehouse.scan(
        documents.table, documents.scope, ["sha256"], asked, documents.snapshot
    )
    wanted = digests.column("sha256").unique().sort()

    def matches(rows: pa.Table) -> pa.Array:
        return pc.is_in(rows.column("sha256"), wanted)

    name, made_by = f"queries-copies/{corpus}", wanted.to_pylist()
    return sought(lake, warehouse, name, made_by, documents, columns, matches)


def _derived(
    corpus: str, lake: ObjectStore, warehouse: Warehouse, documents: Source
) -> tuple[Query, ...]:
    """Queries from titles and headings, else from sentences, else from first words.

    Copies of a document are asked for as one, each of them relevant.
    """
    asked = _asked(corpus, lake, warehouse, documents)
    rows = sorted(asked.to_pylist(), key=lambda row: (split_of(row["key"]) != "test", row["key"]))
    copies: dict[str, list[str]] = {}
    for row in rows:
        copies.setdefault(row["sha256"], []).append(row["key"])
    originals = {keys[0]: keys for keys in copies.values()}
    ids = {row["key"]: row["doc_id"] for row in rows}

    def read(element_type: str | None) -> Iterator[tuple[str, ParsedDocument]]:
        groups = sorted(ids[key] for key in originals) if len(ids) >= MOST_ASKED else None
        found = _documents(warehouse, corpus, element_type, groups)
        return (item for item in found if item[0] in originals)

    found = derived_queries(read("title"))
    if not found.queries:  # plain text has no headings to ask for
        found = derived_queries(read("paragraph"), candidates=sentences)
    if not found.queries:  # nor do a table or a note have sentences
        found = opening_queries(read(None))
    return tuple(
        replace(query, judgements={copy: 1 for key in query.judgements for copy in originals[key]})
        for query in found.queries
    )


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
    warehouse: Warehouse, corpus: str, element_type: str | None, groups: Sequence[str] | None
) -> Iterator[tuple[str, ParsedDocument]]:
    """Documents with their elements of one type, or with the first ones; no others are built."""
    scope, columns = {"corpus": corpus}, ["key", "title", "media_type", "elements"]
    batches = warehouse.batches(DOCUMENTS, scope, columns)
    if groups is not None:
        batches = iter(warehouse.scan(DOCUMENTS, scope, columns, groups).to_batches(1_000))
    for batch in batches:
        elements = batch.column("elements")
        if element_type is None:
            elements = pc.list_slice(elements, 0, OPENING)
        parents, flat = pc.list_parent_indices(elements), pc.list_flatten(elements)
        if element_type is not None:
            kind = pc.equal(pc.struct_field(flat, "type"), element_type)
            parents, flat = parents.filter(kind), flat.filter(kind)
        found: dict[int, list[Element]] = {}
        kept = zip(parents.to_pylist(), flat.to_pylist(), strict=True)
        for row, e in kept:
            element = Element(e["type"], e["text"], e["page"], tuple(e["heading_path"]))
            found.setdefault(row, []).append(element)
        for row, document in enumerate(batch.drop_columns(["elements"]).to_pylist()):
            parsed = ParsedDocument(
                document["title"], document["media_type"], "", tuple(found.get(row, ()))
            )
            yield document["key"], parsed
