"""A bucket of many objects: the sensor's tick, the manifest's diff and the cost of one change.

    python -m tests.benchmarks.bench_bucket [--sizes 1000,10000,100000,1000000]

The listing is generated, so nothing but our own work is measured: a real store adds the time of
its pages of 1,000 objects. Each line is a process of its own; `peak` is all the memory it ever
held, `own` the part above a process that does the same for one object. Exits 1 where the cursor
grows with the objects, or the tick's memory, or one change at the largest size takes more than
`MANIFEST_MB` of its own.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

from platform_assets.raw_objects.assets import CODE_VERSION
from platform_assets.raw_objects.refresh import refresh
from resources.object_store import ObjectInfo
from resources.object_store.folder import FolderObjectStore
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog
from sensors.listings import changed
from tests.benchmarks.processes import Usage, environment, run

CORPUS = "million"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
MANIFEST_MB = 1500
"""Most memory of its own for one change among a million objects."""
TICK_MB = 20
"""Most memory of its own for a tick, whatever the number of objects."""
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class GeneratedLake:
    """A bucket that is not there: a listing made up while it is read; notes lie in a folder."""

    size: int
    notes: FolderObjectStore | None = None
    changed: int | None = None
    """Number of an object that was overwritten."""

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for number in range(self.size):
            key = f"{prefix}year={number % 30 + 1990}/folder {number // 1000:05d}/{number:09d}.html"
            version = "b" if number == self.changed else "a"
            etag = blake2b(f"{number}{version}".encode(), digest_size=16).hexdigest()
            yield ObjectInfo(key, 1000 + number % 5000, etag, _START + timedelta(seconds=number))

    def prefixes(self) -> list[str]:
        return [CORPUS]

    def sha256(self, key: str) -> str:
        return blake2b(f"{key}{self.changed}".encode(), digest_size=32).hexdigest()

    def get(self, key: str) -> bytes:
        assert self.notes
        return self.notes.get(key)

    def put(self, key: str, data: bytes | Path) -> None:
        assert self.notes
        self.notes.put(key, data)

    def delete(self, key: str) -> None:
        raise NotImplementedError


def notes_in(home: Path) -> FolderObjectStore:
    """Where notes about buckets are kept."""
    return FolderObjectStore(f"file://{home}/lake")


def tick(size: int, _: Path) -> dict[str, int]:
    """The sensor's look at one corpus."""
    found = changed(GeneratedLake(size), [CORPUS], {})
    return {"cursor_bytes": len(json.dumps(found))}


def first(size: int, home: Path) -> dict[str, int]:
    """The manifest of a new corpus."""
    return _refreshed(GeneratedLake(size, notes_in(home)), home)


def again(size: int, home: Path) -> dict[str, int]:
    """The manifest once more: nothing has changed."""
    return _refreshed(GeneratedLake(size, notes_in(home)), home)


def one_change(size: int, home: Path) -> dict[str, int]:
    """The manifest after one object was overwritten."""
    return _refreshed(GeneratedLake(size, notes_in(home), changed=size // 2), home)


def _refreshed(lake: GeneratedLake, home: Path) -> dict[str, int]:
    catalog = open_sql_catalog(f"sqlite:///{home}/catalog.db", f"file://{home}/warehouse")
    manifest = refresh(CORPUS, lake, IcebergWarehouse(catalog), CODE_VERSION)
    manifest.own.digest()
    manifest.keep()
    report = manifest.own.report
    return {"rows": report.rows, "changed": report.changed, "commits": report.work.commits}


KINDS: dict[str, Callable[[int, Path], dict[str, int]]] = {
    "tick": tick,
    "first": first,
    "again": again,
    "one_change": one_change,
}


def work(kind: str, size: int, home: Path) -> None:
    """One measurement, in this process; printed as JSON."""
    clock, processor = time.perf_counter(), time.process_time()
    found = KINDS[kind](size, home)
    spent = {"seconds": time.perf_counter() - clock, "cpu": time.process_time() - processor}
    print(json.dumps({**found, **spent}))


def measured(kind: str, size: int, home: Path) -> tuple[dict[str, float], Usage]:
    """One measurement, in a process of its own."""
    arguments = ["--work", kind, "--sizes", str(size), "--home", str(home)]
    command = [sys.executable, "-m", "tests.benchmarks.bench_bucket", *arguments]
    usage = run(command, environment())
    return json.loads(usage.output), usage


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--work", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if options.work:
        work(options.work, sizes[0], options.home)
        return 0
    return _all(sizes)


def _all(sizes: list[int]) -> int:
    base: dict[str, float] = {}
    faults = []
    print(f"{'objects':>9}  {'what':<11}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}{'own MB':>8}")
    for size in [1, *sizes]:
        with TemporaryDirectory() as home:
            for kind in KINDS:
                found, usage = measured(kind, size, Path(home))
                own = usage.peak_mb - base.setdefault(kind, usage.peak_mb)
                figures = (
                    f"{found['seconds']:9.2f}{found['cpu']:8.2f}{usage.peak_mb:9.0f}{own:8.0f}"
                )
                more = {k: v for k, v in found.items() if k not in ("seconds", "cpu")}
                print(f"{size:>9,}  {kind:<11}{figures}  {more}", flush=True)
                faults += _faults(kind, found, own)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def _faults(kind: str, found: dict[str, float], own_mb: float) -> list[str]:
    limit = TICK_MB if kind == "tick" else MANIFEST_MB
    faults = [f"{kind} took {own_mb:.0f} MB, at most {limit} are allowed"] * (own_mb > limit)
    if kind == "one_change" and (found["changed"], found["commits"]) != (1, 1):
        faults.append(f"one change was not one: {found}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
