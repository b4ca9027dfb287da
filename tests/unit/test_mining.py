"""Mined training pairs: the right positive, hard negatives, and nothing of a test document."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.evaluation.bm25 import Bm25Index
from platform_assets.queries import Query, Split, mining
from platform_assets.queries.mining import ChunkText, TrainingPair, held_out, mine
from resources.encoding import Vectors


def unit(rows: Sequence[Sequence[float]]) -> Vectors:
    vectors = np.array(rows, dtype=np.float32)
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def train(name: str, **judgements: int) -> Query:
    return Query(name, f"query {name}", "train", judgements, "derived")


def scored(*scores: float) -> Vectors:
    """Chunk vectors whose cosine with the query (1, 0) is each score."""
    return unit([(score, np.sqrt(1 - score**2)) for score in scores])


def chunks_of(*spec: tuple[str, str]) -> list[ChunkText]:
    return [ChunkText(f"c{row}", key, text) for row, (key, text) in enumerate(spec)]


AT_X = unit([(1, 0)])


def names(pair: TrainingPair) -> list[str]:
    return [chunk.chunk_id for chunk in pair.negatives]


def test_positive_is_the_judged_documents_best_chunk() -> None:
    chunks = chunks_of(("a", "1"), ("a", "2"), ("b", "3"), ("c", "4"))
    [pair] = mine([train("q", a=1)], AT_X, chunks, scored(0.5, 0.8, 0.9, 0.2), {}, tests=set())
    assert pair.positive.chunk_id == "c1"
    assert names(pair) == ["c3"]  # c2 beats the positive: probably an answer nobody judged


def test_negatives_alternate_between_the_two_rankings() -> None:
    chunks = chunks_of(("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"))
    lexical = {"q": ["c0", "c4", "c3"]}
    vectors = scored(0.9, 0.8, 0.7, 0.1, 0.05)
    [pair] = mine([train("q", a=1)], AT_X, chunks, vectors, lexical, tests=set())
    assert names(pair) == ["c1", "c2", "c4", "c3"]
    [pair] = mine([train("q", a=1)], AT_X, chunks, vectors, lexical, tests=set(), negatives=3)
    assert names(pair) == ["c1", "c2", "c4"]


def test_a_long_judged_document_does_not_hide_the_negatives() -> None:
    chunks = chunks_of(*(("a", f"part {row}") for row in range(150)), ("b", "other"))
    vectors = scored(0.9, *[0.5] * 149, 0.3)
    [pair] = mine([train("q", a=1)], AT_X, chunks, vectors, {}, tests=set())
    assert names(pair) == ["c150"]


def test_margin_skips_likely_answers() -> None:
    chunks = chunks_of(("a", "1"), ("b", "2"), ("c", "3"))
    arguments = ([train("q", a=1)], AT_X, chunks, scored(0.8, 0.77, 0.75), {"q": ["c1"]})
    assert names(mine(*arguments, tests=set(), margin=0.95)[0]) == ["c2"]
    assert names(mine(*arguments, tests=set(), margin=0.99)[0]) == ["c1", "c2"]


def test_equal_texts_are_neither_negative_to_themselves_nor_repeated() -> None:
    chunks = chunks_of(
        ("a", "same"), ("a", "other"), ("b", "same"), ("c", "other"), ("d", "x"), ("e", "x")
    )
    vectors = scored(0.9, 0.5, 0.4, 0.4, 0.3, 0.3)
    [pair] = mine([train("q", a=1)], AT_X, chunks, vectors, {}, tests=set())
    assert names(pair) == ["c4"]


def test_a_negative_best_score_still_bounds_its_negatives() -> None:
    chunks = chunks_of(("a", "1"), ("b", "2"), ("c", "3"))
    [pair] = mine([train("q", a=1)], AT_X, chunks, scored(-0.2, -0.195, -0.5), {}, tests=set())
    assert names(pair) == ["c2"]


def test_test_queries_and_foreign_vectors_are_refused() -> None:
    chunks = chunks_of(("a", "1"))
    asked = Query("q", "text", "test", {"a": 1}, "uploaded")
    with pytest.raises(ValueError, match="Only training queries"):
        mine([asked], AT_X, chunks, scored(1), {}, tests=set())
    with pytest.raises(ValueError, match="one vector for each"):
        mine([train("q", a=1)], AT_X, chunks, scored(1, 1), {}, tests=set())


KEYS = [f"doc{number}" for number in range(8)]
SPLITS: list[Split] = ["train", "test"]
WORDS = ["red", "green", "blue", "grey", "red dog"]
Case = tuple[list[Query], list[ChunkText], Vectors, Vectors]


def random_units(seed: int, rows: int) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(rows, 3)).tolist())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    keys = st.sampled_from(KEYS)
    chunks = chunks_of(*draw(st.lists(st.tuples(keys, st.sampled_from(WORDS)), min_size=1)))
    judged = st.dictionaries(keys, st.just(1), min_size=1, max_size=3)
    asked = st.tuples(st.sampled_from(WORDS), st.sampled_from(SPLITS), judged)
    queries = [
        Query(f"q{row}", text, split, judgements, "uploaded")
        for row, (text, split, judgements) in enumerate(draw(st.lists(asked, min_size=1)))
    ]
    seed = draw(st.integers(0, 2**16))
    return queries, chunks, random_units(seed, len(queries)), random_units(seed + 1, len(chunks))


def mined(case: Case) -> list[TrainingPair]:
    queries, chunks, query_vectors, chunk_vectors = case
    rows = [row for row, query in enumerate(queries) if query.split == "train"]
    asked = [queries[row] for row in rows]
    index = Bm25Index([chunk.chunk_id for chunk in chunks], [chunk.text for chunk in chunks])
    ranked = index.search([query.text for query in asked], 10)
    lexical = {
        query.query_id: [name for name, _ in hits]
        for query, hits in zip(asked, ranked, strict=True)
    }
    tests = held_out(queries, [chunk.key for chunk in chunks])
    return mine(asked, query_vectors[rows], chunks, chunk_vectors, lexical, tests=tests)


@settings(deadline=None)
@given(cases())
def test_nothing_of_a_test_document_is_ever_trained_on(case: Case) -> None:
    queries, chunks, *_ = case
    tested = {key for query in queries if query.split == "test" for key in query.judgements}
    texts = {chunk.text for chunk in chunks if chunk.key in tested}
    for pair in mined(case):
        for chunk in (pair.positive, *pair.negatives):
            assert chunk.key not in tested
            assert chunk.text not in texts


@settings(deadline=None)
@given(cases())
def test_positives_are_judged_and_negatives_are_not(case: Case) -> None:
    judged = {query.query_id: query.judgements for query in case[0]}
    pairs = mined(case)
    for pair in pairs:
        relevant = judged[pair.query_id]
        answers = {chunk.text for chunk in case[1] if chunk.key in relevant}
        assert pair.positive.key in relevant
        assert not {chunk.key for chunk in pair.negatives} & relevant.keys()
        assert not {chunk.text for chunk in pair.negatives} & answers
        assert len({chunk.text for chunk in pair.negatives}) == len(pair.negatives) <= 4


@settings(deadline=None)
@given(cases())
def test_block_size_changes_nothing(case: Case) -> None:
    expected = mined(case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "_BLOCK_VALUES", 1)
        assert mined(case) == expected
