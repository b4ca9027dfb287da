"""What is measured of an index before it may be served, collection by collection.

Here: recall of approximate search, stored vectors, and whether the points are the live chunks.
Parts never change, so what was found good of one is noted and not looked at again; whoever wants
to know whether the database still holds what it held measures afresh.
Not here: what follows from it (publish.py, checks.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from platform_assets.chunks.table import CHUNKS
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Record
from platform_assets.settled import Settled, Value
from platform_assets.vector_indexes.parts import (
    WHOLE,
    is_there,
    parts_of,
    slices_of,
    states_of_parts,
)
from resources.object_store import ObjectStore
from resources.vector_store import Collection, Retriever, SearchRequest, VectorStore
from resources.warehouse import Warehouse

RECALL_FLOOR = 0.98
"""Least recall@10 of the approximate index against exact search."""
PROBES = 200
"""Most points of an index whose neighbours are searched to measure that."""
FEWEST_PROBES = 25
"""Of a collection: 400 of an index of sixteen parts."""
COMPARED = 20_000_000
"""Vectors that exact searches may compare in all; where there are many, fewer points are tried."""
MOST_VECTORS = 20_000
"""Stored vectors of an index that are looked at, spread over it."""
NORM_TOLERANCE = 1e-2
BLOCK = 10_000
"""Vectors read at a time."""


@dataclass(frozen=True, slots=True)
class Measuring:
    """Looks at indexes."""

    lake: ObjectStore
    warehouse: Warehouse
    vectors: VectorStore
    afresh: bool = False
    """Whether to look at everything, whatever was found of it before."""

    def faults(self, index: Record) -> list[str]:
        """Why an index may not be served, whatever its quality; empty if it may."""
        recall = self.recall(index)
        faults = [
            self.id_fault(index),
            self.vector_fault(index),
            f"recall@10 of the approximate index is {recall:.4f}, below {RECALL_FLOOR}"
            if recall < RECALL_FLOOR
            else None,
        ]
        return [fault for fault in faults if fault]

    def id_fault(self, index: Record) -> str | None:
        """The collections hold exactly the live chunks; None if so.

        A plain index is always compared, a part only where it or its chunks changed.
        """
        name, parts = index.details["collection"], parts_of(index.details)
        if not is_there(self.vectors, name):
            return f"collection {name}, or a part of it, is gone"
        if self.vectors.parts(name) != tuple(parts.values()):
            return f"collection {name} does not consist of the parts that were built"
        found = self._ids(index, parts).values()
        missing, obsolete = (sum(x[kind] for x in found) for kind in ("missing", "obsolete"))
        if not missing + obsolete:
            return None
        return f"{missing} live chunks are missing, {obsolete} are obsolete"

    def _ids(self, index: Record, parts: Mapping[str, str]) -> dict[str, Value]:
        """How many points of each part are missing, and how many obsolete."""
        scope, snapshot = _scope(index), self.warehouse.snapshot(CHUNKS)
        slices = self.warehouse.states(CHUNKS, scope, snapshot)

        def look(part: str) -> Value:
            chosen = slices_of(part, slices)
            rows = self.warehouse.scan(
                CHUNKS, scope, ["chunk_id"], snapshot=snapshot, slices=chosen
            )
            name = parts.get(part)
            stored = set(self.vectors.open(name).ids()) if name else set()
            wanted = set(rows.column("chunk_id").to_pylist())
            return {"missing": len(wanted - stored), "obsolete": len(stored - wanted)}

        if WHOLE in parts:
            return {WHOLE: look(WHOLE)}
        states = _states_with_chunks(slices, parts)
        return self._each("ids", index, states, look, lambda x: not any(x.values()))

    def vector_fault(self, index: Record) -> str | None:
        """Stored vectors have the encoder's dimensions and unit length; None if so."""
        dimensions, most = int(index.details["dimensions"]), self._share(MOST_VECTORS, index)

        def look(name: str) -> Value:
            return {"fault": vector_faults(dimensions, self.vectors.open(name), most)}

        found = self._each("vectors", index, _states(index), look, lambda x: not x["fault"])
        return next((str(x["fault"]) for x in found.values() if x["fault"]), None)

    def recall(self, index: Record) -> float:
        """Recall@10 of approximate search against exact search; the mean over all points."""
        probes = max(FEWEST_PROBES, self._share(PROBES, index))

        def look(name: str) -> Value:
            collection = self.vectors.open(name)
            points = len(collection.ids())
            return {"recall": approximate_recall(collection, probes), "points": points}

        def good(found: Value) -> bool:
            return bool(found["recall"] >= RECALL_FLOOR)

        found = self._each("recall", index, _states(index), look, good).values()
        points = sum(x["points"] for x in found)
        return sum(x["recall"] * x["points"] for x in found) / points if points else 1.0

    def forget_missing(self, index: Record) -> None:
        """Forget what was found of collections that are gone, since they will be built again."""
        there, parts = set(self.vectors.collections()), parts_of(index.details)
        if WHOLE not in parts:
            snapshot = self.warehouse.snapshot(CHUNKS)
            slices = self.warehouse.states(CHUNKS, _scope(index), snapshot)
            ids = _states_with_chunks(slices, parts)
            self._keep("ids", index, {x: ids[x] for x, name in parts.items() if name in there})
        states = {name: state for name, state in _states(index).items() if name in there}
        for what in ("vectors", "recall"):
            self._keep(what, index, states)

    def _keep(self, what: str, index: Record, states: Mapping[str, str]) -> None:
        """Keep the notes of some pieces and no others."""
        settled = Settled.read(self.lake, _note(what, index), states)
        settled.keep(states, settled.known)

    def _share(self, of_index: int, index: Record) -> int:
        return of_index // len(parts_of(index.details))

    def _each(
        self,
        what: str,
        index: Record,
        states: Mapping[str, str],
        look: Callable[[str], Value],
        good: Callable[[Value], bool],
    ) -> dict[str, Value]:
        """What is known of each piece; what is not is looked for, and noted if it is good."""
        settled = Settled.read(self.lake, _note(what, index), states)
        known = {} if self.afresh else settled.known
        found = {piece: known[piece] if piece in known else look(piece) for piece in states}
        settled.keep(states, {piece: value for piece, value in found.items() if good(value)})
        return found


