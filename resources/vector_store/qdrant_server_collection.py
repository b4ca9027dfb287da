"""One collection on a Qdrant server.

Here: how points, filters and searches are put to the server.
Not here: which collections are finished, aliases (qdrant_server).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from resources.encoding import Vectors
from resources.vector_store import Hit, Point, Retriever, SearchFilter, SearchRequest
from resources.vector_store import records as r

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Filter, PointStruct, Record, ScoredPoint, SparseVector
    from qdrant_edge import SparseVector as EdgeSparseVector

_PAGE = 500
"""Points a request; with the longest texts well below a server's limit of 32 MB a request."""


def create_collection(client: "QdrantClient", name: str, dimensions: int) -> None:
    """Make an empty collection with its payload indexes."""
    from qdrant_client import models as m

    client.create_collection(
        name,
        vectors_config={r.DENSE: m.VectorParams(size=dimensions, distance=m.Distance.COSINE)},
        sparse_vectors_config={r.BM25: m.SparseVectorParams(modifier=m.Modifier.IDF)},
        hnsw_config=m.HnswConfigDiff(
            m=r.HNSW_M, ef_construct=r.HNSW_EF_CONSTRUCT, full_scan_threshold=r.EXACT_BELOW_KB
        ),
        optimizers_config=m.OptimizersConfigDiff(indexing_threshold=r.EXACT_BELOW_KB),
    )
    for field, prefix in (("key", True), ("heading", False)):
        index = m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, prefix=prefix)
        client.create_payload_index(name, field, index)


def pages(
    client: "QdrantClient", name: str, payload: bool | list[str] = True, *, vectors: bool = False
) -> Iterator[list["Record"]]:
    """All points of a collection, some at a time."""
    offset = None
    while True:
        page, offset = client.scroll(
            name, limit=_PAGE, offset=offset, with_payload=payload, with_vectors=vectors
        )
        yield page
        if offset is None:
            return


def copy_points(client: "QdrantClient", source: str, target: str) -> None:
    """Copy all points by way of this process: a server has no copy of its own."""
    from qdrant_client.models import PointStruct

    for page in pages(client, source, vectors=True):
        copies: list[Any] = [
            PointStruct.model_construct(id=x.id, vector=x.vector, payload=x.payload) for x in page
        ]
        if copies:
            client.upsert(target, copies, wait=True)


class ServerCollection:
    """A collection, open for reading."""

    def __init__(self, client: "QdrantClient", name: str, dimensions: int) -> None:
        self._client = client
        self._name = name
        self._dimensions = dimensions

    def ids(self) -> list[str]:
        """Ids of all points, sorted."""
        found = pages(self._client, self._name, payload=False)
        return sorted(str(x.id) for page in found for x in page)

    def fingerprints(self) -> dict[str, str]:
        """Point id -> fingerprint of every point."""
        found = pages(self._client, self._name, ["fingerprint"])
        return {str(x.id): (x.payload or {})["fingerprint"] for page in found for x in page}

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
        from qdrant_client import models as m

        dense = r.check_query(request.vector, request.retriever, self._dimensions)
        queries: dict[str, Any] = {
            r.DENSE: dense,
            r.BM25: _sparse(r.bm25().embed_query(request.text)),
        }
        query_filter = _filter(request.where)
        params = m.SearchParams(hnsw_ef=r.HNSW_EF_SEARCH, exact=request.exact)
        if request.retriever is Retriever.HYBRID:
            depth = max(request.limit, r.CANDIDATES)
            branches = [
                m.Prefetch(query=query, using=name, filter=query_filter, params=params, limit=depth)
                for name, query in queries.items()
            ]
            fusion = m.FusionQuery(fusion=m.Fusion.DBSF)
            found = self._client.query_points(
                self._name, fusion, prefetch=branches, with_payload=payload, limit=request.limit
            )
        else:
            found = self._client.query_points(
                self._name,
                queries[request.retriever],
                request.retriever,
                query_filter=query_filter,
                search_params=params,
                with_payload=payload,
                limit=request.limit,
            )
        return found.points

    def held(self, point_ids: Sequence[str]) -> set[str]:
        """Those of the points that are in the collection."""
        return {str(x.id) for x in self._records(point_ids, with_payload=False)}

    def points(self, point_ids: Sequence[str]) -> list[Hit]:
        """Stored points with score 0, in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        found = self._records(point_ids, with_payload=True)
        return r.in_order({str(x.id): r.hit(x.id, 0.0, x.payload or {}) for x in found}, point_ids)

    def values(self, field: str, point_ids: Sequence[str]) -> list[Any]:
        """One field of the payload of stored points, in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        found = self._records(point_ids, with_payload=[field])
        return r.in_order({str(x.id): (x.payload or {})[field] for x in found}, point_ids)

    def vectors(self, point_ids: Sequence[str]) -> Vectors:
        """Stored dense vectors, shape (len(point_ids), dimensions), in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        found: Iterator[Any] = self._records(point_ids, with_payload=False, with_vectors=[r.DENSE])
        stored = {str(x.id): x.vector[r.DENSE] for x in found}
        return r.dense_rows(stored, point_ids, self._dimensions)

    def _records(self, point_ids: Sequence[str], **parts: Any) -> Iterator["Record"]:
        for start in range(0, len(point_ids), _PAGE):
            yield from self._client.retrieve(self._name, point_ids[start : start + _PAGE], **parts)


class ServerBuilder(ServerCollection):
    """A collection under construction."""

    def __init__(
        self,
        client: "QdrantClient",
        name: str,
        dimensions: int,
        mark_finished: Callable[[str, int], None],
    ) -> None:
        super().__init__(client, name, dimensions)
        self._mark_finished = mark_finished

    def __enter__(self) -> Self:
        """Return the builder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held; an unfinished build stays on the server, to be taken up again."""

    def upsert(self, points: Iterable[Point]) -> None:
        """Store one wave of points durably."""
        stored = [_point(p) for p in r.check_wave(points, self._dimensions)]
        for start in range(0, len(stored), _PAGE):
            self._client.upsert(self._name, stored[start : start + _PAGE], wait=True)

    def delete(self, point_ids: Sequence[str]) -> None:
        """Remove points durably; ids that are not there are passed over."""
        if point_ids:
            self._client.delete(self._name, list(point_ids), wait=True)

    def finish(self) -> None:
        """Wait for the approximate index, then make the collection readable."""
        self._mark_finished(self._name, self._dimensions)


def _point(point: Point) -> "PointStruct":
    from qdrant_client.models import PointStruct

    vectors: dict[str, Any] = {
        r.DENSE: [float(x) for x in point.vector],
        r.BM25: _sparse(r.bm25().embed_document(point.sparse_text)),
    }
    return PointStruct(id=point.point_id, vector=vectors, payload=r.stored_payload(point))


def _sparse(vector: "EdgeSparseVector") -> "SparseVector":
    from qdrant_client.models import SparseVector

    return SparseVector(indices=vector.indices, values=vector.values)


def _filter(where: SearchFilter | None) -> "Filter | None":
    from qdrant_client import models as m

    if where is None:
        return None
    conditions: list[Any] = []
    if where.key_prefix is not None:
        prefix = m.MatchPrefix(prefix=where.key_prefix)
        conditions.append(m.FieldCondition(key="key", match=prefix))
    if where.heading is not None:
        heading = m.MatchValue(value=where.heading)
        conditions.append(m.FieldCondition(key="heading", match=heading))
    return m.Filter(must=conditions)
