"""Maintenance of a whole platform: what is served, and what a rollback serves, stays traceable."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.rollback import rollback
from platform_assets.commands.state import open_instance
from platform_assets.commands.trace import trace
from platform_assets.definitions import build_defs
from platform_assets.documents.table import REJECTED_DOCUMENTS
from platform_assets.maintenance.pins import pinned_by, pins
from platform_assets.maintenance.tables import ALL_TABLES
from platform_assets.raw_objects.table import document_id
from platform_assets.tracing import TABLES
from tests.buckets import bucket_of
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

    def maintain(self, table: str) -> dict[str, Any]:
        """Run the upkeep of a table with no grace; returns the figures it shows."""
        time.sleep(0.01)
        config = {"ops": {"table_maintenance": {"config": {"grace_hours": 0}}}}
        result = (
            build_defs()
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=open_instance(self.state.settings),
                partition_key=table,
                asset_selection=[dg.AssetKey("table_maintenance")],
                run_config=config,
            )
        )
        [event] = result.get_asset_materialization_events()
        metadata = event.step_materialization_data.materialization.metadata
        return {name: found.value for name, found in metadata.items()}

    def names_of_one_bucket(self, count: int) -> list[str]:
        """Keys of documents whose rows share a partition."""
        warehouse = self.state.warehouse
        names = (f"minor{number}.md" for number in range(1000))
        found = [
            name for name in names if bucket_of(warehouse, CHUNKS, document_id(CORPUS, name)) == 3
        ]
        return found[:count]

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


def test_it_runs_only_when_it_is_asked_for(harbours: Harbours) -> None:
    rows = harbours.platform.materialize(CORPUS)
    assert "table_maintenance" not in {asset for asset, _ in rows}
    rows = harbours.platform.materialize(CORPUS, select="not key:evaluation_plots")
    assert "table_maintenance" not in {asset for asset, _ in rows}
    before = {name: harbours.state.warehouse.snapshots(table) for name, table in ALL_TABLES.items()}
    rows = harbours.platform.materialize(CORPUS, select="key:table_maintenance")
    assert {partition for _, partition in rows} == ALL_TABLES.keys()
    for name, snapshots in before.items():
        now = harbours.state.warehouse.snapshots(ALL_TABLES[name])
        assert set(snapshots) <= set(now), "what was in use today stays"
    assert harbours.broken() == {}


def test_both_ends_stay_traceable(harbours: Harbours) -> None:
    added = harbours.names_of_one_bucket(4)
    for name in added:
        harbours.platform.write(CORPUS, name, page(name, "at any time"))
        harbours.platform.materialize(CORPUS, select=TO_PUBLISH)
    figures = {name: harbours.maintain(name) for name in ALL_TABLES}
    assert sum(found["snapshots expired"] for found in figures.values()) > 20
    assert figures["documents"]["files merged"] >= len(added)
    assert figures["documents"]["files after"] < figures["documents"]["files before"]
    assert figures["chunks"]["snapshots pinned"] >= 2
    assert harbours.broken() == harbours.broken(OTHER) == {}
    rollback(harbours.state, CORPUS)
    harbours.state.lake.delete(f"{CORPUS}/{added[-1]}")  # as the bucket was then
    assert harbours.broken() == {}
    hits = harbours.platform.search(CORPUS, "entered at any time", 50)
    assert {hit["key"] for hit in hits} >= set(added[:-1])
    assert added[-1] not in {hit["key"] for hit in hits}


def test_nothing_is_made_anew_after_maintenance(harbours: Harbours) -> None:
    harbours.edit("on one engine")
    harbours.maintain("chunks")
    harbours.platform.materialize(CORPUS, OTHER, select=TO_PUBLISH)
    assert harbours.platform.calls.none()
    assert harbours.broken() == {}


def test_the_grace_is_not_what_kept_it(harbours: Harbours) -> None:
    """Without pins the same expiry breaks the chain, so the test above can fail."""
    state = harbours.state
    harbours.edit("on one engine")
    harbours.edit("by night")
    rollback(state, CORPUS)
    harbours.platform.write(CORPUS, "Dover.md", page("Dover", "on one engine"))
    assert harbours.broken() == {}
    state.warehouse.expire(CHUNKS, (), datetime.now(UTC) + timedelta(seconds=1))
    assert harbours.broken().keys() == {"chunks"}
