"""Counters from Dagster's history: what was uploaded, done, published, refused and failed.

Here: reading events once each, in their order. Everything is in Dagster's storage, so an exporter
that starts anew counts the same. Not here: what an upload waits for (waiting.py).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from platform_assets.monitoring.metrics import Distribution, Sample, added, distribution
from platform_assets.monitoring.waiting import Waiting
from platform_assets.raw_objects.arrivals import MANIFEST, METADATA
from platform_assets.results import SECONDS, WORK

READ = 1_000
"""Events in one read; Dagster allows no more."""
UPLOADS = ("raw_objects", "chunks", "published_index")
"""Assets whose events say how long uploads waited."""
GATE = "published_index"
OUTCOMES = ("published", "unchanged", "blocked", "refused")
"""What the gate counts; all begin at 0, since a counter that appears with 1 shows no increase."""
MEASURED = ("vector_index", "retrieval_evaluation")
"""Assets whose blocking checks stand before the gate."""
Key = tuple[str, tuple[tuple[str, str], ...]]
"""Metric and labels."""
Read = Callable[[str | None], Any]
"""Cursor -> some events after it (`dagster.EventRecordsResult`)."""


class History:
    """Counters over all events so far."""

    def __init__(self, assets: tuple[str, ...]) -> None:
        self._assets = assets
        self._cursors: dict[str, str | None] = {}
        self._counts: Counter[Key] = Counter()
        self._waits: dict[str, Distribution] = {}
        self._waiting: dict[str, Waiting] = {}
        self._published: dict[str, str] = {}
        for asset in assets:
            self._count("lakeloom_step_failures", 0, step=asset)

    def samples(self, instance: dg.DagsterInstance) -> list[Sample]:
        """Read what is new; returns all counters."""
        made = [
            record
            for asset in self._assets
            for record in self._news(asset, _materializations(instance, asset))
        ]
        for record in sorted(made, key=lambda record: record.storage_id):
            self._materialized(record)
        for record in self._news("", _failures(instance)):
            self._failed(instance, record.run_id)
        counted = [Sample(name, n, dict(labels)) for (name, labels), n in self._counts.items()]
        waits = [
            Sample("lakeloom_upload_to_searchable_seconds", found, {"corpus": corpus})
            for corpus, found in self._waits.items()
        ]
        return counted + waits

    def _news(self, name: str, read: Read) -> Iterator[Any]:
        while True:
            found = read(self._cursors.get(name))
            yield from found.records
            if found.records:
                self._cursors[name] = found.cursor
            if not found.has_more:
                return

    def _materialized(self, record: dg.EventLogRecord) -> None:
        event = record.asset_materialization
        if event is None:
            return
        asset, partition = event.asset_key.to_user_string(), event.partition or ""
        said = {name: value.value for name, value in event.metadata.items()}
        self._count("lakeloom_materializations", 1, asset=asset)
        work = said.get(WORK)
        for kind, done in work.items() if isinstance(work, dict) else ():
            self._count("lakeloom_work", done, asset=asset, kind=kind)
        if asset == "embeddings" and isinstance(seconds := said.get(SECONDS), float):
            encoder = partition.rpartition("|")[2]
            self._count("lakeloom_embedding_seconds", seconds, encoder=encoder)
        if asset in UPLOADS:
            version = (event.tags or {}).get("dagster/data_version", "")
            self._uploads(asset, partition, said, version, record.timestamp)

    def _uploads(
        self, asset: str, corpus: str, said: Mapping[str, Any], version: str, at: float
    ) -> None:
        record = str(said.get("lakeloom/record", ""))
        waiting = self._waiting.setdefault(corpus, Waiting())
        if asset == "raw_objects":
            for decided in OUTCOMES:
                self._count("lakeloom_gate", 0, corpus=corpus, outcome=decided)
            arrivals = said.get(METADATA) or []
            if waiting.uploaded(record, arrivals):
                self._count("lakeloom_uploads", sum(n for _, n in arrivals), corpus=corpus)
            return
        manifest = str(said.get(MANIFEST, ""))
        if asset == "chunks":
            waited = waiting.chunked(manifest, version, at)
        else:
            waited = waiting.published(manifest, at)
            outcome = "unchanged" if self._published.get(corpus) == record else "published"
            self._published[corpus] = record
            self._count("lakeloom_gate", 1, corpus=corpus, outcome=outcome)
        before = self._waits.get(corpus, distribution([]))
        self._waits[corpus] = added(before, distribution(waited))

    def _failed(self, instance: dg.DagsterInstance, run_id: str) -> None:
        run = instance.get_run_by_id(run_id)
        corpus = (run.tags.get("dagster/partition", "") if run else "").partition("|")[0]
        for event in _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE):
            self._count("lakeloom_step_failures", 1, step=event.step_key or "")
            user = event.step_failure_data.user_failure_data
            if event.step_key == GATE and user is not None and "faults" in user.metadata:
                self._count("lakeloom_gate", 1, corpus=corpus, outcome="refused")
        for event in _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            check = event.asset_check_evaluation_data
            measured = check.asset_key.to_user_string() in MEASURED
            if measured and check.blocking and not check.passed:
                self._count("lakeloom_gate", 1, corpus=corpus, outcome="blocked")

    def _count(self, metric: str, by: float, **labels: str) -> None:
        self._counts[metric, tuple(sorted(labels.items()))] += by  # type: ignore[assignment]


def _materializations(instance: dg.DagsterInstance, asset: str) -> Read:
    key = dg.AssetKey(asset)
    return lambda cursor: instance.fetch_materializations(key, READ, cursor, ascending=True)


def _events(
    instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType
) -> Iterator[dg.DagsterEvent]:
    for record in instance.get_records_for_run(run_id, of_type=kind).records:
        if event := record.event_log_entry.get_dagster_event():
            yield event


def _failures(instance: dg.DagsterInstance) -> Read:
    kind = dg.DagsterEventType.RUN_FAILURE
    return lambda cursor: instance.fetch_run_status_changes(kind, READ, cursor, ascending=True)
