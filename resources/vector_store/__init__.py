"""Vector databases: collections of dense and sparse vectors, and the alias that serves one.

Here: the protocols and the records they exchange. One file for each database implements them.
Not here: when an index is built, measured or published (platform_assets/vector_indexes).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol, Self

from resources.encoding import Vectors


class Retriever(StrEnum):
    """How a query is matched: dense vectors, BM25 sparse vectors, or both.

    Both are added up after each one's scores are put on a scale from three standard deviations
    below the mean of its hits to three above (distribution-based score fusion, Qdrant's).
    """

    DENSE = "dense"
    BM25 = "bm25"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Point:
    """One chunk in a collection."""

    point_id: str
    """UUID string; the chunk id."""
    fingerprint: str
    """Digest of everything stored for the point; kept in the payload, diffed on rebuild."""
    vector: Sequence[float]
    text: str
    sparse_text: str
    """What BM25 reads: the heading path and the text."""
    payload: Mapping[str, str | int | list[str] | None]
    """`doc_id`, `key`, `page`, `heading` (list of str): filterable, returned with hits."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result."""

    point_id: str
    score: float
    """Higher is better; of hybrid search, comparable within one answer only."""
    text: str
    payload: Mapping[str, str | int | list[str] | None]


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Restricts a search; None means any."""

    key_prefix: str | None = None
    heading: str | None = None
    """Hits whose heading path has this heading at any level."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is asked of a collection."""

    vector: Sequence[float] | None
    """Of the query, as long as the collection's; BM25 needs none."""
    text: str
    """Of the query; dense search does not read it."""
    retriever: Retriever
    limit: int
    """Most hits."""
    where: SearchFilter | None = None
    exact: bool = False
    """Whether every vector is compared, not those that the approximate index leads to."""


class Collection(Protocol):
    """A finished, readable collection."""

    def ids(self) -> list[str]:
        """Ids of all points, sorted; a fraction of what `fingerprints` costs."""
        ...

    def fingerprints(self) -> dict[str, str]:
        """Point id -> fingerprint of every point."""
        ...

    def search(self, request: SearchRequest) -> list[Hit]:
        """Best hits first.

        Raises:
            ValueError: the query vector is missing or has another length than the collection's.
        """
        ...

    def scores(self, request: SearchRequest) -> dict[str, float]:
        """Like `search`, but point id -> score alone: many lists cost a fraction."""
        ...

    def points(self, point_ids: Sequence[str]) -> list[Hit]:
        """Stored points, as a search returns them, with score 0; in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        ...

    def values(self, field: str, point_ids: Sequence[str]) -> list[Any]:
        """One field of the payload of stored points, in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        ...

    def vectors(self, point_ids: Sequence[str]) -> Vectors:
        """Stored dense vectors, shape (len(point_ids), dimensions), in the order asked.

        Raises:
            LookupError: a point is not in the collection.
        """
        ...


class CollectionBuilder(Protocol):
    """A collection under construction; survives a crash and is taken up again.

    Use it in a `with` block: leaving the block lets other runs build again, and an unfinished
    build stays, to be taken up.
    """

    def __enter__(self) -> Self:
        """Return the builder itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release what the builder holds."""
        ...

    def fingerprints(self) -> dict[str, str]:
        """Point id -> fingerprint of every point already stored."""
        ...

    def upsert(self, points: Iterable[Point]) -> None:
        """Store one wave durably: still there after `kill -9` once this returns.

        A wave is held in memory; some thousands of points are a good size. A crash within it
        loses no more than the wave.

        Raises:
            ValueError: a point cannot be stored; nothing of the wave is.
        """
        ...

    def delete(self, point_ids: Sequence[str]) -> None:
        """Remove points durably; ids that are not there are passed over."""
        ...

    def finish(self) -> None:
        """Build the approximate index, then make the collection readable atomically."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What an alias points at."""

    collection: str
    encoder: str
    retriever: Retriever
    record: str
    """Id of the provenance record of the published index."""


class AlreadyBuiltError(ValueError):
    """The collection is finished, and a finished collection never changes."""

    def __init__(self, name: str) -> None:
        super().__init__(f"collection {name} is finished and never changes: take another name")


class VectorStore(Protocol):
    """A vector database with named, immutable collections and aliases.

    A finished collection never changes; an update clones the last one and applies the difference.
    A large one is gathered from parts, plain collections of their own, so that an update clones
    only the parts that differ, and the others are parts of the new one too.
    """

    def collections(self) -> list[str]:
        """Names of the finished collections, plain and gathered, sorted."""
        ...

    def build(self, name: str, dimensions: int, clone_from: str | None = None) -> CollectionBuilder:
        """Start or take up again the building of collection `name`.

        A build of the same name that a crash left behind is continued; otherwise the points of
        `clone_from` (if it exists and has the same dimensions) are the start, so that only the
        difference is upserted. While another run builds this collection, it waits.

        Raises:
            ValueError: the name is no slug (a-z, 0-9, '-', '_', '.').
            AlreadyBuiltError: the collection is finished, may be by the run that was waited for.
            RuntimeError: another run does not come to an end with it.
        """
        ...

    def gather(self, name: str, parts: Sequence[str]) -> None:
        """Make a finished collection `name` that consists of others, without copying anything.

        Nothing happens if it is there and consists of just these.

        Raises:
            ValueError: the name is no slug, or there are no parts.
            LookupError: a part is not a finished plain collection.
            AlreadyBuiltError: there is another finished collection of that name.
        """
        ...

    def parts(self, name: str) -> tuple[str, ...]:
        """The collections that a finished one consists of; of a plain one, itself.

        Raises:
            LookupError: there is no such collection.
        """
        ...

    def open(self, name: str) -> Collection:
        """Open a finished collection for reading (any number of processes at once).

        Raises:
            LookupError: there is no such collection, or a part of it is gone.
        """
        ...

    def drop(self, name: str) -> None:
        """Remove a collection, finished or not; nothing happens if there is none.

        Of a gathered one, the parts stay. The caller sees to it that no alias points at the
        collection, and that none which stays consists of it.
        """
        ...

    def unfinished(self) -> list[str]:
        """Names of collections whose building was begun and not finished, sorted."""
        ...

    def forget(self, alias: str, name: str) -> None:
        """Let `alias` point nowhere where it points, or would go back, to collection `name`.

        The name of what is served goes too, which leaves nothing served until the next switch.
        """
        ...

    def served(self, alias: str) -> Served | None:
        """What `alias` points at now."""
        ...

    def previous(self, alias: str) -> Served | None:
        """What `alias` pointed at before the last switch; where a rollback goes."""
        ...

    def switch(self, alias: str, target: Served) -> None:
        """Point `alias` at `target` atomically and remember what it pointed at before.

        A switch to where it points already changes nothing.

        Raises:
            LookupError: the target is not a finished collection.
        """
        ...
