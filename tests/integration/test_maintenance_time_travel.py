"""Time travel: the index of a past published state, built again, equals what was served then."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.cli import main
from platform_assets.commands.status import status
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.maintenance.pins import pins
from resources.vector_store import Served
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "tides"
QUERIES = ("high water at the bar", "spring tide in March", "slack water")


class Tides:
    """A corpus published in three states, with what was served in each."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.state, self.vectors = platform, platform.state, platform.state.vectors
        self.then = [self.publish(month) for month in ("March", "April", "May")]

    def publish(self, month: str) -> tuple[Served, dict[str, str], list[Any]]:
        for port in ("Brest", "Leith", "Ostend"):
            text = f"# Tides of {port} in {month}\n\nHigh water at the bar of {port}.\n\n"
            text += f"## Slack water\n\nThe spring tide in {month} turns at {port}.\n"
            self.platform.write(CORPUS, f"{port}.md", text)
        self.platform.materialize(CORPUS, select="+key:published_index")
        return self.seen()

    def seen(self) -> tuple[Served, dict[str, str], list[Any]]:
        """What is served, its points, and what it answers."""
        served = self.vectors.served(CORPUS)
        assert served is not None
        points = self.vectors.open(served.collection).fingerprints()
        return served, points, [self.platform.search(CORPUS, query, 20) for query in QUERIES]


@pytest.fixture(scope="module")
def tides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tides]:
    with pytest.MonkeyPatch.context() as patch:
        yield Tides(Platform(tmp_path_factory.mktemp("tides"), patch))


@pytest.fixture
def lakeloom(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command; returns its exit status, its answer and what it said of errors."""

    def run(*arguments: str) -> tuple[object, dict[str, Any], str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--json"])
        out, err = capsys.readouterr()
        return end.value.code, json.loads(out or "{}"), err

    return run


def test_a_state_whose_collection_is_gone_is_served_again(tides: Tides, lakeloom: Any) -> None:
    served, points, hits = tides.then[0]
    now = tides.vectors.served(CORPUS)
    assert served.collection not in tides.vectors.collections(), "dropped by the third publishing"
    code, _, said = lakeloom("rollback", CORPUS, "--to", served.record[:12])
    assert code == 1
    assert "--as-of" in said

    restore = ("materialize", "--corpus", CORPUS, "--as-of", served.record[:12])
    code, answer, _ = lakeloom(*restore)
    assert code == 0
    [row] = answer["assets"]
    assert (row["asset"], row["rows"]) == ("restored_index", len(points))
    assert row["work"]["embedded"] == row["work"]["parsed"] == 0
    assert tides.vectors.open(served.collection).fingerprints() == points
    assert tides.vectors.served(CORPUS) == now, "restoring serves nothing"
    assert not any(lakeloom(*restore)[1]["assets"][0]["work"].values())

    assert lakeloom("rollback", CORPUS, "--to", served.record[:12])[0] == 0
    assert tides.seen() == (served, points, hits)
    assert lakeloom("rollback", CORPUS)[0] == 0
    assert tides.vectors.served(CORPUS) == now


def test_the_previous_state_by_that_word(tides: Tides, lakeloom: Any) -> None:
    before = tides.vectors.previous(CORPUS)
    assert before is not None
    points = tides.vectors.open(before.collection).fingerprints()
    tides.vectors.drop(before.collection)
    assert lakeloom("materialize", "--corpus", CORPUS, "--as-of", "previous")[0] == 0
    assert tides.vectors.open(before.collection).fingerprints() == points


def test_what_is_restored_is_pinned_and_the_rest_expires(tides: Tides, lakeloom: Any) -> None:
    first, second = tides.then[0][0], tides.then[1][0]
    assert lakeloom("materialize", "--corpus", CORPUS, "--as-of", first.record)[0] == 0
    for table in (CHUNKS, EMBEDDINGS):
        pinned = pins(tides.state.ledger, tides.vectors).of(table.name)
        tides.state.warehouse.expire(table, pinned, datetime.now(UTC) + timedelta(seconds=1))
    tides.vectors.drop(first.collection)
    assert lakeloom("materialize", "--corpus", CORPUS, "--as-of", first.record)[0] == 0
    ends = {
        end.record for end in (tides.vectors.served(CORPUS), tides.vectors.previous(CORPUS)) if end
    }
    assert second.record not in ends
    code, answer, _ = lakeloom("materialize", "--corpus", CORPUS, "--as-of", second.record)
    assert code == 1
    assert "has expired" in answer["assets"][0]["failed"]


def test_what_cannot_be_meant_is_refused(tides: Tides, lakeloom: Any) -> None:
    chunks = tides.state.ledger.require("chunks", CORPUS).record_id
    served = status(tides.state)["corpora"][CORPUS]["published"]["record"]
    for wanted in ("0" * 12, served[:4], chunks):
        code, _, said = lakeloom("materialize", "--corpus", CORPUS, "--as-of", wanted)
        assert code == 2
        assert f"there are: {served[:12]}" in said
    code, _, said = lakeloom("materialize", "--as-of", "previous", "--select", "key:chunks")
    assert code == 2
    assert "--corpus" in said
