"""Real components that count their calls: what was parsed, encoded, stored and committed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.commands.materialize import Request, materialize
from platform_assets.commands.state import State
from resources import registry
from resources.encoding import Encoder, Vectors
from resources.parsing import ParsedDocument, Rejection
from resources.settings import Settings
from resources.warehouse import TableSpec


@dataclass
class Calls:
    """What happened since the last `clear`."""

    parsed: list[str] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    upserted: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    def none(self) -> bool:
        return self == Calls()


class _Spy:
    def __init__(self, real: Any, calls: Calls) -> None:
        self.real, self.calls = real, calls

    def __getattr__(self, name: str) -> Any:
        if name == "real":  # of one that is being unpickled
            raise AttributeError(name)
        return getattr(self.real, name)


class ParserSpy(_Spy):
    def parse(
        self, documents: Iterable[tuple[str, bytes]], cores: int | None = None
    ) -> Iterator[tuple[str, ParsedDocument | Rejection]]:
        for key, outcome in self.real.parse(documents, cores):
            self.calls.parsed.append(key)
            yield key, outcome


class EncoderSpy(_Spy):
    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> Vectors:
        self.calls.encoded += texts
        vectors: Vectors = self.real.encode(texts, progress)
        return vectors


class BackendSpy(_Spy):
    def load(self, model_dir: Path) -> Encoder:
        return EncoderSpy(self.real.load(model_dir), self.calls)  # type: ignore[return-value]


class BuilderSpy(_Spy):
    def __enter__(self) -> Self:
        self.real.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.real.__exit__(*error)

    def upsert(self, points: Iterable[Any]) -> None:
        wave = list(points)
        self.calls.upserted += [point.point_id for point in wave]
        self.real.upsert(wave)

    def delete(self, point_ids: Sequence[str]) -> None:
        self.calls.deleted += point_ids
        self.real.delete(point_ids)


class VectorsSpy(_Spy):
    def build(self, *args: Any, **options: Any) -> BuilderSpy:
        return BuilderSpy(self.real.build(*args, **options), self.calls)


class WarehouseSpy(_Spy):
    def replace(self, table: TableSpec, *args: Any) -> str | None:
        self.calls.commits.append(table.name)
        snapshot: str | None = self.real.replace(table, *args)
        return snapshot


class TrainerSpy(_Spy):
    def train(self, job: Any, context: Any, heard: Any) -> Any:
        self.calls.trained.append(context.partition_key)
        return self.real.train(job, context, heard)


class Platform:
    """A whole platform in a folder, with counted calls."""

    def __init__(self, home: Path, monkeypatch: Any) -> None:
        monkeypatch.setenv("LAKELOOM_HOME", str(home))
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        self.state = State(Settings.from_env())
        self.calls = Calls()
        self.lines: list[str] = []

    def write(self, corpus: str, key: str, data: bytes | str) -> None:
        """Put an object, as an upload would."""
        content = data.encode() if isinstance(data, str) else data
        self.state.lake.put(f"{corpus}/{key}", content)

    def materialize(
        self,
        *corpora: str,
        encoders: Sequence[str] = ("minilm",),
        select: str | None = None,
        **overrides: Any,
    ) -> dict[tuple[str, str], dict[str, Any]]:
        """Run the graph; returns the report's rows by asset and partition."""
        self.calls.clear()
        answer = self.answer(*corpora, encoders=encoders, select=select, **overrides)
        assert answer["ok"], [row for row in answer["assets"] if row["failed"]]
        return {(row["asset"], row["partition"]): row for row in answer["assets"]}

    def answer(
        self,
        *corpora: str,
        encoders: Sequence[str] = ("minilm",),
        select: str | None = None,
        **overrides: Any,
    ) -> dict[str, Any]:
        """Like `materialize`, whatever the outcome."""
        request = Request(list(corpora), list(encoders), select)
        spies = self._spies() | overrides
        return materialize(self.state, request, self.lines.append, spies)

    def search(self, corpus: str, query: str, top: int = 5) -> list[dict[str, Any]]:
        """Hits of the published index."""
        from platform_assets.commands.search import search

        hits: list[dict[str, Any]] = search(self.state, corpus, query, top)["hits"]
        return hits

    def rows(self, table: TableSpec, **scope: str) -> list[dict[str, Any]]:
        """Rows of a table."""
        found: list[dict[str, Any]] = self.state.warehouse.scan(table, scope).to_pylist()
        return found

    def _spies(self) -> dict[str, Any]:
        settings, calls = self.state.settings, self.calls
        backend = BackendSpy(registry.connect_encoding(settings), calls)
        store = CheckpointStore(self.state.lake, settings.cache / "checkpoints", backend)  # type: ignore[arg-type]
        return {
            "parser": ParserSpy(registry.connect_parser(settings), calls),
            "warehouse": WarehouseSpy(self.state.warehouse, calls),
            "vectors": VectorsSpy(self.state.vectors, calls),
            "trainer": TrainerSpy(registry.connect_trainer(settings), calls),
            "encoding": backend,
            "checkpoint_store": store,
        }
