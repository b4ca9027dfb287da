"""One corpus of a million documents through the whole graph, then one change in it.

    python -m tests.benchmarks.bench_million [--documents 1000000] [--home FOLDER]

Documents are short and made up while they are read, and the encoder is a stub, so that the rest
of the graph is measured: parsing, chunking, tables, the index and its checks are real. Processes
as a user would start them: cold, one document changed, nothing changed, and one document changed
whose key is named, as by a notice; and the same on a corpus of `SMALL` documents, which is what
Dagster and imports cost whatever the size. Each line
is a step; `peak` is the memory of all processes of the run while it lasted, mapped files included,
`own` the part that is no file. Exits 1 above `MEMORY_MB`, or where a named change costs more
than `CHANGE_SECONDS` above that of the small corpus.
"""

import argparse
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import psutil

from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.commands.materialize import Request, materialize
from platform_assets.commands.state import State, open_instance
from resources.settings import Settings
from tests.benchmarks.generated_corpus import GeneratedLake, StubBackend
from tests.benchmarks.processes import Usage, environment, run

CORPUS = "million"
ENCODER = "minilm"
DOCUMENTS = 1_000_000
SMALL = 100
MEMORY_MB = 4096
CHANGE_SECONDS = 5.0
NAMED = "one named change"
KINDS = {"cold": 0, "one change": 1, "again": 1, NAMED: 2}
"""What is measured -> how often one document was overwritten until then."""


@dataclass
class Watch:
    """Samples the memory of this process and its descendants."""

    samples: list[tuple[float, float, float]] = field(default_factory=list)
    """(time, MB with mapped files, MB without)."""
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Sample until the process ends."""
        threading.Thread(target=self._sample, daemon=True).start()

    def peak(self, start: float, end: float) -> tuple[float, float]:
        """Most memory between two times, in MB."""
        within = [(all_, own) for at, all_, own in self.samples if start <= at <= end]
        return tuple(max(values) for values in zip(*within, strict=True)) if within else (0.0, 0.0)  # type: ignore[return-value]

    def _sample(self) -> None:
        me = psutil.Process()
        while not self._ended.wait(0.1):
            sizes = [_memory(each.pid) for each in (me, *me.children(recursive=True))]
            mapped, own = (sum(size) for size in zip(*sizes, strict=True))
            self.samples.append((time.time(), mapped, own))


def _memory(pid: int) -> tuple[float, float]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    found = {
        name: rest.split()[0]
        for name, _, rest in (line.partition(":") for line in lines)
        if rest.split()
    }
    return int(found.get("VmRSS", 0)) / 1024, int(found.get("RssAnon", 0)) / 1024


def work(kind: str, documents: int, home: Path) -> None:
    """One materialisation of everything, in this process; printed as JSON."""
    watch = Watch()
    watch.start()
    os.environ["LAKELOOM_HOME"] = str(home)
    state = State(Settings.from_env())
    edited = documents // 2
    lake = GeneratedLake(state.lake, CORPUS, documents, edited, KINDS[kind])
    backend = StubBackend()
    store = CheckpointStore(lake, state.settings.cache / "checkpoints", backend)  # type: ignore[arg-type]
    overrides = {"lake": lake, "encoding": backend, "checkpoint_store": store}
    began = time.time()
    keys = [lake.key(edited)] if kind == NAMED else []
    request = Request([CORPUS], [ENCODER], keys=keys)
    answer = materialize(state, request, lambda line: print(line, file=sys.stderr), overrides)
    print(json.dumps({"answer": answer, "steps": _steps(state.settings, watch, began)}))


def _steps(settings: Settings, watch: Watch, began: float) -> list[dict[str, object]]:
    """Name, seconds and peaks of each step of the runs since `began`, in order."""
    instance = open_instance(settings)
    found = []
    for each in instance.get_runs(dg.RunsFilter(created_after=datetime.fromtimestamp(began, UTC))):
        for stat in instance.get_run_step_stats(each.run_id):
            if stat.start_time and stat.end_time and stat.start_time >= began:
                peak, own = watch.peak(stat.start_time, stat.end_time)
                seconds = stat.end_time - stat.start_time
                found.append((stat.start_time, stat.step_key, seconds, peak, own))
    return [
        dict(zip(("step", "seconds", "peak", "own"), row[1:], strict=True)) for row in sorted(found)
    ]


def measured(kind: str, documents: int, home: Path) -> tuple[dict[str, Any], Usage]:
    """One materialisation in a process of its own."""
    arguments = ["--work", kind, "--documents", str(documents), "--home", str(home)]
    command = [sys.executable, "-m", "tests.benchmarks.bench_million", *arguments]
    usage = run(command, environment())
    return json.loads(usage.output), usage


def story(documents: int, home: Path) -> tuple[dict[str, float], list[str]]:
    """Every kind of measurement on one corpus, printed; returns wall seconds and what is wrong."""
    seconds: dict[str, float] = {}
    faults: list[str] = []
    for kind in KINDS:
        found, usage = measured(kind, documents, home)
        rows = found["answer"]["assets"]
        seconds[kind] = usage.seconds
        faults += [f"{row['asset']} failed: {row['failed']}" for row in rows if row["failed"]]
        peak = max(step["peak"] for step in found["steps"])
        commits = sum(row["work"]["commits"] for row in rows)
        print(
            f"\n{documents:,} documents, {kind}: {usage.seconds:.1f} s, "
            f"CPU {usage.cpu_seconds:.1f} s, peak {peak:,.0f} MB, {commits} commits",
            flush=True,
        )
        if documents != SMALL:
            _show(found["steps"], rows)
            if peak > MEMORY_MB:
                faults.append(f"{kind} took {peak:,.0f} MB, at most {MEMORY_MB:,} are allowed")
    return seconds, faults


def _show(steps: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """A line for each step that took a tenth of a second or more, with what its asset did."""
    work = {row["asset"]: {k: v for k, v in row["work"].items() if v} for row in rows}
    print(f"{'step':<62}{'seconds':>9}{'peak MB':>9}{'own MB':>8}")
    for step in steps:
        if step["seconds"] >= 0.1:
            figures = f"{step['seconds']:9.1f}{step['peak']:9,.0f}{step['own']:8,.0f}"
            print(f"{step['step']:<62}{figures}  {work.get(step['step']) or ''}", flush=True)


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--home", type=Path, help="keep the state there")
    parser.add_argument("--work", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.documents, options.home)
        return 0
    with TemporaryDirectory() as scratch:
        small, faults = story(SMALL, Path(scratch) / "small")
        seconds, more = story(options.documents, options.home or Path(scratch) / "large")
    for kind in ("one change", NAMED):
        beyond = seconds[kind] - small[kind]
        print(f"\n{kind} costs {beyond:.1f} s more than in {SMALL} documents")
    faults += more
    if beyond > CHANGE_SECONDS:
        faults.append(f"{NAMED} took {beyond:.1f} s more, at most {CHANGE_SECONDS} are allowed")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
