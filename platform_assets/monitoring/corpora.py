"""How each corpus stands: rows, rejections, what waits for the index, what is served and how good.

Here: reading the ledger, the tables and the vector store; what has not changed since the last
look is not read again. Not here: what was done and when (history.py).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.documents.table import REJECTED_DOCUMENTS
from platform_assets.evaluation.refresh import qualities
from platform_assets.monitoring.metrics import Sample
from platform_assets.monitoring.sources import Fault
from platform_assets.provenance import Ledger, Record
from platform_assets.raw_objects.assets import CODE_VERSION
from platform_assets.raw_objects.refresh import Compared, compare
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.reconcile import diff, fingerprints
from platform_assets.slices import Source
from resources.object_store import ObjectStore
from resources.vector_store import Served, VectorStore
from resources.warehouse import Warehouse

BROKEN = (LookupError, FileNotFoundError, ValueError, TypeError)
"""What records raise that are gone, altered or not what is looked for; a layer that is down raises
something else, for all corpora alike."""
ROWS = {"raw_objects": "objects", "documents": "documents", "chunks": "chunks"}


class Corpora:
    """Reads the layers; keeps what it read for as long as it holds."""

    def __init__(self, lake: ObjectStore, warehouse: Warehouse, vectors: VectorStore) -> None:
        self._lake, self._warehouse, self._vectors = lake, warehouse, vectors
        self._ledger = Ledger(lake)
        self._kept: dict[tuple[str, ...], tuple[object, Any]] = {}
        self._said: dict[str, tuple[Sample, ...]] = {}

    def samples(self, corpora: list[str]) -> Iterator[Sample | Fault]:
        """Gauges of the corpora; one whose records are broken is named and keeps its last."""
        for corpus in corpora:
            try:
                self._said[corpus] = tuple(self._of(corpus))
            except BROKEN as error:
                yield Fault(f"corpus {corpus}: {type(error).__name__}: {error}")
            yield from self._said.get(corpus, ())

    def _of(self, corpus: str) -> Iterator[Sample]:
        yield from self._rows(corpus)
        yield from self._rejected(corpus)
        yield from self._backlog(corpus)
        yield from self._indexes(corpus)

    def _rows(self, corpus: str) -> Iterator[Sample]:
        for asset, metric in ROWS.items():
            record = self._ledger.latest(asset, corpus)
            yield Sample(f"lakeloom_{metric}", record.rows if record else 0, {"corpus": corpus})

    def _rejected(self, corpus: str) -> Iterator[Sample]:
        made = self._ledger.latest("documents", corpus)

        def reasons() -> Counter[str]:
            found = self._warehouse.scan(REJECTED_DOCUMENTS, {"corpus": corpus}, ["reason"])
            return Counter(found.column("reason").to_pylist())

        now = made.details["rejected"] if made else ""
        for reason, count in self._unless_same(("rejected", corpus), now, reasons).items():
            yield Sample("lakeloom_rejected_documents", count, {"corpus": corpus, "reason": reason})

    def _backlog(self, corpus: str) -> Iterator[Sample]:
        found = compare(corpus, self._lake, self._warehouse, CODE_VERSION)
        shown = self._shown(corpus)
        now = (found.plan, found.own.snapshot(), shown)
        uploaded, removed = self._unless_same(
            ("backlog", corpus), now, lambda: self._waiting(corpus, found, shown)
        )
        waited = time.time() - min(uploaded).timestamp() if uploaded else 0.0
        count = len(uploaded) + removed
        yield Sample("lakeloom_backlog_objects", count, {"corpus": corpus})
        yield Sample("lakeloom_backlog_oldest_seconds", max(0.0, waited), {"corpus": corpus})

    def _shown(self, corpus: str) -> Record | None:
        """The manifest that the served index shows, or shows as much as any later one would."""
        served, chunks = self._vectors.served(corpus), self._ledger.latest("chunks", corpus)
        if served is None or chunks is None:
            return None
        published = self._ledger.get(served.record)
        index = self._ledger.get(
            published.upstream[f"vector_index/{corpus}|{served.encoder}"].record
        )
        link = index.upstream[chunks.name]
        of_served = chunks if link.digest == chunks.digest else self._ledger.get(link.record)
        return self._ledger.get(self._ledger.manifest(of_served))

    def _waiting(
        self, corpus: str, found: Compared, shown: Record | None
    ) -> tuple[list[datetime], int]:
        """Upload times of objects that are not shown, and how many that are gone still are."""
        scope = {"corpus": corpus}
        stale, gone = set(found.plan.stale), set(found.plan.removed)
        chosen = pc.is_in(found.objects.column("doc_id"), pa.array(sorted(stale), pa.string()))
        uploaded = found.objects.filter(chosen).column("modified").to_pylist()
        now = found.own.source()
        then = Source(RAW_OBJECTS, scope, shown.snapshot if shown else None)
        plan = diff(*(self._contents(each) for each in (now, then)))
        waiting = sorted({*plan.stale} - stale - gone)
        rows = self._warehouse.scan(RAW_OBJECTS, scope, ["modified"], waiting, now.snapshot)
        gone |= {*plan.removed} - stale
        return uploaded + rows.column("modified").to_pylist(), len(gone)

    def _contents(self, manifest: Source) -> pa.Table:
        return fingerprints(*manifest.scan(self._warehouse, ["doc_id", "digest"]).columns)

    def _indexes(self, corpus: str) -> Iterator[Sample]:
        served = self._vectors.served(corpus)
        if served:
            yield Sample("lakeloom_served", 1, _labels(corpus, served))
        for partition in self._ledger.partitions("vector_index"):
            of, _, encoder = partition.partition("|")
            index = self._ledger.latest("vector_index", partition)
            if of != corpus or index is None:
                continue
            labels = {"corpus": corpus, "encoder": encoder}
            yield Sample("lakeloom_index_points", index.rows, labels)
            yield from self._quality(corpus, encoder)

    def _quality(self, corpus: str, encoder: str) -> Iterator[Sample]:
        measured = self._ledger.latest("retrieval_evaluation", f"{corpus}|{encoder}")
        found = self._unless_same(
            ("quality", corpus, encoder),
            measured,
            lambda: qualities(self._warehouse, corpus, encoder) if measured else {},
        )
        for retriever, quality in found.items():
            if scores := quality.ndcg_10.values():
                labels = {"corpus": corpus, "encoder": encoder, "retriever": retriever}
                yield Sample("lakeloom_ndcg_10", sum(scores) / len(scores), labels)

    def _unless_same(self, name: tuple[str, ...], now: object, read: Callable[[], Any]) -> Any:
        """What `read` returned when things stood as `now`."""
        if name not in self._kept or self._kept[name][0] != now:
            self._kept[name] = (now, read())
        return self._kept[name][1]


def _labels(corpus: str, served: Served) -> dict[str, str]:
    retriever = str(served.retriever)
    return {"corpus": corpus, "encoder": served.encoder, "retriever": retriever}
