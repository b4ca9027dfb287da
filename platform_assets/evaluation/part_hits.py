"""What each part of a large index finds for the test queries, kept until the part changes.

Parts never change, and most of an index is that of the last time: a change has its own part opened
and searched alone. A file for each part lies in the lake and holds ids and scores, no text and no
keys; a lost or damaged one costs a search.
Not here: how parts are made (vector_indexes), what is measured of a ranking (refresh.py).
"""

import io
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from platform_assets.chunks.table import CHUNKS
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import PREFIX, Record, canonical, sha256_text
from platform_assets.slices import Source
from platform_assets.vector_indexes.parts import parts_of, slices_of
from resources.encoding import Vectors
from resources.object_store import ObjectStore
from resources.vector_store import Collection, Retriever, SearchRequest, VectorStore
from resources.vector_store.gathered import best, fused
from resources.warehouse import Warehouse

LISTED = (Retriever.DENSE, Retriever.BM25)
HITS = pa.schema(
    {
        "retriever": pa.string(),
        "query": pa.int32(),
        "point": pa.string(),
        "document": pa.string(),
        "score": pa.float64(),
    }
)
Scores = dict[str, float]


@dataclass(slots=True)
class PartHits:
    """The hits of all parts, merged."""

    _hits: Mapping[tuple[Retriever, int], Scores]
    """Of each query: point id -> score, the best first."""
    _documents: Mapping[str, str]
    """Point id -> document id."""
    _errors: Mapping[tuple[Retriever, int], Exception]
    _depth: int

    def ranking(self, retriever: Retriever, position: int) -> list[tuple[str, float]]:
        """(document id, score) of the chunks found for a query, as a search of all parts gives.

        Raises:
            Exception: whatever a search of a part raised.
        """
        asked = LISTED if retriever is Retriever.HYBRID else (retriever,)
        for each in asked:
            if error := self._errors.get((each, position)):
                raise error
        lists = [self._hits.get((each, position), {}) for each in asked]
        scores = best(fused(lists), self._depth) if len(lists) > 1 else lists[0]
        return [(self._documents[point], score) for point, score in scores.items()]


def part_hits(
    index: Record,
    warehouse: Warehouse,
    vectors: VectorStore,
    lake: ObjectStore,
    texts: Sequence[str],
    encoded: Vectors,
    depth: int,
) -> PartHits:
    """Search the parts that have no file yet, and merge what all of them found.

    Args:
        index: Record of an index of parts.
        warehouse: Where its chunks are.
        vectors: Where the parts are.
        lake: Where the files are; those of other parts or queries go.
        texts: Of the queries.
        encoded: Their vectors, shape (queries, dimensions).
        depth: Hits of each query and retriever.
    """
    folder = f"{PREFIX}/part_hits/{index.partition}/"
    asked = sha256_text(canonical([list(texts), encoded.tobytes().hex(), depth]))
    files = {
        f"{folder}{sha256_text(f'{name}|{asked}')}.parquet": (place, name)
        for place, name in parts_of(index.details).items()
    }
    there = {item.key for item in lake.objects(folder)}
    for key in there - files.keys():
        lake.delete(key)
    chunks = Source.now(warehouse, CHUNKS, {"corpus": corpus_and_encoder(index.partition)[0]})
    search = _Search(warehouse, chunks, vectors, texts, encoded, depth)
    tables = []
    for key, (place, name) in files.items():
        found = _read(lake, key) if key in there else None
        if found is None:
            failed = len(search.errors)
            found = search.part(place, name)
            if len(search.errors) == failed:
                lake.put(key, _written(found))
        tables.append(found)
    return _merged(pa.concat_tables(tables), depth, search.errors)


def forget_part_hits(index: Record, lake: ObjectStore) -> None:
    """Remove the files of an index that has parts no more."""
    for item in list(lake.objects(f"{PREFIX}/part_hits/{index.partition}/")):
        lake.delete(item.key)


