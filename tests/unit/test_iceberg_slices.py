"""Slices of a bucket: which a file meets, how large buckets are written, read and compacted."""

from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.tables import OwnRows, rows_of
from resources.warehouse import (
    SLICES,
    TableSpec,
    iceberg_compaction,
    iceberg_creation,
    iceberg_slices,
)
from resources.warehouse.iceberg import IcebergWarehouse
from resources.warehouse.sql_catalog import open_sql_catalog

COLUMNS = {"doc_id": (pa.string(), "Group and key."), "text": (pa.string(), "Content.")}
NOTES = TableSpec.of(
    "notes", "Of a test.", COLUMNS, group="doc_id", key="doc_id", content=("text",), buckets=2
)
SCOPE = {"corpus": "c"}
IDS = [sha256(str(number).encode()).hexdigest()[:32] for number in range(400)]


class Notes:
    """A table of two buckets, each with about two hundred rows."""

    def __init__(self, home: Path) -> None:
        catalog = open_sql_catalog(f"sqlite:///{home}/catalog.db", f"file://{home}/warehouse")
        self.warehouse = IcebergWarehouse(catalog)
        self.own = OwnRows(self.warehouse, NOTES, SCOPE)

    def write(self, *ids: str, text: str = "old") -> None:
        rows = [{"doc_id": each, "text": text, "fingerprint": text} for each in ids]
        self.own.replace(ids, rows_of(NOTES, rows))

    def slices(self, *ids: str) -> list[int]:
        found: list[int] = self.warehouse.slices(NOTES, pa.array(ids, pa.string())).to_pylist()
        return found

    def states(self) -> dict[int, str]:
        return self.warehouse.states(NOTES, SCOPE)

    def files(self) -> list[range]:
        """The slices that each file meets."""
        iceberg = self.warehouse._table(NOTES)
        sliced = iceberg_slices.Sliced(iceberg.metadata, "doc_id")
        return [sliced.met_by(task) for task in iceberg.scan().plan_files()]

    def read(self, slices: set[int]) -> list[str]:
        """Ids in some slices, by both ways to read; neither gives a row twice."""
        rows = self.warehouse.scan(NOTES, SCOPE, ["doc_id"], slices=slices)
        batches = self.warehouse.batches(NOTES, SCOPE, ["doc_id"], slices=slices)
        streamed = [each for batch in batches for each in batch.column("doc_id").to_pylist()]
        found = sorted(rows.column("doc_id").to_pylist())
        assert sorted(streamed) == found
        return found


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket counts as large from a few rows on, wherever that is asked."""
    for module in (iceberg_slices, iceberg_compaction):
        monkeypatch.setattr(module, "LARGE_ROWS", 20)
    return


@pytest.mark.usefixtures("large")
def test_a_change_in_a_large_bucket_alters_its_own_slice(notes: Notes) -> None:
    notes.write(*IDS)
    before = notes.states()
    assert sorted(before) == sorted(set(notes.slices(*IDS)))
    notes.write(IDS[7], text="new")
    after = notes.states()
    assert [each for each in after if after[each] != before[each]] == notes.slices(IDS[7])


def test_a_small_bucket_has_one_file_for_all_its_slices(notes: Notes) -> None:
    notes.write(*IDS)
    assert sorted(map(len, notes.files())) == [SLICES, SLICES]
    before = notes.states()
    notes.write(IDS[7], text="new")
    after = notes.states()
    bucket = notes.slices(IDS[7])[0] // SLICES
    assert {each // SLICES for each in after if after[each] != before[each]} == {bucket}


@pytest.mark.parametrize("limit", [20, 8_192])
def test_slices_are_read_whole_and_alone(
    notes: Notes, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether files have them for themselves or not."""
    monkeypatch.setattr(iceberg_slices, "LARGE_ROWS", limit)
    notes.write(*IDS)
    homes = dict(zip(IDS, notes.slices(*IDS), strict=True))
    for wanted in ({0}, {SLICES - 1}, {3, 4, SLICES + 4, 2 * SLICES - 1}, set(homes.values())):
        assert notes.read(wanted) == sorted(each for each in IDS if homes[each] in wanted)
    assert notes.read(set()) == []
    some = notes.warehouse.scan(NOTES, SCOPE, ["text"], IDS[:3])
    assert some.num_rows == 3


