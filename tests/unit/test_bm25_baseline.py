import math

import pytest

from platform_assets.evaluation.bm25 import Bm25Index

TEXTS = {
    "cats": "Cats purr when cats are fed",
    "dogs": "Dogs bark at passing postmen",
    "both": "Dogs chase cats through gardens",
}


@pytest.fixture
def index() -> Bm25Index:
    return Bm25Index(list(TEXTS), list(TEXTS.values()))


def test_best_texts_come_first(index: Bm25Index) -> None:
    cats, dogs = index.search(["cats", "a dog of dogs barks: dogs bark"], k=3)
    assert [name for name, _ in cats] == ["cats", "both"]
    assert [name for name, _ in dogs] == ["dogs", "both"]


def test_score_is_lucene_bm25(index: Bm25Index) -> None:
    ((_, score),) = index.search(["purr"], k=1)[0]
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    lengths = {"cats": 5, "dogs": 4, "both": 5}  # without stop words
    average = sum(lengths.values()) / 3
    assert score == pytest.approx(idf / (1 + 1.5 * (0.25 + 0.75 * 5 / average)), rel=1e-5)


def test_only_texts_that_share_a_word_are_found(index: Bm25Index) -> None:
    assert index.search(["zebra", "", "the of and"], k=3) == [[], [], []]


def test_k_bounds_the_hits(index: Bm25Index) -> None:
    assert len(index.search(["cats dogs"], k=2)[0]) == 2
    assert len(index.search(["cats dogs"], k=100)[0]) == 3


def test_ties_fall_to_the_smaller_id_whatever_the_order() -> None:
    ids = [f"t{n:04}" for n in range(2000)]
    texts = ["same words here", "other words than here said"] * 1000
    forward = Bm25Index(ids, texts).search(["words"], k=1100)[0]
    backward = Bm25Index(ids[::-1], texts[::-1]).search(["words"], k=1100)[0]
    assert forward == backward
    assert [name for name, _ in forward] == [*ids[::2], *ids[1:200:2]]


def test_texts_of_stop_words_find_nothing() -> None:
    assert Bm25Index(["a"], ["the and of"]).search(["the", "cat"], k=5) == [[], []]


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    Bm25Index(list(TEXTS), list(TEXTS.values())).search(["cats"] * 100, k=3)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_nothing_to_index_is_an_error() -> None:
    with pytest.raises(ValueError, match="chunks first"):
        Bm25Index([], [])


@pytest.mark.parametrize("ids", [["a"], ["a", "a"]])
def test_ids_that_do_not_match_are_an_error(ids: list[str]) -> None:
    with pytest.raises(ValueError, match="distinct ids"):
        Bm25Index(ids, ["one text", "another text"])
