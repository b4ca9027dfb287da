"""Measures retrieval on the test queries of a corpus: BM25, dense and hybrid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from platform_assets.chunks.table import CHUNKS
from platform_assets.evaluation.bm25 import Bm25Index
from platform_assets.evaluation.metrics import collapse, ndcg, recall, recall_curve, reciprocal_rank
from platform_assets.evaluation.part_hits import forget_part_hits, part_hits
from platform_assets.evaluation.significance import Interval, confidence_interval
from platform_assets.evaluation.table import EVALUATION
from platform_assets.provenance import Record, canonical, sha256_text
from platform_assets.queries import Query
from platform_assets.queries.refresh import read_queries
from platform_assets.raw_objects.table import document_id
from platform_assets.reconcile import Progress, diff, fingerprints, unwatched
from platform_assets.tables import OwnRows, rows_of
from platform_assets.vector_indexes.parts import PARTS
from resources.encoding import Encoder, Vectors
from resources.object_store import ObjectStore
from resources.vector_store import Retriever, SearchRequest, VectorStore
from resources.warehouse import Warehouse

DEPTH = 100
"""Chunks retrieved for each query."""
BASELINE = "bm25"
"""Retriever name of the BM25 baseline, which is measured outside the vector database."""
MOST_IN_MEMORY = 50_000
"""Chunks up to which it is; above, the index's own sparse vectors are the baseline: a minute and
gigabytes for each change of a million chunks are too much for one figure."""
MEASURED = (Retriever.DENSE, Retriever.HYBRID)
RETRIEVERS = 1 + len(MEASURED)

_DIFFED = ("query_id", "fingerprint")

Ranking = Callable[[int], list[tuple[str, float]]]
"""Position of a query -> (document id, score) of the chunks found, best first."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores of one retriever over the queries that did not fail."""

    ndcg_10: Mapping[str, float]
    mrr_10: Mapping[str, float]
    recall_10: Mapping[str, float]
    attempted: tuple[str, ...]
    recall_at: tuple[float, ...] = ()
    """Mean recall at 1, 2, ... `DEPTH`."""

    @property
    def failed(self) -> set[str]:
        """Queries that were attempted and have no score."""
        return set(self.attempted) - self.ndcg_10.keys()

    def intervals(self) -> dict[str, Interval]:
        """Metric -> mean with its 95% interval; empty where no query was answered."""
        if not self.ndcg_10:
            return {}
        named = {"ndcg@10": self.ndcg_10, "recall@10": self.recall_10, "mrr@10": self.mrr_10}
        return {name: confidence_interval(scores.values()) for name, scores in named.items()}


@dataclass(frozen=True, slots=True)
class Index:
    """The index that is asked."""

    record: Record
    vectors: VectorStore
    lake: ObjectStore
    """Where the hits of its parts are kept."""

    def searcher(
        self, warehouse: Warehouse, texts: Sequence[str], encoded: Vectors
    ) -> Callable[[Retriever], Ranking]:
        """How each retriever ranks for the queries with these texts and vectors."""
        if PARTS in self.record.details:
            where = (warehouse, self.vectors, self.lake)
            found = part_hits(self.record, *where, texts, encoded, DEPTH)
            return lambda retriever: lambda position: found.ranking(retriever, position)
        forget_part_hits(self.record, self.lake)
        collection, vectors = self.vectors.open(self.record.details["collection"]), encoded.tolist()

        def ranked(retriever: Retriever, position: int) -> list[tuple[str, float]]:
            hits = collection.search(
                SearchRequest(vectors[position], texts[position], retriever, DEPTH)
            )
            return [(str(hit.payload["doc_id"]), hit.score) for hit in hits]

        return lambda retriever: lambda position: ranked(retriever, position)


