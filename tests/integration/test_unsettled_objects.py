"""An object that changes whenever it is read stops no other; and long work says how far it is."""

from typing import Any

import pytest

from platform_assets.documents.table import DOCUMENTS
from resources.object_store import ObjectStore
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "growing"
GROWING = f"{CORPUS}/growing.txt"
UP_TO_SEARCH = "+key:published_index or +key:training_pairs"


class GrowingLake:
    """The real lake, in which one object grows after every look at its bytes."""

    def __init__(self, real: ObjectStore) -> None:
        self._real, self._lines = real, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get(self, key: str) -> bytes:
        found = self._real.get(key)
        self._grow(key)
        return found

    def sha256(self, key: str) -> str:
        found = self._real.sha256(key)
        self._grow(key)
        return found

    def _grow(self, key: str) -> None:
        if key == GROWING:
            self._lines += 1
            self._real.put(key, b"One more line of the log was written.\n" * self._lines)


def test_an_object_that_never_stands_still_is_left_for_later(platform: Platform) -> None:
    lake = GrowingLake(platform.state.lake)
    for bird in ("albatross", "bittern", "cormorant", "dunlin", "egret", "fulmar"):
        text = f"# Habits of the {bird}\n\nThe {bird} was seen near the harbour.\n"
        platform.write(CORPUS, f"{bird}.md", text)
    platform.write(CORPUS, "growing.txt", "One line of the log was written.\n")

    for parsed in (6, 0):
        rows = platform.materialize(CORPUS, select=UP_TO_SEARCH, lake=lake)
        assert len(platform.calls.parsed) == parsed
        warnings = rows["documents", CORPUS]["warnings"]
        assert any("1 objects changed while" in said and "growing.txt" in said for said in warnings)
        assert platform.search(CORPUS, "bittern", 1)[0]["key"] == "bittern.md"
    assert not {"documents", "chunks", "embeddings"} & set(platform.calls.commits)
    assert not platform.calls.upserted

    rows = platform.materialize(CORPUS, select=UP_TO_SEARCH)
    assert platform.calls.parsed == ["growing.txt"]
    assert not rows["documents", CORPUS]["warnings"]
    assert len(platform.rows(DOCUMENTS, corpus=CORPUS)) == 7

    platform.write(CORPUS, "growing.txt", "It begins anew.\n")
    rows = platform.materialize(CORPUS, select=UP_TO_SEARCH, lake=lake)
    assert not platform.calls.parsed
    assert len(platform.rows(DOCUMENTS, corpus=CORPUS)) == 7  # as it was read last

    said = "\n".join(platform.lines)
    assert "6 of 6 documents parsed" in said
    assert "6 of 6 points upserted" in said
    assert "texts embedded for mining" in said
    assert "searches evaluated" in said
