"""The stages of the pipeline one by one, without Dagster: how much each does in a second.

    python -m tests.benchmarks.stages FOLDER HOME     prints one JSON document

Runs the functions that the assets delegate to, on a folder of documents, with the state in HOME.
Writing tables is a stage of its own, wherever it happens.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from platform_assets.chunks.assets import tokenizers
from platform_assets.chunks.chunking import ChunkingConfig
from platform_assets.chunks.refresh import refresh as refresh_chunks
from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.state import State
from platform_assets.documents.refresh import refresh as refresh_documents
from platform_assets.documents.table import DOCUMENTS
from platform_assets.embeddings.encoding import Encode
from platform_assets.embeddings.refresh import refresh as refresh_embeddings
from platform_assets.raw_objects.refresh import refresh as refresh_objects
from platform_assets.reconcile import unwatched
from platform_assets.slices import Source
from platform_assets.vector_indexes.refresh import IndexSource
from platform_assets.vector_indexes.refresh import refresh as refresh_index
from resources import registry
from resources.encoding import Encoder
from resources.settings import Settings
from resources.warehouse import Scope, TableSpec

CORPUS = "bench"
MODEL = "all-MiniLM-L6-v2"
VERSION = "1"
"""Of the code; this state sees no other."""


@dataclass(slots=True)
class Stage:
    """What a stage did and what it took."""

    name: str
    unit: str
    count: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    """Memory of the largest process while the stage ran."""


@dataclass
class Stopwatch:
    """Measures stages that may lie within one another; the inner one's time is its own alone."""

    stages: list[Stage] = field(default_factory=list)
    _inner: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])

    @contextmanager
    def measure(self, stage: Stage) -> Iterator[None]:
        """Add what happens in the block to a stage."""
        if stage not in self.stages:
            self.stages.append(stage)
        Path("/proc/self/clear_refs").write_text("5")  # begin the peak of memory anew
        start, cpu = time.perf_counter(), _cpu_seconds()
        self._inner.append((0.0, 0.0))
        yield
        within, cpu_within = self._inner.pop()
        took, cpu_took = time.perf_counter() - start, _cpu_seconds() - cpu
        stage.seconds += took - within
        stage.cpu_seconds += cpu_took - cpu_within
        stage.peak_mb = max(stage.peak_mb, _peak_mb())
        outer, cpu_outer = self._inner.pop()
        self._inner.append((outer + took, cpu_outer + cpu_took))


class TimedWarehouse:
    """A warehouse whose writes are a stage."""

    def __init__(self, real: Any, watch: Stopwatch, stage: Stage) -> None:
        self._real, self._watch, self._stage = real, watch, stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def replace(
        self, table: TableSpec, scope: Scope, groups: Any, rows: pa.Table, *more: Any
    ) -> str | None:
        with self._watch.measure(self._stage):
            self._stage.count += rows.num_rows
            snapshot: str | None = self._real.replace(table, scope, groups, rows, *more)
        return snapshot


class Pipeline:
    """The stages on one state."""

    def __init__(self, home: Path) -> None:
        self.state = State(Settings.from_env({"LAKELOOM_HOME": str(home)}))
        self.watch = Stopwatch()
        self._hub = registry.connect_hub(self.state.settings)
        write = Stage("write", "rows")
        self._warehouse: Any = TimedWarehouse(self.state.warehouse, self.watch, write)

    @cached_property
    def encoder(self) -> Encoder:
        """The pretrained encoder, loaded."""
        return registry.connect_encoding(self.state.settings).load(self._hub.fetch(MODEL))

    def run(self, docs: Path) -> list[Stage]:
        """Bring a folder from files to an index."""
        for path in sorted(path for path in docs.rglob("*") if path.is_file()):
            self.state.lake.put(f"{CORPUS}/{path.relative_to(docs).as_posix()}", path)
        lake, warehouse = self.state.lake, self._warehouse
        refresh_objects(CORPUS, lake, self.state.warehouse, VERSION)
        with self.watch.measure(stage := Stage("parse", "documents")):
            parser = registry.connect_parser(self.state.settings)
            engine = registry.connect_engine(self.state.settings)
            stage.count = refresh_documents(CORPUS, lake, warehouse, parser, engine, VERSION).parsed
        with self.watch.measure(stage := Stage("chunk", "chunks")):
            config, known = ChunkingConfig.from_env(), tokenizers(self._hub)
            documents = Source.now(warehouse, DOCUMENTS, {"corpus": CORPUS})
            own = refresh_chunks(documents, lake, warehouse, known, config, engine, VERSION)
            stage.count = own.report.rows
        self.encoder.encode(["loaded before the clock starts"])
        with self.watch.measure(stage := Stage("embed", "chunks")):
            stage.count = self._embed()
        with self.watch.measure(stage := Stage("index", "chunks")):
            stage.count = self._index()
        return self.watch.stages

    def _embed(self) -> int:
        encoder = self.encoder
        engine = registry.connect_engine(self.state.settings)
        chunks, lake = self._warehouse.snapshot(CHUNKS), self.state.lake
        task = Encode(CORPUS, self._warehouse, chunks, lambda: encoder)
        own = refresh_embeddings(task, lake, "minilm", encoder.digest, engine, unwatched, VERSION)
        return own.report.work.embedded

    def _index(self) -> int:
        encoder = self.encoder
        made_by = (encoder.digest, encoder.dimensions, None, None, VERSION, VERSION)
        source = IndexSource(CORPUS, "minilm", *made_by)
        return refresh_index(
            source, self._warehouse, self.state.vectors, self.state.lake, None
        ).report.rows


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def main() -> None:
    """Run every stage and print what each took."""
    stages = Pipeline(Path(sys.argv[2])).run(Path(sys.argv[1]))
    print(json.dumps([asdict(stage) for stage in stages]))


if __name__ == "__main__":
    main()
