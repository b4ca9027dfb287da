"""How long uploads waited, in bounded space, whatever the order of things; GPUs by their tool."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.commands.state import State
from platform_assets.monitoring.corpora import Corpora
from platform_assets.monitoring.metrics import (
    SEARCHABLE_BUCKETS,
    Sample,
    added,
    distribution,
)
from platform_assets.monitoring.sources import LATE, LATE_SECONDS, Fault, Source, Sources
from platform_assets.monitoring.waiting import Waiting
from platform_assets.provenance import PREFIX, Record
from platform_assets.raw_objects.arrivals import MOST, Arrivals
from resources.nvidia import gpus
from resources.settings import Settings

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
    assert sources.faults() == {"catalog": "no answer yet"}
    sources.sources[0].look()
    assert sources.faults() == {"catalog": None}
    sources.sources[0].look()
    assert sources.faults() == {"catalog": "RuntimeError: no answer to ***"}
    up = {sample.metric: sample.value for sample in sources.samples()}
    assert up["lakeloom_up"] == 0
    assert up["lakeloom_asked_timestamp_seconds"] > 0


def _answered(took: float, ago: float, every: float) -> tuple[str | None, float]:
    """Fault and lakeloom_up of a source whose next look does not come back."""
    source = Source("catalog", tuple, took=took)
    source.look()
    assert source.answered
    source.took, source.answered = took, source.answered - ago
    sources = Sources([source], every)
    up = {sample.metric: sample.value for sample in sources.samples()}["lakeloom_up"]
    assert isinstance(up, float)
    return sources.faults()["catalog"], up


def test_a_layer_that_hangs_is_a_fault() -> None:
    assert _answered(took=0, ago=80, every=30) == (None, 1)
    fault, up = _answered(took=0, ago=LATE * 30 + 5, every=30)
    assert up == 0
    assert fault == "no answer for 95 s: it hangs, or a look takes too long (asked every 30 s)"


def test_a_slow_look_and_a_short_interval_are_no_fault() -> None:
    assert _answered(took=100, ago=LATE * 100 - 5, every=30) == (None, 1)
    assert _answered(took=100, ago=LATE * 100 + 5, every=30)[1] == 0
    assert _answered(took=0, ago=LATE_SECONDS - 5, every=1) == (None, 1)
    assert _answered(took=0, ago=LATE_SECONDS + 5, every=1)[1] == 0


def test_the_next_look_waits_as_long_as_the_last_took() -> None:
    sources = Sources([Source("lake", tuple, took=100)], 30)
    assert sources.pause(sources.sources[0]) == 100
    sources.sources[0].look()
    assert sources.pause(sources.sources[0]) == 30


def test_a_part_that_is_broken_is_named_and_the_rest_is_shown() -> None:
    objects = Sample("lakeloom_objects", 1, {"corpus": "bats"})
    source = Source("corpora", lambda: [Fault("corpus birds: gone"), objects, Fault("and owls")])
    source.look()
    assert source.samples == (objects,)
    assert source.fault == "corpus birds: gone; and owls"
    assert source.answered


@pytest.mark.parametrize("error", ["FileNotFoundError", "KeyError"])
def test_a_corpus_with_a_broken_chain_holds_up_no_other(tmp_path: Path, error: str) -> None:
    state = State(Settings.from_env({"LAKELOOM_HOME": str(tmp_path)}))
    corpora = Corpora(state.lake, state.warehouse, state.vectors)
    names = ["bats", "birds", "owls"]
    before = list(corpora.samples(names))
    assert {sample.labels["corpus"] for sample in before if isinstance(sample, Sample)} == {*names}
    if error == "KeyError":
        state.ledger.commit(Record("documents", "birds", None, "", 0, ""))  # no details
    else:
        state.lake.put(f"{PREFIX}/latest/documents/birds", b"gone")
    state.lake.put("owls/owl.md", b"# Owl")
    after = list(corpora.samples(names))
    (fault,) = (said for said in after if isinstance(said, Fault))
    assert fault.why.startswith(f"corpus birds: {error}: ")
    shown = [said for said in after if isinstance(said, Sample)]
    waiting = {s.labels["corpus"]: s.value for s in shown if s.metric == "lakeloom_backlog_objects"}
    assert waiting == {"bats": 0, "birds": 0, "owls": 1}  # what birds said last stays


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