@dataclass(slots=True)
class _Search:
    warehouse: Warehouse
    chunks: Source
    vectors: VectorStore
    texts: Sequence[str]
    encoded: Vectors
    depth: int
    errors: dict[tuple[Retriever, int], Exception] = field(default_factory=dict)

    def part(self, place: str, name: str) -> pa.Table:
        """What one part finds, `HITS`."""
        collection = self.vectors.open(name)
        rows: list[tuple[str, int, str, float]] = []
        for retriever in LISTED:
            for position, text in enumerate(self.texts):
                vector = self.encoded[position].tolist()
                try:
                    hits = collection.scores(SearchRequest(vector, text, retriever, self.depth))
                except Exception as error:  # noqa: BLE001 - the query's failure, told with it
                    self.errors[retriever, position] = error
                    continue
                rows += ((retriever, position, point, score) for point, score in hits.items())
        homes = self._homes(place, collection, {point for _, _, point, _ in rows})
        hits_of = [(*row[:3], homes[row[2]], row[3]) for row in rows]
        columns = zip(*hits_of, strict=True) if rows else [()] * len(HITS)
        arrays = [pa.array(c, each.type) for c, each in zip(columns, HITS, strict=True)]
        return pa.table(arrays, HITS)

    def _homes(
        self, place: str, collection: Collection, points: AbstractSet[str]
    ) -> dict[str, str]:
        """Point id -> document id: from the table, since reading payloads takes ten times longer.

        Those of points that are no chunks any more are read.
        """
        slices = slices_of(place, self.chunks.states(self.warehouse))
        rows = self.chunks.scan(self.warehouse, ["chunk_id", "doc_id"], slices)
        rows = rows.filter(pc.is_in(rows.column("chunk_id"), pa.array(points, pa.string())))
        homes = dict(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        others = sorted(points - homes.keys())
        return {**homes, **dict(zip(others, collection.values("doc_id", others), strict=True))}


def _merged(
    hits: pa.Table, depth: int, errors: Mapping[tuple[Retriever, int], Exception]
) -> PartHits:
    lists = [("retriever", "ascending"), ("query", "ascending")]
    hits = _promising(hits, depth)  # a sixteenth: sorting all by their ids, too, takes long
    hits = hits.sort_by([*lists, ("score", "descending"), ("point", "ascending")])
    kept = hits.filter(pa.array(_ranks(_lists(hits)) < depth))
    found: dict[tuple[Retriever, int], Scores] = {}
    columns = (kept.column(name).to_pylist() for name in ("retriever", "query", "point", "score"))
    for retriever, query, point, score in zip(*columns, strict=True):
        found.setdefault((Retriever(retriever), query), {})[point] = score
    points, documents = (kept.column(name).to_pylist() for name in ("point", "document"))
    return PartHits(found, dict(zip(points, documents, strict=True)), errors, depth)


def _promising(hits: pa.Table, depth: int) -> pa.Table:
    """The best of each list, and those that are level with the last of them."""
    lists, scores = _lists(hits), hits.column("score").to_numpy()
    order = np.lexsort((-scores, lists))
    last = order[_ranks(lists[order]) == depth - 1]
    floors = np.full(1 + lists.max(initial=0), -np.inf)
    floors[lists[last]] = scores[last]
    return hits.filter(pa.array(scores >= floors[lists]))


def _lists(hits: pa.Table) -> npt.NDArray[np.int64]:
    """Number of the list that each hit is on, in the order of retrievers and queries."""
    dense = pc.equal(hits.column("retriever"), Retriever.DENSE).cast(pa.int64()).to_numpy()
    queries = hits.column("query").to_numpy()
    found: npt.NDArray[np.int64] = dense * (1 + queries.max(initial=0)) + queries
    return found


def _ranks(ordered: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Place of each hit on its list, from 0; the hits of a list stand together."""
    return np.arange(len(ordered)) - np.searchsorted(ordered, ordered)


def _read(lake: ObjectStore, key: str) -> pa.Table | None:
    try:
        return pq.read_table(pa.BufferReader(lake.get(key))).cast(HITS)
    except (FileNotFoundError, pa.ArrowException, ValueError):  # lost, damaged, of another version
        return None


def _written(hits: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(hits, file, compression="zstd", use_dictionary=["retriever"])
    return file.getvalue()
