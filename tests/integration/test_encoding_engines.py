"""The graph on another inference engine: LAKELOOM_ENCODING decides, and nothing old is served."""

from pathlib import Path

import pytest

from tests.spies import Platform

pytestmark = pytest.mark.slow


def test_another_engine_embeds_anew_and_is_what_answers(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.write("sea", "bell.md", "# The bell\n\nIt is struck every half hour of the watch.")
    platform.write("sea", "lead.md", "# The lead\n\nTallow brings up sand from the bottom.")
    platform.materialize("sea")
    monkeypatch.setenv("LAKELOOM_ENCODING", "torch://")
    platform = Platform(tmp_path, monkeypatch)
    platform.materialize("sea")
    assert platform.calls.encoded
    assert platform.calls.parsed == []
    assert platform.search("sea", "what comes up from the ground", top=1)[0]["key"] == "lead.md"
    platform.materialize("sea")
    assert platform.calls.none()
