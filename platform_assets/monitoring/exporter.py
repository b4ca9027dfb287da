"""The exporter: a small ASGI app with `/metrics`, `/healthz` and `/readyz`.

Here: how figures are shown to Prometheus, and to probes. Not here: the figures (sources.py).
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from platform_assets.monitoring.metrics import (
    METRICS,
    SEARCHABLE_BUCKETS,
    Distribution,
    Metric,
    Sample,
)
from platform_assets.monitoring.sources import Sources

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


class Shown:
    """The samples as Prometheus's own library takes them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator["Family"]:
        """A family for each metric that has series."""
        samples = self._sources.samples()
        for metric in METRICS.values():
            if mine := [sample for sample in samples if sample.metric == metric.name]:
                yield _family(metric, mine)


def exporter(sources: Sources) -> "Starlette":
    """The app.

    `/healthz` says that the process lives; `/readyz` names each source and is 503 while one does
    not answer.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    registry = CollectorRegistry()
    registry.register(Shown(sources))

    def metrics(request: "Request") -> "Response":
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    def healthz(_: "Request") -> "Response":
        return PlainTextResponse("ok")

    def readyz(_: "Request") -> "Response":
        faults = sources.faults()
        said = {name: fault or "ok" for name, fault in faults.items()}
        return JSONResponse(said, 503 if any(faults.values()) else 200)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ]
    )


def _family(metric: Metric, samples: Sequence[Sample]) -> "Family":
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if metric.kind == "histogram":
        shown = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            assert isinstance(sample.value, Distribution)
            shown.add_metric(_labels(metric, sample), _buckets(sample.value), sample.value.total)
        return shown
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        assert not isinstance(sample.value, Distribution)
        family.add_metric(_labels(metric, sample), sample.value)
    return family


def _labels(metric: Metric, sample: Sample) -> list[str]:
    return [sample.labels[name] for name in metric.labels]


def _buckets(value: Distribution) -> list[tuple[str, float]]:
    bounds = [str(float(bound)) for bound in SEARCHABLE_BUCKETS]
    return [*zip(bounds, value.buckets, strict=True), ("+Inf", value.count)]
