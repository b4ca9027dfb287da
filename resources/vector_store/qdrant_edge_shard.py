"""One shard of the embedded Qdrant engine, as a collection.

Here: how points, filters and searches are put to the engine.
Not here: folders, building and publishing (qdrant_edge).

Shards have no write-ahead log: without one any number of processes may open a shard that nobody
writes to (opening rewrites a few small files with the bytes they hold already), and what is
written is durable once `flush` returns.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from resources.encoding import Vectors
from resources.vector_store import Hit, Retriever, SearchFilter, SearchRequest
from resources.vector_store import records as r

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard, Filter, Record, ScoredPoint

_PAGE = 10_000


def create_shard(path: Path, dimensions: int) -> None:
    """Write an empty shard with its payload indexes."""
    import qdrant_edge as q

    path.mkdir(parents=True)
    config = q.EdgeConfig(
        vectors={r.DENSE: q.EdgeVectorParams(size=dimensions, distance=q.Distance.Cosine)},
        sparse_vectors={r.BM25: q.EdgeSparseVectorParams(modifier=q.Modifier.Idf)},
        hnsw_config=q.HnswIndexConfig(
            m=r.HNSW_M, ef_construct=r.HNSW_EF_CONSTRUCT, full_scan_threshold=r.EXACT_BELOW_KB
        ),
        optimizers=q.EdgeOptimizersConfig(
            default_segment_number=1, indexing_threshold=r.EXACT_BELOW_KB
        ),
        wal_enabled=False,
    )
    shard = q.EdgeShard.create(str(path), config)
    for field, prefix in (("key", True), ("heading", False)):
        index = q.KeywordIndexParams(prefix=prefix, enable_hnsw=False, on_disk=True)  # loads faster
        shard.update(q.UpdateOperation.create_field_index(field, index))
    shard.flush()
    shard.close()


def load_shard(path: Path) -> "EdgeShard":
    """Open a shard.

    Raises:
        RuntimeError: its files are damaged.
    """
    from qdrant_edge import EdgeShard

    try:
        return EdgeShard.load(str(path))
    except Exception as error:
        raise RuntimeError(f"{path} is damaged, drop it and build it anew: {error}") from error


def dimensions_of(path: Path) -> int | None:
    """Length of a shard's dense vectors; None if there is no readable shard."""
    try:
        config = json.loads((path / "edge_config.json").read_text(encoding="utf-8"))
        return int(config["vectors"][r.DENSE]["size"])
    except (OSError, ValueError, KeyError):
        return None


def count(shard: "EdgeShard") -> int:
    """Points of a shard."""
    from qdrant_edge import CountRequest

    return shard.count(CountRequest(exact=True))


def fingerprints(shard: "EdgeShard") -> dict[str, str]:
    """Point id -> fingerprint of every point of a shard."""
    found = _records(shard, payload=["fingerprint"])
    return {str(x.id): (x.payload or {})["fingerprint"] for x in found}


def _records(shard: "EdgeShard", payload: "list[str] | Literal[False]") -> "Iterator[Record]":
    """Every point of a shard, page by page, with some of its payload or none."""
    from qdrant_edge import ScrollRequest

    offset = None
    while True:
        page, offset = shard.scroll(ScrollRequest(offset=offset, limit=_PAGE, with_payload=payload))
        yield from page
        if offset is None:
            return


class EdgeCollection:
    """A finished shard, open for reading."""

    def __init__(self, shard: "EdgeShard", dimensions: int) -> None:
        self._shard = shard
        self._dimensions = dimensions

    def ids(self) -> list[str]:
        """Ids of all points, sorted."""
        return list(self._ids)

    @cached_property
    def _ids(self) -> list[str]:
        return sorted(str(x.id) for x in _records(self._shard, payload=False))

    def fingerprints(self) -> dict[str, str]:
        """Point id -> fingerprint of every point."""
        return dict(self._fingerprints)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return fingerprints(self._shard)

    def search(self, request: SearchRequest) -> list[Hit]:
        """Best hits first.

        Raises:
            ValueError: the query vector is missing or has another length than the collection's.
        """
        found = self._found(request, payload=True)
        return r.by_score(r.hit(x.id, x.score, x.payload or {}) for x in found)

    def scores(self, request: SearchRequest) -> dict[str, float]:
        """Like `search`, but point id -> score alone."""
        found = self._found(request, payload=False)
        return {str(x.id): x.score for x in found}

    def _found(self, request: SearchRequest, *, payload: bool) -> "list[ScoredPoint]":
        import qdrant_edge as q

        query = r.check_query(request.vector, request.retriever, self._dimensions)
        dense = q.Query.Nearest(query, r.DENSE)
        sparse = q.Query.Nearest(r.bm25().embed_query(request.text), r.BM25)
        params = q.SearchParams(hnsw_ef=r.HNSW_EF_SEARCH, exact=request.exact)
        common: dict[str, Any] = {"filter": _filter(request.where), "params": params}
        if request.retriever is Retriever.HYBRID:
            depth = max(request.limit, r.CANDIDATES)
            branches = [q.Prefetch(depth, query=branch, **common) for branch in (dense, sparse)]
            fusion: Any = q.Fusion.Dbsf()
            asked = q.QueryRequest(
                request.limit, query=fusion, prefetches=branches, with_payload=payload
            )
        else:
            single = dense if request.retriever is Retriever.DENSE else sparse
            asked = q.QueryRequest(request.limit, query=single, with_payload=payload, **common)
        return self._shard.query(asked)

    def held(self, point_ids: Sequence[str]) -> set[str]:
        """Those of the points that are in the collection."""
        found = self._shard.retrieve(list(point_ids), with_payload=False, with_vector=False)
        return {str(x.id) for x in found}

    def points(self, point_ids: Sequence[str]) -> list[Hit]:
        """Stored points with score 0, in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        records = self._shard.retrieve(list(point_ids), with_payload=True, with_vector=False)
        stored = {str(x.id): r.hit(x.id, 0.0, x.payload or {}) for x in records}
        return r.in_order(stored, point_ids)

    def values(self, field: str, point_ids: Sequence[str]) -> list[Any]:
        """One field of the payload of stored points, in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        records = self._shard.retrieve(list(point_ids), with_payload=[field], with_vector=False)
        return r.in_order({str(x.id): (x.payload or {})[field] for x in records}, point_ids)

    def vectors(self, point_ids: Sequence[str]) -> Vectors:
        """Stored dense vectors, shape (len(point_ids), dimensions), in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        records = self._shard.retrieve(list(point_ids), with_payload=False, with_vector=[r.DENSE])
        vectors: Any = {str(x.id): x.vector for x in records}
        stored = {point_id: vector[r.DENSE] for point_id, vector in vectors.items()}
        return r.dense_rows(stored, point_ids, self._dimensions)


def _filter(where: SearchFilter | None) -> "Filter | None":
    import qdrant_edge as q

    if where is None:
        return None
    conditions: list[Any] = []
    if where.key_prefix is not None:
        conditions.append(q.FieldCondition("key", q.MatchPrefix(where.key_prefix)))
    if where.heading is not None:
        conditions.append(q.FieldCondition("heading", q.MatchValue(where.heading)))
    return q.Filter(must=conditions)
