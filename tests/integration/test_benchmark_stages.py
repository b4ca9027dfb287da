"""The benchmark's stage table counts what the stages really did."""

from pathlib import Path

import pytest

from tests.benchmarks.stages import Pipeline

pytestmark = pytest.mark.slow


def test_each_stage_counts_its_work_and_its_time(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(3):
        text = f"# Fish {number}\n\nFish number {number} swims in the sea.\n"
        (docs / f"{number}.md").write_text(text)
    stages = {stage.name: stage for stage in Pipeline(tmp_path / "home").run(docs)}
    counts = {name: stage.count for name, stage in stages.items()}
    assert counts == {"parse": 3, "chunk": 3, "embed": 3, "index": 3, "write": 9}
    for stage in stages.values():
        assert stage.seconds > 0, stage
        assert stage.cpu_seconds >= 0, stage
        assert stage.peak_mb > 0, stage
