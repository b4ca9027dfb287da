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
from platform_assets.raw_objects.table import RAW_OBJECTS, document_id
from platform_assets.reconcile import diff, fingerprints
from platform_assets.sampling import of_few_slices
from platform_assets.slices import Source
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
    keys = warehouse.scan(RAW_OBJECTS, scope, ["key"]).column("key")
    keys = keys.filter(pc.match_substring_regex(keys, EVALUATION_FILES)).to_pylist()
    files = {key: lake.get(f"{corpus}/{key}") for key in keys if is_evaluation_file(key)}
    documents = Source.now(warehouse, DOCUMENTS, scope)
    found = QuerySet(())
    if files:
        names = documents.scan(warehouse, ["key"]).column("key").to_pylist()
        found = _uploaded(files, names)
    if not found.queries:
        asked = of_few_slices(warehouse, documents, MOST_ASKED)
        digests = warehouse.scan(DOCUMENTS, scope, ["sha256"], asked, documents.snapshot)
        known = documents.scan(warehouse, ["key", "sha256"])
        queries = _derived(corpus, warehouse, known, digests.column("sha256"))
        found = replace(found, queries=queries)
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


def _derived(
    corpus: str, warehouse: Warehouse, documents: pa.Table, asked: pa.ChunkedArray
) -> tuple[Query, ...]:
    """Queries from titles and headings, else from sentences, else from first words.

    Copies of a document are asked for as one, each of them relevant.

    Args:
        corpus: The corpus.
        warehouse: Its documents.
        documents: Columns `key` and `sha256`, the digest of the bytes, of all of them.
        asked: `sha256` of those that are asked for.
    """
    alike = pc.is_in(documents.column("sha256"), asked.combine_chunks())
    names = ("key", "sha256")
    pairs = zip(*(documents.filter(alike).column(name).to_pylist() for name in names), strict=True)
    copies: dict[str, list[str]] = {}
    for key, sha256 in sorted(pairs, key=lambda pair: (split_of(pair[0]) != "test", pair[0])):
        copies.setdefault(sha256, []).append(key)
    originals = {keys[0]: keys for keys in copies.values()}
    ids = {key: document_id(corpus, key) for key in originals}

    def read(element_type: str | None) -> Iterator[tuple[str, ParsedDocument]]:
        groups = sorted(ids.values()) if len(ids) < documents.num_rows else None
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
