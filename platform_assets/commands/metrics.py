"""`lakeloom metrics`: what an operator watches, for Prometheus and for probes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from platform_assets.commands.state import State, open_instance
from platform_assets.monitoring.metrics import Sample
from platform_assets.monitoring.sources import Fault, Source, Sources


def metrics(
    state: State, host: str, port: int, every_seconds: float, show: Callable[[str], None]
) -> dict[str, Any]:
    """Serve until stopped; every source is asked at intervals."""
    from platform_assets.monitoring.exporter import exporter
    from resources.events.receiver import serve

    sources = Sources(sources_of(state), every_seconds)
    sources.start()
    show(f"serving http://{host}:{port}/metrics, /healthz and /readyz")
    serve(exporter(sources), host, port)
    return {"ok": True, "listened": f"{host}:{port}"}


def sources_of(state: State) -> list[Source]:
    """What is asked: each layer on its own, so that one which is down is named."""
    return [
        Source("lake", lambda: _asked(state.lake.prefixes)),
        Source("catalog", lambda: _asked(lambda: _tables(state))),
        Source("vectors", lambda: _vectors(state)),
        Source("corpora", _corpora(state)),
        Source("dagster", _dagster(state)),
        Source("gpus", _gpus),
    ]


def _asked(ask: Callable[[], object]) -> tuple[Sample, ...]:
    """No figures: it is enough that there is an answer."""
    ask()
    return ()


def _tables(state: State) -> str | None:
    from platform_assets.raw_objects.table import RAW_OBJECTS

    return state.warehouse.snapshot(RAW_OBJECTS)


def _vectors(state: State) -> Iterator[Sample]:
    state.vectors.collections()
    if folder := state.settings.local_places().get("vectors"):
        files = (path for path in folder.rglob("*") if path.is_file())
        yield Sample("lakeloom_vectors_bytes", sum(_size(path) for path in files))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a collection was dropped meanwhile
        return 0


def _corpora(state: State) -> Callable[[], Iterator[Sample | Fault]]:
    from platform_assets.monitoring.corpora import Corpora

    kept: list[Corpora] = []

    def ask() -> Iterator[Sample | Fault]:
        if not kept:
            kept.append(Corpora(state.lake, state.warehouse, state.vectors))
        return kept[0].samples(state.corpora())

    return ask


def _dagster(state: State) -> Callable[[], list[Sample]]:
    import dagster as dg

    from platform_assets.definitions import defs
    from platform_assets.monitoring.history import History
    from platform_assets.monitoring.instance import instance_samples

    graph = defs.resolve_asset_graph()
    assets = tuple(key.to_user_string() for key in graph.materializable_asset_keys)
    checks = sorted(graph.asset_check_keys)
    kept: list[tuple[dg.DagsterInstance, History]] = []

    def ask() -> list[Sample]:
        if not kept:
            kept.append((open_instance(state.settings), History(assets)))
        instance, history = kept[0]
        try:
            return [*history.samples(instance), *instance_samples(instance, checks)]
        except Exception:
            kept.clear()  # what was half read is counted anew, from the beginning
            raise

    return ask


def _gpus() -> Iterator[Sample]:
    from resources.nvidia import gpus

    for gpu in gpus():
        labels = {"gpu": gpu.index, "name": gpu.name}
        yield Sample("lakeloom_gpu_utilization_ratio", gpu.utilization, labels)
        yield Sample("lakeloom_gpu_memory_used_bytes", gpu.used_bytes, labels)
        yield Sample("lakeloom_gpu_memory_bytes", gpu.total_bytes, labels)
