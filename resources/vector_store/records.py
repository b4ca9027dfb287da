"""What every vector database here agrees on: names, stored payloads, BM25 and constants.

Here: checks of what comes in and the form points have in a database.
Not here: anything that talks to a database.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import numpy as np

from resources.encoding import Vectors
from resources.vector_store import AlreadyBuiltError, Hit, Point, Retriever

DENSE = "dense"
BM25 = "bm25"
"""Names of the dense and of the sparse vector of a point."""

HNSW_M = 16
HNSW_EF_CONSTRUCT = 128
HNSW_EF_SEARCH = 128
"""Graph parameters that hold recall@10 above 0.98 up to 100,000 vectors (Malkov, Yashunin 2018)."""

EXACT_BELOW_KB = 20_000
"""Vectors that take less in all are scanned: as quick as a graph, exact, and nothing to build."""

CANDIDATES = 100
"""Fewest hits of each retriever that enter the fusion; their scores are what it normalises by."""

BM25_AVERAGE_TERMS = 128.0
"""Length a chunk is compared with; constant, so that no vector depends on the other chunks."""

Stored = TypeVar("Stored")

_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,199}")


def check_name(name: str) -> str:
    """Return `name` if collections and aliases may be called so.

    Raises:
        ValueError: it is not a slug.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a collection or an alias: use up to 200 of a-z, 0-9, '-', '_' "
            "and '.', beginning with a letter, a digit or '_'"
        )
    return name


def check_parts(name: str, parts: Sequence[str]) -> Sequence[str]:
    """Return the parts if a collection can be gathered from so many.

    Raises:
        ValueError: there are none.
    """
    if not parts:
        raise ValueError(f"collection {name} cannot be gathered from no parts: build an empty one")
    return parts


def check_same_parts(name: str, there: Sequence[str], parts: Sequence[str]) -> None:
    """Let a collection be gathered again from what it consists of.

    Raises:
        AlreadyBuiltError: it consists of something else.
    """
    if tuple(there) != tuple(parts):
        raise AlreadyBuiltError(name)


def check_wave(points: Iterable[Point], dimensions: int) -> list[Point]:
    """Return the points as a list if all of them can be stored.

    Raises:
        ValueError: an id is not a UUID in canonical form, or a vector is not `dimensions` finite
            numbers; names the first such point.
    """
    wave = list(points)
    for point in wave:
        if not _is_canonical_uuid(point.point_id):
            raise ValueError(f"point id {point.point_id!r} is not a UUID in canonical form")
        if len(point.vector) != dimensions:
            raise ValueError(
                f"point {point.point_id} has a vector of {len(point.vector)} dimensions; "
                f"the collection has {dimensions}"
            )
        if not np.isfinite(point.vector).all():
            raise ValueError(f"point {point.point_id} has a vector with NaN or infinity in it")
    return wave


def _is_canonical_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def check_query(
    vector: Sequence[float] | None, retriever: Retriever, dimensions: int
) -> list[float]:
    """Return the query vector as floats; empty where BM25 needs none.

    Raises:
        ValueError: a dense retriever has no vector, or one of another length.
    """
    if retriever is Retriever.BM25:
        return []
    if vector is None or len(vector) != dimensions:
        found = "none" if vector is None else f"one of {len(vector)}"
        raise ValueError(
            f"{retriever} search needs a query vector of {dimensions} dimensions, got {found}"
        )
    return [float(x) for x in vector]


def stored_payload(point: Point) -> dict[str, Any]:
    """Everything a database keeps of a point beside its vectors."""
    return {**point.payload, "text": point.text, "fingerprint": point.fingerprint}


def hit(point_id: object, score: float, stored: Mapping[str, Any]) -> Hit:
    """A search result from what the database returned."""
    payload = {k: v for k, v in stored.items() if k not in {"text", "fingerprint"}}
    return Hit(str(point_id), score, stored["text"], payload)


def dense_rows(
    stored: Mapping[str, Sequence[float]], point_ids: Sequence[str], dimensions: int
) -> Vectors:
    """Stored vectors as rows, in the order asked.

    Raises:
        LookupError: a point is not among the stored ones.
    """
    rows = np.asarray(in_order(stored, point_ids), dtype=np.float32)
    return rows.reshape(len(point_ids), dimensions)


def in_order(stored: Mapping[str, Stored], point_ids: Sequence[str]) -> list[Stored]:
    """What is stored of points, in the order asked.

    Raises:
        LookupError: a point is not among the stored ones.
    """
    if missing := next((x for x in point_ids if x not in stored), None):
        raise LookupError(f"the collection has no point {missing}")
    return [stored[x] for x in point_ids]


def by_score(hits: Iterable[Hit]) -> list[Hit]:
    """Best first; equal scores in the order of their ids."""
    return sorted(hits, key=lambda h: (-h.score, h.point_id))


@cache
def bm25() -> Any:
    """The BM25 embedder: English stems and stop words, inverse frequencies left to the database.

    It runs in this process for every database, so that all of them index the same terms.
    """
    from qdrant_edge import Bm25, Bm25Config

    return Bm25(Bm25Config(avg_len=BM25_AVERAGE_TERMS))
