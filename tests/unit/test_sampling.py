"""Samples of documents: all of a small corpus, few slices' of a large one, and stable."""

from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from platform_assets.documents.table import DOCUMENTS
from platform_assets.sampling import of_few_slices
from platform_assets.slices import Source

IDS = [sha256(str(number).encode()).hexdigest()[:32] for number in range(5_000)]


class Slices:
    """What of a warehouse a sample asks for; a slice is the last digit of an id."""

    def __init__(self, ids: list[str]) -> None:
        self.rows = pa.array([*ids, *ids[:7]], pa.string())
        self.read: set[int] = set()

    def states(self, *_: object) -> dict[int, str]:
        return dict.fromkeys(self.slices(DOCUMENTS, self.rows).unique().to_pylist(), "")

    def slices(self, _: object, groups: pa.Array) -> pa.Array:
        last = pc.utf8_slice_codeunits(groups, -1).to_pylist()
        return pa.array([int(digit, 16) for digit in last], pa.int32())

    def scan(self, *_: object, snapshot: str, slices: list[int]) -> pa.Table:
        assert snapshot == "1"
        self.read |= set(slices)
        kept = pc.is_in(self.slices(DOCUMENTS, self.rows), pa.array(slices, pa.int32()))
        return pa.table({"doc_id": self.rows.filter(kept)})


def sample(ids: list[str], most: int) -> list[str]:
    warehouse: Any = Slices(ids)
    return of_few_slices(warehouse, Source(DOCUMENTS, {}, "1"), most)


def test_a_small_corpus_is_taken_whole() -> None:
    assert sorted(sample(IDS[:20], 20)) == sorted(IDS[:20])
    assert sample([], 20) == []


def test_of_a_large_one_as_many_as_asked_all_of_few_slices() -> None:
    found = sample(IDS, 50)
    assert len(set(found)) == 50
    assert {doc_id[-1] for doc_id in found} == {"0"}
    warehouse: Any = Slices(IDS)
    of_few_slices(warehouse, Source(DOCUMENTS, {}, "1"), 400)
    assert warehouse.read == {0, 1, 2}


@pytest.mark.parametrize("size", [49, 50, 51, 100, 799, 1199, 1200, 1201, 5_000])
def test_one_document_changes_one_of_the_sample(size: int) -> None:
    ids = IDS[:size]
    for change in (ids[1:], [*ids, "0" * 32]):
        assert len({*sample(ids, 50)} ^ {*sample(change, 50)}) <= 2
    assert len(sample(ids, 50)) == min(size, 50)
