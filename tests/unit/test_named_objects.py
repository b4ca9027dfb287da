"""The manifest where somebody names the objects to look at: these alone, if the rest is settled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from platform_assets.raw_objects.listings import listing_digest, object_number
from platform_assets.raw_objects.refresh import Manifest, refresh
from platform_assets.raw_objects.table import RAW_OBJECTS
from resources.object_store import ObjectInfo
from resources.object_store.folder import FolderObjectStore
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog

NOTES = [f"notes/{number}.md" for number in range(30)]


class Shelf:
    """A corpus and its manifest; listings are counted."""

    def __init__(self, home: Path) -> None:
        catalog = open_sql_catalog(f"sqlite:///{home}/catalog.db", f"file://{home}/warehouse")
        self.warehouse = IcebergWarehouse(catalog)
        self.lake = Counted(f"file://{home}/lake")
        for key in NOTES:
            self.write(key, "as it was")

    def write(self, key: str, text: str) -> None:
        self.lake.put(f"shelf/{key}", text.encode())

    def look(self, *keys: str) -> Manifest:
        """What a materialisation of the manifest does."""
        manifest = refresh("shelf", self.lake, self.warehouse, "1", keys=keys)
        manifest.keep()
        return manifest

    def changes(self, *keys: str) -> tuple[int, int, int]:
        """Rows added, changed and removed."""
        report = self.look(*keys).own.report
        return report.added, report.changed, report.removed

    def rows(self) -> list[dict[str, Any]]:
        found = self.warehouse.scan(RAW_OBJECTS, {"corpus": "shelf"}).sort_by("key")
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows


class Counted(FolderObjectStore):
    """A folder that counts how often a corpus is listed."""

    listings = 0

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.listings += prefix == "shelf/"
        return super().objects(prefix)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    shelf.look()
    shelf.lake.listings = 0
    return shelf


def test_a_named_object_is_taken_in_without_a_listing(shelf: Shelf) -> None:
    shelf.write(NOTES[0], "as it is now")
    shelf.write("notes/new.md", "new")
    shelf.lake.delete(f"shelf/{NOTES[1]}")
    assert shelf.changes(NOTES[0], NOTES[1], "notes/new.md") == (1, 1, 1)
    assert shelf.lake.listings == 0
    named = shelf.rows()
    assert shelf.changes() == (0, 0, 0)  # a listing says the same of every object
    assert shelf.lake.listings == 1
    assert shelf.rows() == named


def test_what_is_not_named_is_left_for_the_next_listing(shelf: Shelf) -> None:
    shelf.write(NOTES[0], "as it is now")
    shelf.write(NOTES[1], "as it is now")
    shelf.lake.delete(f"shelf/{NOTES[2]}")
    assert shelf.changes(NOTES[0]) == (0, 1, 0)
    assert shelf.changes() == (0, 1, 1)


def test_the_digest_is_that_of_the_listing_it_stands_for(shelf: Shelf) -> None:
    def listed() -> str:
        items = shelf.lake.objects("shelf/")
        return listing_digest(object_number(x.key, x.etag, x.size) for x in items)

    assert shelf.look().listing == listed()
    shelf.write(NOTES[0], "as it is now")
    shelf.lake.delete(f"shelf/{NOTES[1]}")
    assert shelf.look(NOTES[0]).listing != listed()
    assert shelf.look(NOTES[1]).listing == listed()


def test_names_of_nothing_change_nothing(shelf: Shelf) -> None:
    before = shelf.rows()
    assert shelf.changes("notes/ghost.md", "notes", NOTES[0]) == (0, 0, 0)
    assert shelf.rows() == before
    assert shelf.lake.listings == 0


@pytest.mark.parametrize("key", ["../secret", "notes//x", "a\nb", "x" * 2000])
def test_a_name_that_no_object_can_have_has_all_listed(shelf: Shelf, key: str) -> None:
    shelf.write(NOTES[0], "as it is now")
    assert shelf.changes(key) == (0, 1, 0)
    assert shelf.lake.listings == 1


def test_a_first_manifest_is_of_all_objects(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.changes(NOTES[0]) == (len(NOTES), 0, 0)


def test_after_a_look_that_was_not_noted_all_is_listed(shelf: Shelf) -> None:
    """A run that was killed after its commit: of its slice nothing is known."""
    shelf.write(NOTES[0], "as it is now")
    refresh("shelf", shelf.lake, shelf.warehouse, "1", keys=[NOTES[0]])
    shelf.write(NOTES[1], "as it is now")
    assert shelf.changes(NOTES[2]) == (0, 1, 0)
    assert shelf.lake.listings == 1


def test_an_object_named_twice_counts_once(shelf: Shelf) -> None:
    shelf.write(NOTES[0], "as it is now")
    named = shelf.look(NOTES[0], NOTES[0]).listing
    assert named == shelf.look().listing


def test_an_object_that_goes_while_it_is_read_and_comes_back_is_taken_in(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Counted, "sha256", gone)
        shelf.write("notes/fleeting.md", "there and gone")
        assert shelf.changes() == (0, 0, 0)
    back = shelf.look()
    assert back.own.report.added == 1
    assert back.listing == shelf.look().listing


def gone(_: Counted, key: str) -> str:
    raise FileNotFoundError(key)


def test_an_object_overwritten_while_it_is_read_is_read_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = FolderObjectStore.sha256, list[str]()

    def overwritten(self: FolderObjectStore, key: str) -> str:
        tries.append(key)
        return gone(shelf.lake, key) if len(tries) == 1 else real(self, key)

    monkeypatch.setattr(Counted, "sha256", overwritten)
    shelf.write(NOTES[0], "as it is now")
    assert shelf.changes() == (0, 1, 0)


def test_times_are_to_the_second(shelf: Shelf) -> None:
    """All that S3 says of a single object."""
    assert {row["modified"].microsecond for row in shelf.rows()} == {0}
