"""Maintenance of a whole platform: what is served, and what a rollback serves, stays traceable."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.rollback import rollback
from platform_assets.commands.trace import trace
from platform_assets.documents.table import REJECTED_DOCUMENTS
from platform_assets.maintenance.pins import pinned_by, pins
from platform_assets.tracing import TABLES
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS, OTHER = "harbours", "islands"
TO_PUBLISH = "+key:published_index"


def page(name: str, words: str) -> str:
    return f"# Pilot of the {name} harbour\n\nThe {name} harbour is entered {words}.\n"


class Harbours:
    """A corpus published three times, beside another one, so that much is out of date."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.state = platform, platform.state
        for name in ("Antwerp", "Bergen", "Cadiz", "Dover"):
            platform.write(CORPUS, f"{name}.md", page(name, "from the west"))
            platform.write(OTHER, f"{name}.md", page(name, "at high water"))
        platform.write(CORPUS, "blank.pdf", b"")
        platform.materialize(CORPUS, OTHER, select=TO_PUBLISH)
        for words in ("from the east", "by daylight", "with a tug"):
            self.edit(words)

    def edit(self, words: str) -> None:
        self.platform.write(CORPUS, "Dover.md", page("Dover", words))
        self.platform.materialize(CORPUS, select=TO_PUBLISH)

    def broken(self, corpus: str = CORPUS) -> dict[str, str]:
        """Asset -> why, of every link of the chain that does not hold."""
        links = trace(self.state, corpus)["links"]
        assert len(links) >= 9
        return {link["asset"]: link["why"] for link in links if not link["ok"]}


@pytest.fixture(scope="module")
def harbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbours]:
    with pytest.MonkeyPatch.context() as patch:
        yield Harbours(Platform(tmp_path_factory.mktemp("harbours"), patch))


def test_pins_hold_what_is_served_and_what_was(harbours: Harbours) -> None:
    state = harbours.state
    pinned = pins(state.ledger, state.vectors)
    for end in (state.vectors.served(CORPUS), state.vectors.previous(CORPUS)):
        assert end is not None
        chain = state.ledger.chain([end.record])
        assert chain.keys() <= pinned.records
        wanted = {(r.asset, r.snapshot) for r in chain.values() if r.asset in TABLES}
        assert {asset for asset, _ in wanted} >= {"raw_objects", "documents", "chunks", "queries"}
        assert all(snapshot in pinned.of(asset) for asset, snapshot in wanted)
        documents = next(r for r in chain.values() if r.asset == "documents")
        assert documents.details["rejected_snapshot"] in pinned.of(REJECTED_DOCUMENTS.name)
    checkpoint = state.ledger.require("checkpoints", "minilm").details["checkpoint"]
    assert pinned.checkpoints == {checkpoint}
    assert pinned.of("no_such_table") == frozenset()


def test_a_chain_with_a_hole_stops_maintenance(harbours: Harbours) -> None:
    with pytest.raises(RuntimeError, match="lakeloom trace"):
        pinned_by(harbours.state.ledger, ["0" * 64])


def test_expiry_by_pins_leaves_both_ends_traceable(harbours: Harbours) -> None:
    state = harbours.state
    time.sleep(0.01)
    now = datetime.now(UTC)
    pinned = pins(state.ledger, state.vectors)
    expired = 0
    for table in (*TABLES.values(), REJECTED_DOCUMENTS):
        expired += state.warehouse.expire(table, pinned.of(table.name), now).snapshots
        state.warehouse.remove_orphans(table, now)
        assert pinned.of(table.name) <= set(state.warehouse.snapshots(table))
    assert expired > 10
    assert harbours.broken() == harbours.broken(OTHER) == {}
    rollback(state, CORPUS)
    harbours.platform.write(CORPUS, "Dover.md", page("Dover", "by daylight"))
    assert harbours.broken() == {}
    assert "daylight" in harbours.platform.search(CORPUS, "entering Dover by daylight")[0]["text"]
    harbours.edit("on one engine")
    assert harbours.broken() == {}
    assert state.warehouse.snapshot(CHUNKS) in state.warehouse.snapshots(CHUNKS)


def test_the_grace_is_not_what_kept_it(harbours: Harbours) -> None:
    """Without pins the same expiry breaks the chain, so the test above can fail."""
    state = harbours.state
    harbours.edit("by night")
    rollback(state, CORPUS)
    harbours.platform.write(CORPUS, "Dover.md", page("Dover", "on one engine"))
    assert harbours.broken() == {}
    state.warehouse.expire(CHUNKS, (), datetime.now(UTC) + timedelta(seconds=1))
    assert harbours.broken().keys() == {"chunks"}