def test_slices_follow_the_order_of_groups(notes: Notes) -> None:
    notes.write(*IDS)
    places = notes.warehouse.buckets(NOTES, pa.array(IDS)).to_pylist()
    by_bucket = sorted(zip(places, IDS, strict=True))
    numbers = notes.slices(*(each for _, each in by_bucket))
    assert numbers == sorted(numbers)
    assert [number // SLICES for number in numbers] == [place for place, _ in by_bucket]


def test_compaction_leaves_a_large_bucket_its_slices(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first, last in pairwise((0, 100, 200, 300, 400)):
        notes.write(*IDS[first:last])
    assert min(len(met) for met in notes.files()) > 1, "small when they were written"
    for module in (iceberg_slices, iceberg_compaction):
        monkeypatch.setattr(module, "LARGE_ROWS", 20)
    before, rows = notes.own.digest(), notes.read(set(range(2 * SLICES)))
    done = notes.warehouse.compact(NOTES, 1_000_000)
    assert (done.files_before, done.files_after) == (8, 2 * SLICES)
    assert notes.files().count(range(3, 4)) == 1
    assert {len(met) for met in notes.files()} == {1}
    for text in "abc":
        notes.write(IDS[7], text=text)
    assert notes.warehouse.compact(NOTES, 1_000_000).files_before == 0, "two files may stay"
    near = [each for each in IDS if notes.slices(each) == notes.slices(IDS[7])]
    for each in near[:3]:
        notes.write(each, text="new")
    done = notes.warehouse.compact(NOTES, 1_000_000)
    assert (done.partitions, done.files_after) == (1, 1)
    first, last = ([each for each in IDS if notes.slices(each) == [n]] for n in (1, 9))
    for pair in zip(first[:3], last[:3], strict=True):
        notes.write(*pair, text="newer")
    assert [len(met) for met in notes.files()].count(9) == 3
    notes.warehouse.compact(NOTES, 1_000_000)
    assert {len(met) for met in notes.files()} == {1}, "however few rows several slices share"
    assert notes.read(set(range(2 * SLICES))) == rows
    assert OwnRows(notes.warehouse, NOTES, SCOPE).digest() == notes.own.digest() != before


def test_a_file_without_bounds_meets_every_slice_of_its_bucket(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of tables that an earlier version made."""
    monkeypatch.setattr(iceberg_slices.Sliced, "_bounds", lambda *_: None)
    notes.write(*IDS)
    assert sorted(notes.files(), key=min) == [range(SLICES), range(SLICES, 2 * SLICES)]
    (number,) = notes.slices(IDS[7])
    assert IDS[7] in notes.read({number})


def test_a_table_of_an_earlier_version_gets_bounds_with_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds, codec = "write.metadata.metrics.column.doc_id", "write.parquet.compression-codec"
    with monkeypatch.context() as patch:
        patch.delitem(iceberg_creation.PROPERTIES, bounds)
        patch.setitem(iceberg_creation.PROPERTIES, codec, "gzip")
        notes = Notes(tmp_path)
        notes.write("1", "2", "3")
    assert {len(met) for met in notes.files()} == {SLICES}, "they could be anywhere"
    notes.write("4", "5", "6")
    assert min(len(met) for met in notes.files()) < SLICES
    assert notes.warehouse._table(NOTES).properties[codec] == "gzip", "somebody set it"


def test_what_has_no_bounds_is_merged_once_and_for_all(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices that no manifest can tell apart would be merged and cut for ever."""
    monkeypatch.delitem(iceberg_creation.PROPERTIES, "write.metadata.metrics.column.doc_id")
    with notes.warehouse._table(NOTES).transaction() as transaction:
        transaction.remove_properties("write.metadata.metrics.column.doc_id")
    for first, last in pairwise((0, 100, 200, 300, 400)):
        notes.write(*IDS[first:last])
    for module in (iceberg_slices, iceberg_compaction):
        monkeypatch.setattr(module, "LARGE_ROWS", 20)
    assert notes.warehouse.compact(NOTES, 1_000_000).files_after == 2
    assert notes.warehouse.compact(NOTES, 1_000_000).files_before == 0


def test_large_files_of_before_slices_are_cut_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket is one file without bounds, of a table that keeps none; it has a deletion."""
    bounds = "write.metadata.metrics.column.doc_id"
    with monkeypatch.context() as patch:
        patch.delitem(iceberg_creation.PROPERTIES, bounds)
        notes = Notes(tmp_path)
        notes.write(*IDS)
        notes.own.replace(IDS[:1], rows_of(NOTES, []))
    for module in (iceberg_slices, iceberg_compaction):
        monkeypatch.setattr(module, "LARGE_ROWS", 20)
    assert sorted(map(len, notes.files())) == [SLICES, SLICES]
    rows = notes.read(set(range(2 * SLICES)))
    done = notes.warehouse.compact(NOTES, 1_000_000)
    assert (done.files_before, done.files_after) == (2, 2 * SLICES)
    assert {len(met) for met in notes.files()} == {1}
    assert bounds in notes.warehouse._table(NOTES).properties
    assert notes.read(set(range(2 * SLICES))) == rows == sorted(IDS[1:])
    assert notes.warehouse.compact(NOTES, 1_000_000).files_before == 0


def test_two_small_files_that_slices_share_are_cut_if_they_are_large_together(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.write(*IDS[:200])
    notes.write(*IDS[200:])
    for module in (iceberg_slices, iceberg_compaction):
        monkeypatch.setattr(module, "LARGE_ROWS", 150)
    assert len(notes.files()) == 4
    assert notes.warehouse.compact(NOTES, 1_000_000).files_after == 2 * SLICES
    assert {len(met) for met in notes.files()} == {1}


@pytest.mark.usefixtures("large")
def test_what_is_much_is_compacted_in_several_commits(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iceberg_compaction, "COMMIT_BYTES", 1)
    buckets = notes.warehouse.buckets(NOTES, pa.array(IDS)).to_pylist()
    first, second = ([x for x, of in zip(IDS, buckets, strict=True) if of == n] for n in (0, 1))
    for pair in zip(first[:3], second[:3], strict=True):
        notes.write(*pair)
    before = notes.warehouse.snapshots(NOTES)
    done = notes.warehouse.compact(NOTES, 1_000_000)
    assert (done.files_before, done.files_after) == (6, 2)
    assert len(notes.warehouse.snapshots(NOTES)) == len(before) + 2
    assert notes.read(set(range(2 * SLICES))) == sorted([*first[:3], *second[:3]])


@pytest.mark.parametrize("target", [1, 1_000_000])
@pytest.mark.usefixtures("large")
def test_compaction_comes_to_an_end(
    notes: Notes, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the sizes of files, and whether slices have them for themselves or not."""
    for number, (first, last) in enumerate(pairwise(range(0, 401, 50))):
        with monkeypatch.context() as patch:
            patch.setattr(iceberg_slices, "LARGE_ROWS", 20 if number % 2 else 8_192)
            notes.write(*IDS[first:last])
            notes.own.replace(IDS[first : first + 3], rows_of(NOTES, []))
    rows = notes.read(set(range(2 * SLICES)))
    passes = [notes.warehouse.compact(NOTES, target).files_before for _ in range(4)]
    assert passes[0] > 0
    assert passes[2:] == [0, 0]
    assert {len(met) for met in notes.files()} == {1}
    assert notes.read(set(range(2 * SLICES))) == rows


@given(st.lists(st.text(min_size=1), min_size=1))
def test_any_group_is_in_a_slice_of_those_between_its_bounds(groups: list[str]) -> None:
    ranks = iceberg_slices.slices_of(pa.array([0] * len(groups)), pa.array(groups)).to_pylist()
    assert [iceberg_slices._rank(each) for each in groups] == ranks
    low, high = iceberg_slices._rank(min(groups)), iceberg_slices._rank(max(groups))
    assert all(low <= rank <= high < SLICES for rank in ranks)
