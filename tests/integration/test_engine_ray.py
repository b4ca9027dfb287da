"""Ray Data computes what the local engine computes, row for row, and loses workers and drivers.

`make test-ray` installs Ray first.
"""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from resources.engines.ray import RayEngine
from resources.warehouse import TableSpec
from tests.engine_tasks import Count
from tests.faults.killed_run import CORPUS, SMALL, STOPS
from tests.faults.test_kill import COSINE_FLOOR, OF_VOLATILE, VOLATILE, upload
from tests.spies import Platform

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]

URL = "ray://?workers=2"
TABLES = (DOCUMENTS, REJECTED_DOCUMENTS, CHUNKS, EMBEDDINGS)
TO_EMBEDDINGS = "+key:embeddings"
DRIVER_STOPS = ("between documents and rejected", "in a commit")
GOOD, BAD = 14, 3


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for change in SMALL:
            patch.setattr(*change)
        yield patch


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Platform:
    platform = Platform(tmp_path_factory.mktemp("local"), patch)
    upload(platform)
    platform.materialize(CORPUS, select=TO_EMBEDDINGS)
    return platform


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayEngine]:
    """A Ray of this process, which the tests share."""
    import ray

    engine = RayEngine.of(URL)
    yield engine
    ray.shutdown()


@pytest.fixture(scope="module")
def by_ray(
    tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch, cluster: RayEngine
) -> tuple[Platform, dict[str, dict[str, Any]]]:
    platform = Platform(tmp_path_factory.mktemp("ray"), patch)
    upload(platform)
    return platform, _work(platform, cluster)


def _work(platform: Platform, engine: RayEngine | None = None) -> dict[str, dict[str, Any]]:
    """Materialise; returns the work of each asset."""
    overrides = {"engine": engine} if engine else {}
    rows = platform.materialize(CORPUS, select=TO_EMBEDDINGS, **overrides)
    return {asset: row["work"] for (asset, _), row in rows.items()}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_equal_the_local_engines_row_for_row(
    local: Platform, by_ray: tuple[Platform, Any], table: TableSpec
) -> None:
    expected, found = _rows(local, table), _rows(by_ray[0], table)
    assert expected
    assert found == expected


def test_vectors_equal_the_local_engines(local: Platform, by_ray: tuple[Platform, Any]) -> None:
    expected, found = _vectors(local), _vectors(by_ray[0])
    assert found.keys() == expected.keys()
    assert min(float(expected[name] @ found[name]) for name in expected) > COSINE_FLOOR


def test_work_is_counted_and_in_proportion_to_the_change(
    by_ray: tuple[Platform, dict[str, dict[str, Any]]], cluster: RayEngine
) -> None:
    platform, first = by_ray
    texts = {row["text_digest"] for row in platform.rows(EMBEDDINGS, corpus=CORPUS)}
    assert first["documents"]["parsed"] == GOOD + BAD
    assert first["embeddings"]["embedded"] == len(texts)
    assert platform.calls.parsed == []  # not in this process
    again = _work(platform, cluster)
    assert {name: count for each in again.values() for name, count in each.items() if count} == {}
    platform.write(CORPUS, "basin3.md", "# Harbour basin 3 anew\n\nIt silted up last winter.\n")
    changed = _work(platform, cluster)
    assert (changed["documents"]["parsed"], changed["embeddings"]["embedded"]) == (1, 1)
    assert [changed[name]["commits"] for name in ("documents", "chunks", "embeddings")] == [1, 1, 1]


def test_a_task_is_loaded_once_a_worker(tmp_path: Path, cluster: RayEngine) -> None:
    task = Count(tmp_path)
    found = [list(each) for each in cluster.map(task, range(40))]
    assert found == [list(range(each)) for each in range(40)]
    assert 1 <= len(task.opened()) <= cluster.workers
    assert set(task.opened()) == {"1"}


def test_a_batch_of_a_killed_worker_is_computed_again(tmp_path: Path, cluster: RayEngine) -> None:
    task = Count(tmp_path, dies_at=5)
    found = [list(each) for each in cluster.map(task, range(12))]
    assert (tmp_path / "died").exists()
    assert found == [list(range(each)) for each in range(12)]


def test_what_a_task_raises_is_raised_here(tmp_path: Path, cluster: RayEngine) -> None:
    with pytest.raises(LookupError, match=r"^'?there is no 7'?$"):
        list(cluster.map(Count(tmp_path, fails_at=7), range(12)))


def test_workers_with_other_code_are_refused(
    tmp_path: Path, cluster: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers find their own code's digest; the run is told another."""
    monkeypatch.setattr("resources.engines.ray.code_digest", lambda: "another commit's")
    task = Count(tmp_path)
    with pytest.raises(RuntimeError, match=r"has other code of Lakeloom than the run: install"):
        list(cluster.map(task, range(12)))
    assert task.opened() == []


@pytest.mark.parametrize("stop", DRIVER_STOPS)
def test_a_killed_driver_leaves_whole_waves_and_no_process(
    stop: str, tmp_path: Path, local: Platform, patch: pytest.MonkeyPatch
) -> None:
    platform = Platform(tmp_path, patch)
    upload(platform)
    asset = STOPS[stop].asset
    platform.materialize(CORPUS, select=f"+key:{asset} and not key:{asset}")
    assert _killed(platform, stop) == -signal.SIGKILL
    assert not _left(platform.state.settings.home)
    table = DOCUMENTS if asset == "documents" else EMBEDDINGS
    column = "key" if asset == "documents" else "text_digest"
    tables = (table, REJECTED_DOCUMENTS) if asset == "documents" else (table,)

    def done() -> set[str]:
        return {row[column] for each in tables for row in platform.rows(each, corpus=CORPUS)}

    committed = done()
    work = _work(platform)[asset]["parsed" if asset == "documents" else "embedded"]
    assert 0 < len(committed) < len(done())
    assert work == len(done()) - len(committed)
    for each in tables:
        assert _rows(platform, each) == _rows(local, each)


def _killed(platform: Platform, stop: str) -> int:
    """Exit status of a run on Ray that is killed."""
    home = platform.state.settings.home
    process = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed_run", stop, str(home / "calls.json")],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "LAKELOOM_HOME": str(home), "LAKELOOM_ENGINE": URL},
        check=False,
    )
    return process.returncode


def _left(home: Path) -> list[psutil.Process]:
    """Processes of a home that do not end.

    They notice within seconds that their driver is gone. Ray's agents then try for a minute to tell
    Ray's server, which is gone too.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("LAKELOOM_HOME") == str(home) and process.pid != os.getpid():
                found.append(process)
    left: list[psutil.Process] = psutil.wait_procs(found, timeout=120)[1]
    return left


def _rows(platform: Platform, table: TableSpec) -> list[dict[str, Any]]:
    dropped = VOLATILE | OF_VOLATILE.get(table.name, set())
    rows = platform.rows(table, corpus=CORPUS)
    kept = [{name: row[name] for name in row.keys() - dropped} for row in rows]
    return sorted(kept, key=lambda row: str(row[table.key]))


def _vectors(platform: Platform) -> dict[str, Any]:
    rows = platform.rows(EMBEDDINGS, corpus=CORPUS)
    return {row["chunk_id"]: np.asarray(row["vector"]) for row in rows}