def refresh(
    corpus: str,
    encoder_name: str,
    warehouse: Warehouse,
    index: Index,
    encoder: Callable[[], Encoder],
    progress: Progress = unwatched,
) -> OwnRows:
    """Evaluate every test query anew and store what came out different.

    `progress` is called with the searches made so far and those to make in all.
    """
    queries = read_queries(warehouse, corpus, "test")
    rows: dict[object, dict[str, object]] = {}
    if queries:
        for retriever, ranking in _rankings(corpus, warehouse, index, encoder, queries):
            for position, query in enumerate(queries):
                row = _measure(corpus, query, retriever, position, ranking)
                rows[row["result_id"]] = row
                progress(len(rows), len(queries) * RETRIEVERS)
    else:
        forget_part_hits(index.record, index.lake)
    own = OwnRows(warehouse, EVALUATION, {"corpus": corpus, "encoder": encoder_name})
    by_query: dict[str, list[dict[str, object]]] = {}
    for row in rows.values():
        by_query.setdefault(str(row["query_id"]), []).append(row)

    def compute(query_ids: Sequence[str]) -> pa.Table:
        return rows_of(EVALUATION, [row for query_id in query_ids for row in by_query[query_id]])

    wanted = fingerprints(*([str(row[name]) for row in rows.values()] for name in _DIFFED))
    plan = diff(wanted, own.fingerprints())
    own.carry_out(plan, compute, {}, max(1, len(by_query)))
    return own


def qualities(
    warehouse: Warehouse, corpus: str, encoder_name: str, snapshot: str | None = None
) -> dict[str, Quality]:
    """Retriever -> what an evaluation of an encoder on a corpus found, by default the last."""
    scope = {"corpus": corpus, "encoder": encoder_name}
    rows = warehouse.scan(EVALUATION, scope, snapshot=snapshot).to_pylist()
    found = {}
    for retriever in sorted({row["retriever"] for row in rows}):
        mine = [row for row in rows if row["retriever"] == retriever]
        good = [row for row in mine if row["error"] is None]
        curves = zip(*(row["recall_curve"] for row in good), strict=True)
        found[retriever] = Quality(
            ndcg_10={row["query_id"]: row["ndcg_10"] for row in good},
            mrr_10={row["query_id"]: row["mrr_10"] for row in good},
            recall_10={row["query_id"]: row["recall_10"] for row in good},
            attempted=tuple(row["query_id"] for row in mine),
            recall_at=tuple(sum(values) / len(values) for values in curves),
        )
    return found


def _rankings(
    corpus: str,
    warehouse: Warehouse,
    index: Index,
    encoder: Callable[[], Encoder],
    queries: Sequence[Query],
) -> list[tuple[str, Ranking]]:
    texts = [query.text for query in queries]
    of_index = index.searcher(warehouse, texts, encoder().encode(texts))
    few = index.record.rows <= MOST_IN_MEMORY
    baseline = _in_memory(corpus, warehouse, texts) if few else of_index(Retriever.BM25)
    return [(BASELINE, baseline), *((str(each), of_index(each)) for each in MEASURED)]


def _in_memory(corpus: str, warehouse: Warehouse, texts: Sequence[str]) -> Ranking:
    columns = ["chunk_id", "doc_id", "text", "heading_path"]
    chunks = warehouse.scan(CHUNKS, {"corpus": corpus}, columns).to_pylist()
    documents = {row["chunk_id"]: row["doc_id"] for row in chunks}
    searched = ["\n".join([*row["heading_path"], row["text"]]) for row in chunks]
    found = Bm25Index(list(documents), searched).search(texts, DEPTH)

    def ranking(position: int) -> list[tuple[str, float]]:
        return [(documents[chunk_id], score) for chunk_id, score in found[position]]

    return ranking


def _measure(
    corpus: str, query: Query, retriever: str, position: int, ranking: Ranking
) -> dict[str, object]:
    judged = {document_id(corpus, key): grade for key, grade in query.judgements.items()}
    row: dict[str, object] = {
        "result_id": f"{query.query_id}:{retriever}",
        "query_id": query.query_id,
        "retriever": retriever,
        "recall_curve": [],
        "error": None,
    }
    try:
        ranked = collapse(ranking(position))
        row |= {
            "ndcg_10": ndcg(ranked, judged),
            "mrr_10": reciprocal_rank(ranked, judged),
            "recall_10": recall(ranked, judged, 10),
            "recall_curve": recall_curve(ranked, judged, DEPTH).tolist(),
        }
    except Exception as error:  # noqa: BLE001 - a failed query is counted; the gate refuses it
        row["error"] = f"{type(error).__name__}: {error}"
    return row | {"fingerprint": sha256_text(canonical(row))}
