"""The local engine and Ray side by side on this machine: parse, chunk and embed.

    python -m tests.benchmarks.bench_engines [--docs FOLDER] [--workers 2]

The same folder, a home of its own for each engine, whole processes one after the other: cold, then
with one document changed. `overhead` is Ray's time above the local engine's for the same work, on
the same cores: starting Ray, its copies, and models loaded once a worker. Ray is for several
machines; on one it can only cost. Exits 1 where the tables differ.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.state import State
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.raw_objects.demo import write_packages
from resources.settings import Settings
from tests.benchmarks.processes import environment, run

CORPUS = "bench"
STEPS = ("documents", "chunks", "embeddings")
TABLES = (DOCUMENTS, REJECTED_DOCUMENTS, CHUNKS, EMBEDDINGS)
VOLATILE = {EMBEDDINGS.name: {"vector", "digest"}}
"""Columns that may differ in the last bits."""
TEXT = (".md", ".rst", ".txt", ".html")
ADDED = "\n\nThe benchmark of the engines added this sentence.\n"


class Side:
    """One engine on a home of its own."""

    def __init__(self, url: str, home: Path, docs: Path) -> None:
        self.url = url
        self._env = environment(LAKELOOM_HOME=str(home), LAKELOOM_ENGINE=url)
        self.state = State(Settings.from_env(self._env))
        self._docs = docs

    def materialize(self) -> tuple[float, dict[str, float]]:
        """Seconds of the whole process, and of each step."""
        for path in sorted(path for path in self._docs.rglob("*") if path.is_file()):
            key = f"{CORPUS}/{path.relative_to(self._docs).as_posix()}"
            if not self._has(key, path):
                self.state.lake.put(key, path)
        lakeloom = str(Path(sys.executable).with_name("lakeloom"))
        selection = ["--corpus", CORPUS, "--encoder", "minilm", "--select", "+key:embeddings"]
        usage = run([lakeloom, "materialize", *selection, "--json"], self._env)
        rows = json.loads(usage.output)["assets"]
        return usage.seconds, {row["asset"]: row["seconds"] for row in rows}

    def rows(self) -> list[list[dict[str, Any]]]:
        """What the tables hold, but for what may differ."""
        found = []
        for table in TABLES:
            rows = self.state.warehouse.scan(table, {"corpus": CORPUS})
            kept = [name for name in rows.column_names if name not in VOLATILE.get(table.name, ())]
            found.append(rows.select(kept).sort_by(table.key).to_pylist())
        return found

    def _has(self, key: str, path: Path) -> bool:
        try:
            return self.state.lake.get(key) == path.read_bytes()
        except FileNotFoundError:
            return False


def compare(docs: Path, scratch: Path, workers: int) -> int:
    """Run both; returns the exit status."""
    ray = Side(f"ray://?workers={workers}", scratch / "ray", docs)
    sides = (Side("local://", scratch / "local", docs), ray)
    print(f"{'':<12}{'what':<12}{'process':>9}" + "".join(f"{step:>12}" for step in STEPS))
    for what in ("cold", "one edit"):
        took = [_measured(side, what) for side in sides]
        lost = took[1][0] - took[0][0]
        print(f"overhead of Ray, {what}: {lost:.1f} s, {took[1][0] / took[0][0]:.2f} times")
        _edit_one(docs)
    same = sides[0].rows() == sides[1].rows()
    print("the tables are equal" if same else "the tables differ")
    return 0 if same else 1


def _edit_one(docs: Path) -> None:
    files = sorted(path for path in docs.rglob("*") if path.is_file())
    first = next(path for path in files if path.suffix in TEXT)
    first.write_bytes(first.read_bytes() + ADDED.encode())


def _measured(side: Side, what: str) -> tuple[float, dict[str, float]]:
    process, steps = side.materialize()
    scheme = side.url.partition(":")[0]
    shown = "".join(f"{steps[step]:12.2f}" for step in STEPS)
    print(f"{scheme:<12}{what:<12}{process:9.2f}{shown}", flush=True)
    return process, steps


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, help="copied; the installed packages' by default")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        docs = Path(scratch) / "docs"
        if options.docs:
            from shutil import copytree

            copytree(options.docs, docs)
        else:
            write_packages(docs)
        return compare(docs, Path(scratch), options.workers)


if __name__ == "__main__":
    sys.exit(main())
