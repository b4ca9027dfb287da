import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.evaluation.metrics import (
    collapse,
    ndcg,
    recall,
    recall_curve,
    reciprocal_rank,
)

DOCUMENTS = [f"d{n}" for n in range(12)]
judgements = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1).filter(
    lambda judged: any(judged.values())
)
rankings = st.lists(st.sampled_from(DOCUMENTS), unique=True)
cutoffs = st.integers(1, 15)


def test_collapse_ranks_documents_by_their_best_chunk() -> None:
    hits = [("a", 0.4), ("b", 0.9), ("a", 0.95), ("c", 0.1), ("b", 0.2), ("a", 0.05)]
    assert collapse(hits) == ["a", "b", "c"]


def test_collapse_keeps_the_order_of_equal_scores() -> None:
    assert collapse([("z", 0.5), ("a", 0.5), ("m", 0.7)]) == ["m", "z", "a"]
    assert collapse([]) == []


def test_ndcg_by_hand() -> None:
    judged = {"a": 2, "b": 1, "c": 1, "x": 0}
    gained = 1 / math.log2(2) + 2 / math.log2(4)
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(["b", "x", "a"], judged) == pytest.approx(gained / ideal)


def test_ndcg_gain_is_linear_in_the_grade() -> None:
    judged = {"a": 3, "b": 1}
    swapped = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert ndcg(["b", "a"], judged) == pytest.approx(swapped)


def test_ndcg_ideal_is_cut_off_too() -> None:
    judged = dict.fromkeys("abcdef", 1)
    assert ndcg(["a", "b"], judged, k=2) == pytest.approx(1.0)


def test_recall_by_hand() -> None:
    judged = {"a": 1, "b": 2, "c": 0, "d": 1}
    assert recall(["c", "a", "x", "b"], judged, 2) == pytest.approx(1 / 3)
    assert recall_curve(["c", "a", "x", "b"], judged, 6).tolist() == pytest.approx(
        [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3]
    )


def test_reciprocal_rank_by_hand() -> None:
    judged = {"a": 1, "b": 2, "c": 0}
    assert reciprocal_rank(["c", "x", "b", "a"], judged) == pytest.approx(1 / 3)
    assert reciprocal_rank(["c", "x", "b", "a"], judged, k=2) == 0.0


def test_an_empty_ranking_scores_nothing() -> None:
    judged = {"a": 1}
    assert ndcg([], judged) == recall([], judged, 10) == reciprocal_rank([], judged) == 0.0


def test_a_negative_grade_is_not_relevant() -> None:
    judged = {"a": 1, "spam": -2}
    assert ndcg(["spam", "a"], judged) == pytest.approx(1 / math.log2(3))
    assert recall(["spam"], judged, 1) == 0.0


def test_a_query_with_nothing_relevant_is_an_error() -> None:
    with pytest.raises(ValueError, match="No judged document is relevant"):
        ndcg(["a"], {"a": 0})


def test_a_document_ranked_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="collapse"):
        ndcg(["a", "a"], {"a": 1, "b": 1})


def test_a_cutoff_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        recall(["a"], {"a": 1}, 0)


@given(judgements, rankings, cutoffs)
def test_metrics_are_bounded(judged: dict[str, int], ranked: list[str], k: int) -> None:
    for value in (ndcg(ranked, judged, k), recall(ranked, judged, k)):
        assert 0.0 <= value <= 1.0 + 1e-12
    assert 0.0 <= reciprocal_rank(ranked, judged, k) <= 1.0


@given(judgements, cutoffs)
def test_the_perfect_ranking_scores_one(judged: dict[str, int], k: int) -> None:
    perfect = sorted(judged, key=judged.__getitem__, reverse=True)
    assert ndcg(perfect, judged, k) == pytest.approx(1.0)
    assert reciprocal_rank(perfect, judged, k) == 1.0
    assert recall(perfect, judged, len(perfect)) == 1.0


@given(judgements, rankings, cutoffs, st.integers(0, 12))
def test_an_irrelevant_document_never_helps(
    judged: dict[str, int], ranked: list[str], k: int, place: int
) -> None:
    worse = [*ranked[:place], "irrelevant", *ranked[place:]]
    assert ndcg(worse, judged, k) <= ndcg(ranked, judged, k) + 1e-12
    assert recall(worse, judged, k) <= recall(ranked, judged, k)
    assert reciprocal_rank(worse, judged, k) <= reciprocal_rank(ranked, judged, k)
    assert ndcg([*ranked, "irrelevant"], judged, k) == ndcg(ranked, judged, k)


@given(judgements, rankings)
def test_recall_never_falls_with_k(judged: dict[str, int], ranked: list[str]) -> None:
    assert (np.diff(recall_curve(ranked, judged, 15)) >= 0).all()
