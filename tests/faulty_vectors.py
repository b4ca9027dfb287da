"""The real vector database with a fault in what its collections answer."""

from collections.abc import Callable, Sequence
from typing import Any

from resources.encoding import Vectors
from resources.vector_store import Collection, Hit, SearchRequest, VectorStore


class FaultyVectors:
    """A store whose collections are opened with a fault."""

    def __init__(self, real: VectorStore, fault: Callable[[Collection], Collection]) -> None:
        self._real, self._fault = real, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def open(self, name: str) -> Collection:
        return self._fault(self._real.open(name))


class Collected:
    """A collection as it is."""

    def __init__(self, real: Collection) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Misled(Collected):
    """Its searches for some texts go wrong."""

    def __init__(self, real: Collection, search: Callable[[str], list[Hit]]) -> None:
        super().__init__(real)
        self._instead = search

    def search(self, request: SearchRequest) -> list[Hit]:
        return self._instead(request.text) or self._real.search(request)


class Forgetful(Collected):
    """Its approximate search loses the best hits."""

    def __init__(self, real: Collection, lost: int) -> None:
        super().__init__(real)
        self._lost = lost

    def search(self, request: SearchRequest) -> list[Hit]:
        found = self._real.search(request)
        return found if request.exact else found[self._lost :]


class Distorted(Collected):
    """It shows other vectors than were stored."""

    def __init__(self, real: Collection, distort: Callable[[Vectors], Vectors]) -> None:
        super().__init__(real)
        self._distort = distort

    def vectors(self, point_ids: Sequence[str]) -> Vectors:
        return self._distort(self._real.vectors(point_ids).copy())
