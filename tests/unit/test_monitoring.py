"""How long uploads waited, in bounded space, whatever the order of things; GPUs by their tool."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.monitoring.metrics import SEARCHABLE_BUCKETS, added, distribution
from platform_assets.monitoring.sources import Source, Sources
from platform_assets.monitoring.waiting import Waiting
from platform_assets.raw_objects.arrivals import MOST, Arrivals
from resources.nvidia import gpus

START = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.lists(st.integers(0, 10**8), max_size=300))
def test_a_sketch_is_small_counts_all_and_dates_none_too_late(seconds: list[int]) -> None:
    arrivals = Arrivals()
    for part in range(0, len(seconds), 7):
        arrivals.add(START + timedelta(seconds=s) for s in seconds[part : part + 7])
    sketch = arrivals.sketch()
    assert len(sketch) <= MOST
    assert sum(count for _, count in sketch) == len(seconds)
    dated = [time for time, count in sketch for _ in range(count)]
    real = sorted(int(START.timestamp()) + s for s in seconds)
    assert all(shown <= true for shown, true in zip(dated, real, strict=True))


def test_uploads_wait_for_the_index_of_their_manifest() -> None:
    waiting = Waiting()
    assert waiting.uploaded("m1", [[100, 2]])
    assert waiting.chunked("m1", "c1", 110) == []
    assert waiting.uploaded("m2", [[200, 1]])
    assert waiting.published("m1", 250) == [(150, 2)]
    assert waiting.published("m1", 260) == []
    assert waiting.chunked("m2", "c2", 270) == []
    assert waiting.published("m2", 300) == [(100, 1)]


def test_what_changes_no_chunk_of_the_served_index_waits_for_none() -> None:
    waiting = Waiting()
    waiting.uploaded("m1", [[0, 1]])
    waiting.chunked("m1", "c1", 1)
    waiting.published("m1", 2)
    waiting.uploaded("m2", [[10, 1]])
    assert waiting.chunked("m2", "c1", 15) == [(5, 1)]
    assert not waiting.uploaded("m2", [[20, 1]])  # overwritten by the same bytes


def test_uploads_of_several_manifests_come_with_the_last() -> None:
    waiting = Waiting()
    for number in range(3):
        waiting.uploaded(f"m{number}", [[number, 1]])
    assert waiting.published("m2", 10) == [(10, 1), (9, 1), (8, 1)]


def test_distributions_add_up() -> None:
    both = added(distribution([(5, 2), (61, 1)]), distribution([(10**6, 1)]))
    assert both == distribution([(5, 2), (61, 1), (10**6, 1)])
    assert dict(zip(SEARCHABLE_BUCKETS, both.buckets, strict=True))[60] == 2
    assert both.count == 4


def test_a_source_that_fails_keeps_what_it_said_and_hides_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "planted-password")
    answers = iter([(), RuntimeError("no answer to planted-password")])

    def ask() -> tuple[()]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sources = Sources([Source("catalog", ask)], 1)
    assert sources.faults() == {"catalog": "not asked yet"}
    sources.sources[0].look()
    assert sources.faults() == {"catalog": None}
    sources.sources[0].look()
    assert sources.faults() == {"catalog": "RuntimeError: no answer to ***"}
    up = {sample.metric: sample.value for sample in sources.samples()}
    assert up["lakeloom_up"] == 0
    assert up["lakeloom_asked_timestamp_seconds"] > 0


def test_gpus_by_a_double_of_nvidias_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, NVIDIA H100 80GB HBM3, 37, 1024, 81559'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (gpu,) = gpus()
    assert (gpu.index, gpu.name, gpu.utilization) == ("0", "NVIDIA H100 80GB HBM3", 0.37)
    assert (gpu.used_bytes, gpu.total_bytes) == (2**30, 81559 * 2**20)
    tool.write_text("#!/bin/sh\necho 'driver is gone' >&2\nexit 9\n")
    with pytest.raises(RuntimeError, match="driver is gone"):
        gpus()


def test_a_machine_without_the_tool_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []
