"""Which slices have to be looked at, on a SQLite catalogue: those that anything happened to."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from platform_assets.checking import Verdict, by_slice
from platform_assets.digests import digest_of_leaves, leaves
from platform_assets.settled import FORM
from platform_assets.slices import Slices, Source, sought
from platform_assets.tables import OwnRows, keep, rows_of
from resources.object_store.folder import FolderObjectStore
from resources.warehouse import TableSpec
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog

COLUMNS = {"doc_id": (pa.string(), "Group and key."), "text": (pa.string(), "Content.")}
PAGES, COPIES = (
    TableSpec.of(
        name, "Of a test.", COLUMNS, group="doc_id", key="doc_id", content=("doc_id", "text")
    )
    for name in ("pages", "copies")
)
SCOPE = {"corpus": "c"}
NAMES = [f"page{number}" for number in range(40)]


class Room:
    """Pages, and copies of them, brought in line slice by slice."""

    def __init__(self, home: Path) -> None:
        catalog = open_sql_catalog(f"sqlite:///{home}/catalog.db", f"file://{home}/warehouse")
        self.warehouse = IcebergWarehouse(catalog)
        self.lake = FolderObjectStore(f"file://{home}/lake")
        self.write(PAGES, *NAMES)

    def write(self, table: TableSpec, *names: str, text: str = "as it was") -> None:
        """Rows by another writer."""
        own = OwnRows(self.warehouse, table, SCOPE)
        own.replace(names, rows_of(table, [row(name, text) for name in names]))

    def look(self, made_by: str = "1") -> OwnRows:
        """The copies, as an asset would read them."""
        source, own = (Source.now(self.warehouse, table, SCOPE) for table in (PAGES, COPIES))
        slices = Slices(self.lake, self.warehouse, "copies/c", [made_by], [source], [own])
        return OwnRows(self.warehouse, COPIES, SCOPE, slices=slices)

    def copy(self, unsettled: tuple[str, ...] = ()) -> OwnRows:
        """Make the copies of all open slices anew."""
        own = self.look()
        pages = self.warehouse.scan(PAGES, SCOPE, ["doc_id", "text"], slices=self.open(own))
        rows = [row(each["doc_id"], each["text"]) for each in pages.to_pylist()]
        own.replace([each["doc_id"] for each in rows], rows_of(COPIES, rows))
        keep([own], unsettled)
        return own

    def open(self, own: OwnRows) -> frozenset[int]:
        """Slices that are looked at."""
        assert own.slices is not None
        return own.slices.open

    def of(self, *names: str) -> set[int]:
        """Slices of some pages."""
        return set(self.warehouse.slices(PAGES, pa.array(names)).to_pylist())


def row(name: str, text: str) -> dict[str, Any]:
    return {"doc_id": name, "text": text, "fingerprint": text}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_what_was_left_in_line_is_not_looked_at_again(room: Room) -> None:
    first = room.copy()
    assert room.open(first) == room.of(*NAMES)
    again = room.look()
    assert room.open(again) == frozenset()
    assert again.fingerprints().num_rows == 0
    assert again.report.rows == len(NAMES)
    assert again.digest() == first.digest()


def test_a_change_opens_its_own_slice(room: Room) -> None:
    before = room.copy().digest()
    room.write(PAGES, "page7", text="as it is now")
    assert room.open(room.look()) == room.of("page7")
    after = room.copy().digest()
    assert after != before
    assert room.open(room.look()) == frozenset()
    room.lake.delete(f"_lakeloom/settled/copies/c.{FORM}.json")
    whole = room.look()  # without a note everything is read, to the same result
    assert room.open(whole) == room.of(*NAMES)
    assert whole.digest() == after


def test_a_digest_is_of_the_rows_as_they_stand_however_often_it_is_asked_for(room: Room) -> None:
    own = room.copy()
    before = own.digest()
    own.replace(["page7"], rows_of(COPIES, [row("page7", "as it is now")]))
    keep([own])
    assert own.digest() == room.look().digest() != before
    room.write(COPIES, "page8", text="by another")
    own.replace(["page9"], rows_of(COPIES, [row("page9", "as it is now")]))
    assert own.digest() == room.look().digest()


def test_a_new_page_opens_its_slice_although_it_had_none(room: Room) -> None:
    room.copy()
    room.write(PAGES, "one more")
    assert room.open(room.look()) == room.of("one more")
    assert room.copy().report.rows == len(NAMES) + 1


def test_another_version_opens_all(room: Room) -> None:
    room.copy()
    assert room.open(room.look(made_by="2")) == room.of(*NAMES)


def test_rows_that_somebody_else_wrote_are_looked_at(room: Room) -> None:
    room.copy()
    room.write(COPIES, "page7", text="forged")
    assert room.open(room.look()) == room.of("page7")


def test_compaction_changes_no_answer(room: Room) -> None:
    before = room.copy().digest()
    for text in "abc":
        room.write(PAGES, "page7", text=text)
    room.write(PAGES, "page7", text="as it was")
    room.warehouse.compact(PAGES, 1_000_000)
    assert room.copy().digest() == before


def test_what_is_left_to_do_keeps_its_slice_open(room: Room) -> None:
    room.copy(unsettled=("page7",))
    assert room.open(room.look()) == room.of("page7")


def test_nothing_is_noted_where_another_writer_came_between(room: Room) -> None:
    own = room.look()
    room.write(COPIES, "page7", text="theirs")
    own.replace(["page8"], rows_of(COPIES, [row("page8", "ours")]))
    keep([own])
    assert room.open(room.look()) == room.of(*NAMES)


def test_a_slice_can_be_opened_again(room: Room) -> None:
    room.copy()
    source = Source.now(room.warehouse, COPIES, SCOPE)
    pages = Source.now(room.warehouse, PAGES, SCOPE)
    slices = Slices(room.lake, room.warehouse, "copies/c", ["1"], [pages], [source])
    slices.reopen(["page7"])
    assert slices.open == room.of("page7")
    assert room.of("page7").isdisjoint(slices.known)


class Checked:
    """A check of the copies, in a run of a partition or alone."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.looked: list[frozenset[int] | None] = []
        self.fault: str | None = None

    def __call__(self, *, alone: bool = False) -> Verdict:
        context: Any = SimpleNamespace(has_partition_key=not alone)
        copies = Source.now(self.room.warehouse, COPIES, SCOPE)

        def examine(slices: Any) -> Verdict:
            self.looked.append(slices)
            return Verdict(self.fault)

        return by_slice(context, self.room.lake, self.room.warehouse, "good/c", [copies], examine)


