"""Brings the training pairs of a corpus in line with its training queries and chunks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.vectors import CODE_VERSION, StoredVectors, encode_missing
from platform_assets.erasure.tombstones import refusals
from platform_assets.evaluation.bm25 import Bm25Index
from platform_assets.provenance import canonical, sha256_text
from platform_assets.queries import NEGATIVES, Query
from platform_assets.queries.mining import ChunkText, TrainingPair, held_out, mine
from platform_assets.queries.refresh import read_queries
from platform_assets.queries.table import TRAINING_PAIRS
from platform_assets.raw_objects.table import document_id
from platform_assets.reconcile import Progress, diff, fingerprints, unwatched
from platform_assets.sampling import of_few_slices
from platform_assets.slices import Source
from platform_assets.tables import OwnRows, rows_of
from resources.encoding import Encoder, Vectors
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse

CANDIDATES = 10
"""Chunks that BM25 offers for each query."""
MOST_MINED = 20_000
"""Documents among which negatives are looked for, beside the judged ones."""
POSITIVES = 4
"""Chunks of a judged document that may be the positive: BM25's best, then the first ones."""


def refresh(
    corpus: str,
    warehouse: Warehouse,
    encoder: Callable[[], Encoder],
    progress: Progress = unwatched,
) -> OwnRows:
    """Mine pairs from the training queries with the base encoder.

    The base encoder scores what BM25 offers, not the whole corpus, so that mining costs a few
    seconds; vectors it has already stored are used again. `progress` is called with the texts
    encoded for it so far and those to encode in all.
    """
    own = OwnRows(warehouse, TRAINING_PAIRS, {"corpus": corpus})
    queries = read_queries(warehouse, corpus, "train")
    tests, chunks = _seen_chunks(warehouse, corpus, queries)
    rows: dict[str, dict[str, object]] = {}
    if queries and chunks:
        lexical, offered = _offered(queries, chunks)
        texts = {row["text_digest"]: row["text"] for row in offered}
        texts |= {sha256_text(query.text): query.text for query in queries}
        stored = StoredVectors(warehouse, encoder().digest, CODE_VERSION, texts).fetch(texts)

        def advance(count: int) -> None:
            own.report.work.embedded += count
            progress(own.report.work.embedded, len(texts) - len(stored))

        new = encode_missing(texts, stored, encoder, advance)
        vectors = stored | new
        pairs = mine(
            queries,
            _matrix([sha256_text(query.text) for query in queries], vectors),
            [ChunkText(row["chunk_id"], row["key"], row["text"]) for row in offered],
            _matrix([row["text_digest"] for row in offered], vectors),
            lexical,
            tests=tests,
            negatives=NEGATIVES,
        )
        rows = {pair.query_id: _row(pair) for pair in pairs}

    def compute(query_ids: Sequence[str]) -> pa.Table:
        return rows_of(TRAINING_PAIRS, [rows[query_id] for query_id in query_ids])

    wanted = fingerprints(list(rows), [str(row["fingerprint"]) for row in rows.values()])
    own.carry_out(diff(wanted, own.fingerprints()), compute, {}, max(1, len(rows)))
    return own


def _seen_chunks(
    warehouse: Warehouse, corpus: str, queries: Sequence[Query]
) -> tuple[frozenset[str], list[dict[str, Any]]]:
    """Keys of the documents that training must not see, and the chunks that it may mine.

    Of a large corpus those are the chunks of the judged documents and of a sample.
    """
    scope = {"corpus": corpus}
    source = Source.now(warehouse, CHUNKS, scope)
    index = source.scan(warehouse, ["doc_id", "key", "text_digest"])
    keys = index.column("key")
    tests = held_out(_all_queries(warehouse, corpus), keys.unique().to_pylist())
    of_tests = index.filter(pc.is_in(keys, pa.array(sorted(tests), pa.string())))
    judged = pa.array({key for query in queries for key in query.judgements}, pa.string())
    own = index.filter(pc.is_in(keys, judged)).column("doc_id").to_pylist()
    chosen = {*own, *of_few_slices(warehouse, source, MOST_MINED)}
    columns = ["chunk_id", "key", "text", "text_digest", "position"]
    found = warehouse.scan(CHUNKS, scope, columns, sorted(chosen))
    hidden = pc.is_in(found.column("text_digest"), of_tests.column("text_digest").combine_chunks())
    return tests, found.filter(pc.invert(hidden)).to_pylist()


def hidden(warehouse: Warehouse, corpus: str) -> frozenset[str]:
    """Keys of the documents of a corpus that training must not see."""
    keys = warehouse.scan(CHUNKS, {"corpus": corpus}, ["key"]).column("key")
    return held_out(_all_queries(warehouse, corpus), keys.unique().to_pylist())


def _all_queries(warehouse: Warehouse, corpus: str) -> list[Query]:
    return [q for split in ("train", "test") for q in read_queries(warehouse, corpus, split)]


def shows_erased(lake: ObjectStore, warehouse: Warehouse, corpus: str) -> bool:
    """Whether a stored training pair shows a document that was erased since."""
    erased = refusals(lake, corpus).documents
    if not erased:
        return False
    return any(
        document_id(corpus, key) in erased for keys in _shown(warehouse, corpus) for key in keys
    )


def leaks(warehouse: Warehouse, corpus: str) -> int:
    """Stored training pairs that show a hidden document."""
    shown = list(_shown(warehouse, corpus))
    tests = held_out(_all_queries(warehouse, corpus), set().union(*shown))
    return sum(bool(keys & tests) for keys in shown)


def _shown(warehouse: Warehouse, corpus: str) -> Iterator[set[str]]:
    """Keys of the documents that each stored training pair shows."""
    columns = ["positive_key", "negative_keys"]
    rows = warehouse.scan(TRAINING_PAIRS, {"corpus": corpus}, columns).to_pylist()
    return ({row["positive_key"], *row["negative_keys"]} for row in rows)


def _offered(
    queries: Sequence[Query], chunks: Sequence[dict[str, Any]]
) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """BM25's ranking of each query, and the chunks worth scoring, in id order."""
    by_id = {row["chunk_id"]: row for row in chunks}
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(chunks, key=lambda row: row["position"]):
        by_key.setdefault(row["key"], []).append(row)
    index = Bm25Index(list(by_id), [row["text"] for row in chunks])
    ranked = index.search([query.text for query in queries], 10 * CANDIDATES)
    lexical: dict[str, list[str]] = {}
    offered: set[str] = set()
    for query, hits in zip(queries, ranked, strict=True):
        lexical[query.query_id] = [chunk_id for chunk_id, _ in hits[:CANDIDATES]]
        offered.update(lexical[query.query_id])
        for key in query.judgements:
            own = [chunk_id for chunk_id, _ in hits if by_id[chunk_id]["key"] == key]
            first = [row["chunk_id"] for row in by_key.get(key, [])]
            offered.update(list(dict.fromkeys(own + first))[:POSITIVES])
    return lexical, [by_id[chunk_id] for chunk_id in sorted(offered)]


def _matrix(digests: Sequence[str], vectors: Mapping[str, Vectors]) -> Vectors:
    return np.stack([vectors[digest] for digest in digests])


def _row(pair: TrainingPair) -> dict[str, object]:
    row: dict[str, object] = {
        "query_id": pair.query_id,
        "query": pair.query,
        "positive": pair.positive.text,
        "positive_key": pair.positive.key,
        "negatives": [negative.text for negative in pair.negatives],
        "negative_keys": [negative.key for negative in pair.negatives],
    }
    return row | {"fingerprint": sha256_text(canonical(row))}
