"""The metrics: what each is called, what it counts and what tells its series apart.

Here: the one list that the exporter, docs/monitoring.md and deploy/monitoring are held against.
Not here: where the numbers come from (history.py, instance.py, corpora.py, gpus.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

SEARCHABLE_BUCKETS = (10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)
"""Upper bounds, seconds, of the time from an upload to the search."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; counters are exposed with `_total`, histograms with `_bucket` and so on."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram's content."""

    buckets: tuple[int, ...]
    """How many values are at most each of `SEARCHABLE_BUCKETS`, cumulative."""
    count: int
    total: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of a metric and its value."""

    metric: str
    value: float | Distribution
    labels: Mapping[str, str] = field(default_factory=dict)


def _counted(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: Mapping[str, Metric] = _counted(
    # from Dagster's history: what was done
    Metric("lakeloom_uploads", "counter", "Objects that were new or overwritten.", ("corpus",)),
    Metric(
        "lakeloom_upload_to_searchable_seconds",
        "histogram",
        "From an object's upload until its text is in the served index, or changed nothing there.",
        ("corpus",),
    ),
    Metric(
        "lakeloom_work",
        "counter",
        "Documents parsed, texts embedded, points upserted and deleted, commits, training steps.",
        ("asset", "kind"),
    ),
    Metric("lakeloom_embedding_seconds", "counter", "Time spent embedding.", ("encoder",)),
    Metric("lakeloom_materializations", "counter", "Asset partitions materialised.", ("asset",)),
    Metric("lakeloom_step_failures", "counter", "Steps of runs that failed.", ("step",)),
    Metric(
        "lakeloom_gate",
        "counter",
        "Published or unchanged; blocked by a check before the gate, or refused by the gate.",
        ("corpus", "outcome"),
    ),
    # from Dagster's storage: how things stand
    Metric("lakeloom_runs", "gauge", "Runs in Dagster's storage by status.", ("status",)),
    Metric("lakeloom_daemon_healthy", "gauge", "1 if a daemon's heartbeat is fresh.", ("daemon",)),
    Metric(
        "lakeloom_sensor_last_tick_timestamp_seconds",
        "gauge",
        "When a running sensor last finished a tick, by its outcome.",
        ("sensor", "status"),
    ),
    Metric(
        "lakeloom_check_passed",
        "gauge",
        "1 if an asset check held when it last ran.",
        ("asset", "check", "severity"),
    ),
    Metric(
        "lakeloom_pool_slots",
        "gauge",
        "Slots of a concurrency pool: its limit, those taken, and the steps that wait.",
        ("pool", "state"),
    ),
    # from the lake, the tables and the vector store
    Metric("lakeloom_objects", "gauge", "Objects in the manifest.", ("corpus",)),
    Metric("lakeloom_documents", "gauge", "Documents parsed.", ("corpus",)),
    Metric("lakeloom_chunks", "gauge", "Chunks.", ("corpus",)),
    Metric("lakeloom_rejected_documents", "gauge", "Documents rejected now.", ("corpus", "reason")),
    Metric(
        "lakeloom_backlog_objects",
        "gauge",
        "Objects uploaded, overwritten or deleted that the served index does not show yet.",
        ("corpus",),
    ),
    Metric(
        "lakeloom_backlog_oldest_seconds",
        "gauge",
        "How long the longest waiting upload of the backlog has waited.",
        ("corpus",),
    ),
    Metric("lakeloom_index_points", "gauge", "Points of the last index.", ("corpus", "encoder")),
    Metric("lakeloom_served", "gauge", "1 for what is served.", ("corpus", "encoder", "retriever")),
    Metric(
        "lakeloom_ndcg_10",
        "gauge",
        "Mean nDCG@10 of the last evaluation.",
        ("corpus", "encoder", "retriever"),
    ),
    Metric("lakeloom_vectors_bytes", "gauge", "Size of the embedded vector store's files."),
    # of the machine the exporter runs on
    Metric("lakeloom_gpu_utilization_ratio", "gauge", "Share of time busy.", ("gpu", "name")),
    Metric("lakeloom_gpu_memory_used_bytes", "gauge", "Memory in use.", ("gpu", "name")),
    Metric("lakeloom_gpu_memory_bytes", "gauge", "Memory there is.", ("gpu", "name")),
    # of the exporter itself
    Metric("lakeloom_up", "gauge", "1 if a source answers, in time and wholly.", ("source",)),
    Metric(
        "lakeloom_asked_timestamp_seconds",
        "gauge",
        "When a source last answered.",
        ("source",),
    ),
)


def distribution(weighted: Iterable[tuple[float, int]]) -> Distribution:
    """A histogram of (seconds, how often)."""
    values = list(weighted)
    buckets = tuple(
        sum(times for seconds, times in values if seconds <= bound) for bound in SEARCHABLE_BUCKETS
    )
    count = sum(times for _, times in values)
    return Distribution(buckets, count, sum(seconds * times for seconds, times in values))


def added(a: Distribution, b: Distribution) -> Distribution:
    """Both together."""
    buckets = tuple(x + y for x, y in zip(a.buckets, b.buckets, strict=True))
    return Distribution(buckets, a.count + b.count, a.total + b.total)
