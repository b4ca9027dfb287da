import numpy as np
import pyarrow as pa
import pytest

from resources.training.pairs import Pairs, assemble, plan


def pair(query: str, positive: str, *negatives: str) -> dict[str, object]:
    return {"query": query, "positive": positive, "negatives": list(negatives)}


def test_other_right_answers_are_masked_and_the_positive_never_is() -> None:
    rows = [pair("q1", "a", "n1"), pair("q2", "b", "a", "n1"), pair("q1", "c")]
    batch = assemble(rows, {"q1": {"a", "c"}, "q2": {"b", "n1"}})
    assert batch.queries == ["q1", "q2", "q1"]
    assert batch.candidates == ["a", "b", "c", "n1"]
    assert batch.labels.tolist() == [0, 1, 2]
    masked = [[batch.candidates[j] for j in np.flatnonzero(row)] for row in batch.masked]
    assert masked == [["c"], ["n1"], ["a"]]


def test_order_of_rows_changes_neither_digest_nor_batches() -> None:
    rows = [pair(f"q{i}", f"p{i}", f"n{i}") for i in range(7)]
    one, two = Pairs(pa.Table.from_pylist(rows)), Pairs(pa.Table.from_pylist(rows[::-1]))
    assert one.digest() == two.digest()
    assert one.batch([2, 5]).candidates == two.batch([2, 5]).candidates
    assert (one.lines([5, 2]), two.lines([5, 2])) == ([2, 5], [1, 4])
    rows[3]["negatives"] = ["other"]
    assert Pairs(pa.Table.from_pylist(rows)).digest() != one.digest()


def test_a_longer_plan_begins_like_the_shorter_and_an_epoch_takes_each_pair_once() -> None:
    rows = plan(pairs=10, batch_size=4, steps=5, seed=3)
    assert rows.shape == (5, 4)
    assert sorted(rows.ravel()[:10]) == sorted(rows.ravel()[10:]) == list(range(10))
    assert (plan(10, 4, 3, 3) == rows[:3]).all()
    assert (plan(10, 4, 5, 4) != rows).any()


def test_batch_is_never_larger_than_all_pairs() -> None:
    assert plan(pairs=3, batch_size=16, steps=2, seed=0).shape == (2, 3)


def test_pairs_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(ValueError, match="lack the column negatives"):
        Pairs(pa.table({"query": ["q"], "positive": ["p"]}))
    with pytest.raises(ValueError, match="no training pair"):
        Pairs(pa.Table.from_pylist([pair("q", "p", "n")]).slice(0, 0))
