"""A reader of the table `chunks` never sees rows that failed their blocking checks."""

from typing import Any

import pytest

from platform_assets.chunks import assets
from platform_assets.chunks.audit import faults
from platform_assets.chunks.table import CHUNKS
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "reefs"
TO_CHUNKS = "+key:chunks"


def test_chunks_are_shown_once_they_were_audited(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def texts() -> set[str]:
        return {row["text"] for row in platform.rows(CHUNKS, corpus=CORPUS)}

    seen: list[set[str]] = []

    def watched(*arguments: Any) -> list[str]:
        seen.append(texts())
        return faults(*arguments)

    monkeypatch.setattr(assets, "faults", watched)
    platform.write(CORPUS, "one.md", "# Coral reefs\n\nPolyps build them.\n")
    platform.materialize(CORPUS, select=TO_CHUNKS)
    good = texts()
    assert seen == [set()]
    assert good

    limit = assets.token_limit
    monkeypatch.setattr(assets, "token_limit", lambda _: 3)
    platform.write(CORPUS, "one.md", "# Coral reefs\n\nDivers visit them in the dry season.\n")
    answer = platform.answer(CORPUS, select=TO_CHUNKS)
    [failed] = [row["failed"] for row in answer["assets"] if row["failed"]]
    assert "the chunks are not published" in failed
    assert "the limit is 3" in failed
    assert seen[-1] == texts() == good
    assert set(platform.state.warehouse._table(CHUNKS).metadata.refs) == {"main"}  # type: ignore[attr-defined]

    monkeypatch.setattr(assets, "token_limit", limit)
    platform.materialize(CORPUS, select=TO_CHUNKS)
    assert seen[-1] == good
    assert any("Divers" in text for text in texts())
    count = len(seen)
    platform.materialize(CORPUS, select=TO_CHUNKS)
    assert platform.calls.none()
    assert len(seen) == count, "what did not change is not audited again"
