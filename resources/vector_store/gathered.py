"""A collection that consists of other collections, its parts, for any database.

Here: reading the parts as one: who has a point, and the merging of what each part found.
Not here: which parts there are (each store's `gather`), a part's own searches.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any, Protocol, TypeVar

import numpy as np

from resources.encoding import Vectors
from resources.vector_store import Collection, Hit, Retriever, SearchRequest
from resources.vector_store import records as r

KEPT_LISTS = 1024
"""Ranked lists that are remembered: some megabytes."""
Found = TypeVar("Found")


class Part(Collection, Protocol):
    """A plain collection, which can also be asked for points that it may not have."""

    def held(self, point_ids: Sequence[str]) -> set[str]:
        """Those of the points that it has."""
        ...


Ranked = dict[str, tuple[float, Part]]
"""Point id -> score and home."""


class GatheredCollection:
    """The parts, open for reading as one collection.

    A search asks every part and merges what they found by score. Dense scores are the same as in
    one collection. BM25 weighs a word by its rarity in each part, as in a database's own shards,
    so its scores differ a little from those of one collection. Of hybrid search, the best of each
    retriever over all parts are fused, as the database does it for one collection.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._kept: dict[SearchRequest, Ranked] = {}

    def ids(self) -> list[str]:
        """Ids of all points of all parts, sorted."""
        return sorted(x for part in self._parts for x in part.ids())

    def fingerprints(self) -> dict[str, str]:
        """Point id -> fingerprint of every point of every part; of a large index, much memory."""
        return {x: found for part in self._parts for x, found in part.fingerprints().items()}

    def search(self, request: SearchRequest) -> list[Hit]:
        """Best hits first.

        Raises:
            ValueError: the query vector is missing or has another length than the collection's.
        """
        scores, homes = self._found(request)
        stored = [
            hit
            for part in self._parts
            for hit in part.points([x for x in scores if homes[x] is part])
        ]
        return r.by_score(replace(hit, score=scores[hit.point_id]) for hit in stored)

    def scores(self, request: SearchRequest) -> dict[str, float]:
        """Like `search`, but point id -> score alone."""
        return self._found(request)[0]

    def _found(self, request: SearchRequest) -> tuple[dict[str, float], dict[str, Part]]:
        """Point id -> score, and at least of these: point id -> home."""
        hybrid = request.retriever is Retriever.HYBRID
        depth = max(request.limit, r.CANDIDATES) if hybrid else request.limit
        dense = None if request.vector is None else tuple(request.vector)
        asked = {
            Retriever.DENSE: replace(
                request, vector=dense, text="", retriever=Retriever.DENSE, limit=depth
            ),
            Retriever.BM25: replace(request, vector=None, retriever=Retriever.BM25, limit=depth),
        }
        wanted = asked if hybrid else (request.retriever,)
        lists = [self._ranked(asked[each]) for each in wanted]
        ranked = [{x: score for x, (score, _) in found.items()} for found in lists]
        scores = best(fused(ranked), request.limit) if hybrid else ranked[0]
        return scores, {x: part for found in lists for x, (_, part) in found.items()}

    def _ranked(self, request: SearchRequest) -> Ranked:
        """The best of all parts, the best first.

        Parts never change, so lists are kept: an evaluation asks for each by itself and again for
        hybrid search.
        """
        if request not in self._kept:
            if len(self._kept) >= KEPT_LISTS:
                self._kept.clear()
            scores: dict[str, float] = {}
            homes: dict[str, Part] = {}
            for part in self._parts:
                found = part.scores(request)
                scores.update(found)
                homes.update(dict.fromkeys(found, part))
            ranked = best(scores, request.limit).items()
            self._kept[request] = {x: (score, homes[x]) for x, score in ranked}
        return self._kept[request]

    def points(self, point_ids: Sequence[str]) -> list[Hit]:
        """Stored points with score 0, in the order asked.

        Raises:
            LookupError: no part has a point.
        """
        return r.in_order(self._stored(point_ids, lambda part, ids: part.points(ids)), point_ids)

    def values(self, field: str, point_ids: Sequence[str]) -> list[Any]:
        """One field of the payload of stored points, in the order asked.

        Raises:
            LookupError: no part has a point.
        """
        stored = self._stored(point_ids, lambda part, ids: part.values(field, ids))
        return r.in_order(stored, point_ids)

    def vectors(self, point_ids: Sequence[str]) -> Vectors:
        """Stored dense vectors, shape (len(point_ids), dimensions), in the order asked.

        Raises:
            LookupError: no part has a point.
        """
        if not point_ids:
            return self._parts[0].vectors([])
        stored = self._stored(point_ids, lambda part, ids: list(part.vectors(ids)))
        return np.stack(r.in_order(stored, point_ids))

    def _stored(
        self, point_ids: Sequence[str], read: Callable[[Part, Sequence[str]], Iterable[Found]]
    ) -> dict[str, Found]:
        """What the parts have of points: each part is asked for those not found before."""
        found: dict[str, Found] = {}
        missing = list(dict.fromkeys(point_ids))
        for part in self._parts:
            if not missing:
                break
            here = part.held(missing)
            known = [x for x in missing if x in here]
            found.update(zip(known, read(part, known), strict=True))
            missing = [x for x in missing if x not in here]
        return found


def fused(lists: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Point id -> the sum of its scores in several lists, each list on a scale of its own.

    The scale goes from three standard deviations below the mean to three above (Qdrant's
    distribution-based score fusion); scores beyond it are not clamped.
    """
    totals: dict[str, float] = {}
    for scores in lists:
        for point_id, score in zip(scores, _on_scale(list(scores.values())), strict=True):
            totals[point_id] = totals.get(point_id, 0.0) + score
    return totals


def best(scores: Mapping[str, float], limit: int) -> dict[str, float]:
    """The highest scores, the best first; equal ones by id."""
    return dict(sorted(scores.items(), key=lambda found: (-found[1], found[0]))[:limit])


def _on_scale(scores: Sequence[float]) -> list[float]:
    spread = 6 * stdev(scores) if len(scores) > 1 else 0.0
    if not spread:
        return [0.5] * len(scores)
    mean = fmean(scores)
    return [0.5 + (score - mean) / spread for score in scores]
