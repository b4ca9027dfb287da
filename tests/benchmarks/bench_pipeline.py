"""The whole pipeline against the clock: cold, nothing changed, one edit, one delete, searches.

    python -m tests.benchmarks.bench_pipeline [--docs FOLDER]

Every row is a whole process, with Python's and Dagster's start in it. `aside` is the part of the
wall clock that evaluation and training took, which others do not do; `pipeline` is the rest. With
LAKELOOM_BENCH_COCOINDEX naming the Python of an environment as peers/cocoindex_peer.py wants it,
CocoIndex does the same job and the ratio is printed. Wants a quiet machine.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from platform_assets.commands.search import retriever_of
from platform_assets.commands.state import State
from platform_assets.queries.refresh import read_queries
from platform_assets.raw_objects.demo import write_packages
from resources.settings import Settings
from tests.benchmarks.processes import Usage, environment, run

CORPUS = "bench"
ASIDE = ("training_pairs", "retrieval_evaluation", "evaluation_plots", "promoted_encoder")
WORK = ("parsed", "embedded", "upserted", "deleted", "commits")
QUERIES = 100
FEWEST_QUERIES = 5
STAGE_DOCUMENTS = 50
"""Documents of the stage table; rates need no more."""
PEER = Path(__file__).parent / "peers/cocoindex_peer.py"
PEER_VARIABLE = "LAKELOOM_BENCH_COCOINDEX"
ADDED = "The benchmark of the pipeline added this sentence."


@dataclass(frozen=True, slots=True)
class Row:
    """One process."""

    name: str
    usage: Usage
    counts: dict[str, int]
    aside: float = 0.0

    @property
    def pipeline(self) -> float:
        """Seconds from the raw objects to the published index."""
        return self.usage.seconds - self.aside


class System(Protocol):
    """Something that keeps an index in line with a folder."""

    def update(self, docs: Path) -> Row:
        """Bring the index in line."""
        ...

    def search(self, queries: list[str]) -> list[float]:
        """Milliseconds of each query, its encoding included, in one process."""
        ...


class Lakeloom:
    """This platform, on a home of its own."""

    def __init__(self, home: Path) -> None:
        self._env = environment(LAKELOOM_HOME=str(home))
        self._lakeloom = str(Path(sys.executable).with_name("lakeloom"))
        self.state = State(Settings.from_env(self._env))

    def update(self, docs: Path) -> Row:
        """Upload what differs, which is not timed, then materialise."""
        self._run("ingest", str(docs), "--corpus", CORPUS, "--mirror")
        usage = self._run("materialize", "--corpus", CORPUS, "--encoder", "minilm")
        assets: list[dict[str, Any]] = json.loads(usage.output)["assets"]
        seconds = sum(asset["seconds"] for asset in assets if asset["asset"] in ASIDE)
        done = [asset["work"] for asset in assets if asset["asset"] not in ASIDE]
        counts = {name: sum(work[name] for work in done) for name in WORK}
        return Row("lakeloom", usage, counts, seconds)

    def search(self, queries: list[str]) -> list[float]:
        """Search the published index in this process."""
        retriever = retriever_of(self.state, CORPUS)
        times = []
        for query in [queries[0], *queries]:
            start = time.perf_counter()
            retriever.search(query)
            times.append((time.perf_counter() - start) * 1000)
        return times[1:]

    def _run(self, *arguments: str) -> Usage:
        return run([self._lakeloom, *arguments, "--json"], self._env)


class CocoIndex:
    """The peer, run by the Python of its own environment."""

    def __init__(self, python: str, state: Path) -> None:
        self._command = [python, str(PEER)]
        self._state = str(state)

    def update(self, docs: Path) -> Row:
        """Update the table."""
        usage = run([*self._command, "update", str(docs), self._state], environment())
        return Row("CocoIndex", usage, json.loads(usage.output))

    def search(self, queries: list[str]) -> list[float]:
        """Search the table."""
        text = "\n".join(" ".join(query.split()) for query in queries)
        usage = run([*self._command, "search", self._state], environment(), text)
        times: list[float] = json.loads(usage.output)["milliseconds"]
        return times


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, help="folder of documents; default: READMEs")
    given: Path | None = parser.parse_args().docs
    with TemporaryDirectory(prefix="lakeloom-bench-") as scratch:
        folder = Path(scratch)
        docs = folder / "docs"
        if given:
            shutil.copytree(given.expanduser(), docs)
        else:
            write_packages(docs)
        lakeloom = Lakeloom(folder / "home")
        warm_up(folder, lambda name: Lakeloom(folder / name))
        stage_table(folder, docs)
        original = folder / "original"
        shutil.copytree(docs, original)
        ours = rows(lakeloom, docs)
        print_rows("Lakeloom", ours)
        queries = [q.text for q in read_queries(lakeloom.state.warehouse, CORPUS, "test")][:QUERIES]
        searched = print_searches(lakeloom, queries)
        if python := os.environ.get(PEER_VARIABLE):
            warm_up(folder, lambda name: CocoIndex(python, folder / name))
            peer = CocoIndex(python, folder / "peer")
            theirs = rows(peer, original)
            print_rows("CocoIndex", theirs)
            print_ratios(ours, theirs, searched, print_searches(peer, queries))


def warm_up(folder: Path, system: Callable[[str], System]) -> None:
    """One document through a state of its own: bytecode and the disk's cache."""
    docs = folder / "warm"
    docs.mkdir(exist_ok=True)
    (docs / "one.md").write_text("# A heading\n\nA paragraph of one sentence.\n")
    with suppress(RuntimeError):  # one document cannot be evaluated, so it is not published
        system(f"warm-{time.monotonic_ns()}").update(docs)