def test_a_check_looks_again_where_something_changed_or_failed(room: Room) -> None:
    room.copy()
    check, all_of_them = Checked(room), frozenset(room.of(*NAMES))
    check.fault = "a copy is wrong"
    assert check().fault == "a copy is wrong"
    check.fault = None
    assert check().figures["slices looked at"] == f"{len(all_of_them)} of {len(all_of_them)}"
    assert check().figures["slices looked at"] == f"0 of {len(all_of_them)}"
    room.write(COPIES, "page7", text="forged")
    check.fault = "a copy is wrong"
    assert check().fault == check().fault == "a copy is wrong"
    forged = room.of("page7")
    assert check.looked == [all_of_them, all_of_them, forged, forged]


def test_a_check_alone_looks_at_everything(room: Room) -> None:
    room.copy()
    check = Checked(room)
    for alone in (False, True):
        check(alone=alone)
    assert check.looked[-1] is None


def test_what_a_check_alone_found_wrong_is_looked_at_by_the_next_run(room: Room) -> None:
    """As where a file of the table was damaged, which changes no state."""
    room.copy()
    check = Checked(room)
    check()
    check.fault = "a copy is wrong"
    check(alone=True)
    assert check().fault == "a copy is wrong"


def test_an_equal_note_is_not_written_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.copy()
    written: list[str] = []
    monkeypatch.setattr(room.lake, "put", lambda key, _: written.append(key))
    keep([room.look()])
    assert written == []


def test_a_table_without_a_row_hinders_no_note(room: Room) -> None:
    """Such as the dead letters where every document could be parsed."""
    letters = TableSpec.of(
        "letters", "", COLUMNS, group="doc_id", key="doc_id", content=("doc_id",)
    )

    def look() -> list[OwnRows]:
        source, *own = (Source.now(room.warehouse, t, SCOPE) for t in (PAGES, COPIES, letters))
        slices = Slices(room.lake, room.warehouse, "both/c", ["1"], [source], own)
        return [OwnRows(room.warehouse, t, SCOPE, slices=slices) for t in (COPIES, letters)]

    keep(look())
    assert room.open(look()[0]) == frozenset()


def test_another_writer_before_the_branch_began_is_noticed(room: Room) -> None:
    """Its rows stay, the digest is that of the snapshot, and its slice is looked at again."""
    room.copy()
    room.write(PAGES, "page7", text="as it is now")
    pages, copies = (Source.now(room.warehouse, table, SCOPE) for table in (PAGES, COPIES))
    slices = Slices(room.lake, room.warehouse, "copies/c", ["1"], [pages], [copies])
    own = OwnRows(room.warehouse, COPIES, SCOPE, "staged-run", slices)
    room.write(COPIES, "page8", text="theirs")
    own.replace(["page7"], rows_of(COPIES, [row("page7", "as it is now")]))
    own.publish()
    rows = room.warehouse.scan(COPIES, SCOPE, ["doc_id", "digest"], snapshot=own.snapshot())
    assert own.digest() == digest_of_leaves(leaves(room.warehouse, COPIES, rows))
    keep([own])
    assert room.of("page8") <= room.open(room.look())


def test_slices_in_which_nothing_was_found_are_not_searched_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, searched = room.warehouse.scan, set()

    def watched(*given: Any, slices: frozenset[int], **named: Any) -> pa.Table:
        searched.update(slices)
        return scan(*given, slices=slices, **named)

    def look(wanted: str) -> tuple[list[str], set[int]]:
        """Names of the pages with a text, and the slices that were read."""
        searched.clear()
        source, columns = Source.now(room.warehouse, PAGES, SCOPE), ["doc_id", "text"]
        with monkeypatch.context() as patch:
            patch.setattr(room.warehouse, "scan", watched)
            rows = sought(
                *(room.lake, room.warehouse, "test-sought/c", [wanted], source, columns),
                lambda rows: pc.equal(rows.column("text"), wanted),
            )
        return sorted(rows.column("doc_id").to_pylist()), set(searched)

    assert look("new") == ([], room.of(*NAMES))
    assert look("new") == ([], set())
    room.write(PAGES, "page7", text="new")
    assert look("new") == (["page7"], room.of("page7"))
    room.write(PAGES, "page8", text="new")
    assert look("new") == (["page7", "page8"], room.of("page7", "page8"))
    room.write(PAGES, "page7", text="old")
    assert look("new") == (["page8"], room.of("page7", "page8"))
    assert look("new") == (["page8"], room.of("page8"))
    assert look("old") == (["page7"], room.of(*NAMES)), "what is sought is another"
