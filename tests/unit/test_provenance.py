"""Records, their ids and the ledger that keeps them."""

from dataclasses import replace
from pathlib import Path

import pytest

from platform_assets.provenance import PREFIX, Ledger, Record, links
from resources.object_store.obstore import ObstoreObjectStore


@pytest.fixture
def lake(tmp_path: Path) -> ObstoreObjectStore:
    return ObstoreObjectStore(f"file://{tmp_path}")


def record(**changes: object) -> Record:
    upstream = Record("raw_objects", "news", "1", "aa", 3, "1")
    plain = Record("documents", "news", "7", "bb", 3, "1", {"parser": "p"}, links([upstream]))
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_record_survives_the_lake(lake: ObstoreObjectStore) -> None:
    written = Ledger(lake).commit(record())
    assert Ledger(lake).latest("documents", "news") == written
    assert Ledger(lake).get(written.record_id) == written
    assert Ledger(lake).partitions("documents") == ["news"]


def test_a_record_that_differs_in_snapshots_alone_is_not_written(lake: ObstoreObjectStore) -> None:
    ledger = Ledger(lake)
    first = ledger.commit(record())
    moved = replace(first.upstream["raw_objects/news"], record="another")
    again = record(snapshot="8", upstream={"raw_objects/news": moved})
    assert ledger.commit(again) == first
    assert ledger.latest("documents", "news") == first


@pytest.mark.parametrize(
    "changes",
    [{"digest": "cc"}, {"code_version": "2"}, {"config": {"parser": "q"}}, {"details": {"a": "b"}}],
)
def test_a_record_of_other_content_is_written(
    lake: ObstoreObjectStore, changes: dict[str, object]
) -> None:
    ledger = Ledger(lake)
    first = ledger.commit(record())
    second = ledger.commit(record(**changes))
    assert second != first
    assert ledger.latest("documents", "news") == second
    assert ledger.get(first.record_id) == first


def test_an_altered_record_is_noticed(lake: ObstoreObjectStore) -> None:
    written = Ledger(lake).commit(record())
    key = f"{PREFIX}/records/{written.record_id}.json"
    lake.put(key, lake.get(key).replace(b'"rows":3', b'"rows":4'))
    with pytest.raises(ValueError, match="was altered"):
        Ledger(lake).latest("documents", "news")


def test_a_missing_upstream_says_what_to_do(lake: ObstoreObjectStore) -> None:
    with pytest.raises(LookupError, match="lakeloom materialize --select"):
        Ledger(lake).require("chunks", "news")
