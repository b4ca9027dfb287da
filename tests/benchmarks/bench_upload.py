"""Seconds from an upload to the search that finds it: by polling, and by events.

    python -m tests.benchmarks.bench_upload [--uploads 3]

The real daemon with real runs, twice: polling at its default of 30 seconds, and events by the real
receiver while polling is too slow to matter. `noticed` is when the upload's run was requested, in
which the two differ; what follows is the pipeline's work. A lake in a folder tells nobody, so the
notice is posted here, in MinIO's shape, as the store would do at once.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from platform_assets.commands.state import open_instance
from tests.e2e.test_upload_to_search import CORPUS, Daemon, Lake
from tests.servers import free_ports
from tests.servers.receiver import environment, post, receiver

HOUR = "3600"
Tell = Callable[[str], None]


@contextmanager
def by_polling(home: Path) -> Iterator[tuple[Daemon, Tell]]:
    """A daemon that polls as it does by default; nobody tells it anything."""
    with Daemon(home, LAKELOOM_POLL_SECONDS="30") as daemon:
        yield daemon, lambda _: None


@contextmanager
def by_events(home: Path) -> Iterator[tuple[Daemon, Tell]]:
    """A daemon that is told of each upload."""
    (port,) = free_ports(1)
    env = environment(home, f"file://{home}/lake", port)

    def tell(key: str) -> None:
        s3 = {"bucket": {"name": "lake"}, "object": {"key": f"{CORPUS}/{key}"}}
        records = [{"eventName": "s3:ObjectCreated:Put", "s3": s3}]
        assert post(f"http://127.0.0.1:{port}/", json.dumps({"Records": records}).encode()) == 200

    with receiver(env), Daemon(home, **env | {"LAKELOOM_POLL_SECONDS": HOUR}) as daemon:
        yield daemon, tell


def measured(home: Path, daemon: Daemon, tell: Tell, uploads: int) -> list[tuple[float, float]]:
    """Seconds until noticed and until found, of each upload after the first."""
    lake, figures = Lake(home), []
    daemon.until("the webserver", daemon.answers)
    instance = open_instance(lake.state.settings)  # not before: two cannot create its database
    for number in range(uploads + 1):
        key = f"note{number}.md"
        dropped = time.time()
        lake.drop(key, f"# Bird {number}\n\nBird number {number} hunts voles where it spawns.\n")
        tell(key)
        daemon.until("the upload", lambda key=key: lake.text_of(key))
        found = time.time() - dropped
        requested = [
            record.create_timestamp.timestamp() - dropped
            for record in instance.get_run_records()
            if record.dagster_run.tags.get("dagster/sensor_name", "").startswith("bucket")
        ]
        figures.append((min(each for each in requested if each > 0), found))
        daemon.until("the end of it", lambda: all(r.is_finished for r in instance.get_runs()))
        time.sleep(7 * (number + 1))  # not in step with the sensors
    return figures[1:]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=3, help="of each kind (default 3)")
    options = parser.parse_args()
    for how in (by_polling, by_events):
        with tempfile.TemporaryDirectory() as home, how(Path(home)) as (daemon, tell):
            figures = measured(Path(home), daemon, tell, options.uploads)
        noticed, found = (statistics.median(column) for column in zip(*figures, strict=True))
        each = ", ".join(f"{one:.0f}/{other:.0f}" for one, other in figures)
        print(f"{how.__name__:<11} noticed {noticed:5.1f} s  found {found:5.1f} s  ({each})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