def rows(system: System, docs: Path) -> dict[str, Row]:
    """The four situations, each one process on a folder that changes between them."""
    files = sorted(path for path in docs.rglob("*") if path.suffix in {".html", ".md", ".rst"})
    found = {"cold": system.update(docs), "nothing changed": system.update(docs)}
    edit(files[len(files) // 2])
    found["one edit"] = system.update(docs)
    files[-1].unlink()
    found["one delete"] = system.update(docs)
    return found


def edit(path: Path) -> None:
    """Add a sentence below the first heading or paragraph of a document."""
    text = path.read_text()
    mark = next((mark for mark in ("</h1>", "</p>", "\n\n") if mark in text), "\n")
    before, _, after = text.partition(mark)
    added = f"<p>{ADDED}</p>" if path.suffix == ".html" else f"{ADDED}\n\n"
    path.write_text(f"{before}{mark}{added}{after}")


def stage_table(folder: Path, docs: Path) -> None:
    """Print how much each stage does in a second, on the first documents."""
    some = folder / "stages"
    for path in sorted(path for path in docs.rglob("*") if path.is_file())[:STAGE_DOCUMENTS]:
        target = some / path.relative_to(docs)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    module = "tests.benchmarks.stages"
    command = [sys.executable, "-m", module, str(some), str(folder / "stage-home")]
    show("stage", "count", "of", "wall s", "a second", "CPU s", "peak MB")
    for stage in json.loads(run(command, environment()).output):
        wall, cpu, peak = (stage[name] for name in ("seconds", "cpu_seconds", "peak_mb"))
        rate = f"{stage['count'] / wall:.0f}"
        count, unit = str(stage["count"]), stage["unit"]
        show(stage["name"], count, unit, f"{wall:.2f}", rate, f"{cpu:.2f}", f"{peak:.0f}")


def print_rows(name: str, found: dict[str, Row]) -> None:
    """The four situations with their counts."""
    show(name, "wall s", "aside", "pipeline", "CPU s", "peak MB", "counts")
    for situation, row in found.items():
        counts = ", ".join(f"{count} {what}" for what, count in row.counts.items() if count)
        times = (row.usage.seconds, row.aside, row.pipeline, row.usage.cpu_seconds)
        columns = [f"{value:.1f}" for value in times]
        show(situation, *columns, f"{row.usage.peak_mb:.0f}", counts or "none")


def print_searches(system: System, queries: list[str]) -> float | None:
    """Median and 95th percentile of the searches; returns the median."""
    if len(queries) < FEWEST_QUERIES:
        print(f"{len(queries)} queries are too few to time searches")
        return None
    times = system.search(queries)
    middle, high = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    print(f"search of {len(times)} queries, encoded: p50 {middle:.1f} ms, p95 {high:.1f} ms")
    return middle


def show(first: str, *columns: str) -> None:
    """One line of a table."""
    print(
        f"{first:<16}" + "".join(f"{column:>10}" for column in columns[:5]), *columns[5:], sep="  "
    )


def print_ratios(
    ours: dict[str, Row], theirs: dict[str, Row], search: float | None, peer_search: float | None
) -> None:
    """Our time in parts of theirs."""
    show("our part", "pipeline")
    for situation, row in ours.items():
        show(situation, f"{row.pipeline / theirs[situation].usage.seconds:.2f}")
    if search and peer_search:
        show("search p50", f"{search / peer_search:.2f}")


if __name__ == "__main__":
    main()