def _scope(index: Record) -> dict[str, str]:
    return {"corpus": corpus_and_encoder(index.partition)[0]}


def _states(index: Record) -> dict[str, str]:
    """Collection -> what its measurements depend on beside its content, which its name tells."""
    return dict.fromkeys(parts_of(index.details).values(), index.details["dimensions"])


def _states_with_chunks(slices: Mapping[int, str], parts: Mapping[str, str]) -> dict[str, str]:
    """Part -> its chunks and its collection, in order."""
    chunks = states_of_parts(slices)
    places = sorted({*parts, *chunks}, key=int)
    return {x: f"{chunks.get(x, '')}|{parts.get(x, '')}" for x in places}


def _note(what: str, index: Record) -> str:
    return f"{index.asset}-{what}/{index.partition}"


def vector_faults(dimensions: int, collection: Collection, most: int = MOST_VECTORS) -> str | None:
    """Stored vectors have the encoder's dimensions and unit length; None if so.

    What was written is checked vector by vector in the table; here, whether the database kept it.
    """
    ids = collection.ids()
    ids = ids[:: 1 + len(ids) // most]
    for start in range(0, len(ids), BLOCK):
        vectors = collection.vectors(ids[start : start + BLOCK])
        if vectors.shape[1] != dimensions:
            return f"vectors have {vectors.shape[1]} dimensions, not {dimensions}"
        norms = np.linalg.norm(vectors, axis=1)
        if not (np.abs(norms - 1) <= NORM_TOLERANCE).all():  # so that NaN is a fault too
            return f"vector lengths lie between {norms.min():.4f} and {norms.max():.4f}, not at 1"
    return None


def approximate_recall(collection: Collection, most: int = PROBES, k: int = 10) -> float:
    """Recall@k of the approximate index against exact search, over spread points; 1 if empty."""
    ids = collection.ids()
    count = min(most, max(FEWEST_PROBES, COMPARED // max(1, len(ids))))
    probes = ids[:: max(1, len(ids) // count)][:count]
    if not probes:
        return 1.0
    shares = []
    for vector in collection.vectors(probes).tolist():
        found = collection.search(SearchRequest(vector, "", Retriever.DENSE, k))
        exact = collection.search(SearchRequest(vector, "", Retriever.DENSE, k, exact=True))
        floor = exact[-1].score - 1e-6  # equal texts tie: any of them is a right answer
        shares.append(sum(hit.score >= floor for hit in found) / len(exact))
    return float(np.mean(shares))
