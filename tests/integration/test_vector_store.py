"""One suite for every vector store: the embedded engine, and the server's adapter.

No server is at hand, so the adapter runs on its client's local mode; the test ids say so.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from uuid import UUID

import numpy as np
import pytest

from resources.vector_store import (
    AlreadyBuiltError,
    Collection,
    Point,
    Retriever,
    SearchFilter,
    SearchRequest,
    Served,
    VectorStore,
)
from resources.vector_store.qdrant_edge import EdgeStore

pytestmark = pytest.mark.filterwarnings("ignore:.*[Ll]ocal")

DIMENSIONS = 8
WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"]


@pytest.fixture(params=["embedded", "server-adapter-on-local-mode"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    if request.param == "embedded":
        yield EdgeStore(tmp_path / "vectors")
        return
    from qdrant_client import QdrantClient

    from resources.vector_store.qdrant_server import ServerStore

    client = QdrantClient(path=str(tmp_path / "local"))
    yield ServerStore(client)
    client.close()


def point(number: int, text: str | None = None) -> Point:
    """Point `number` points along axis `number`, with a little of the next axis."""
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    vector[number % DIMENSIONS] = 1.0
    vector[(number + 1) % DIMENSIONS] = 0.1
    text = text if text is not None else f"{WORDS[number % 8]} document {number}"
    heading = ["Guide", f"Part {number % 2}"]
    payload: dict[str, str | int | list[str] | None] = {
        "doc_id": f"d{number}",
        "key": f"docs/part{number % 2}/{number}.md",
        "page": number if number % 2 else None,
        "heading": heading,
    }
    row = (vector / np.linalg.norm(vector)).tolist()
    return Point(point_id(number), f"f{number}:{text}", row, text, text, payload)


def point_id(number: int) -> str:
    return str(UUID(int=number + 1))


def axis(number: int) -> list[float]:
    return np.eye(DIMENSIONS, dtype=np.float32)[number].tolist()  # type: ignore[no-any-return]


def built(store: VectorStore, name: str, numbers: range = range(8)) -> Collection:
    with store.build(name, DIMENSIONS) as builder:
        builder.upsert(point(n) for n in numbers)
        builder.finish()
    return store.open(name)


def contents(collection: Collection) -> dict[str, object]:
    """Everything a reader can learn of each point."""
    fingerprints = collection.fingerprints()
    rows = collection.vectors(sorted(fingerprints))
    query = [1.0] * DIMENSIONS
    hits = collection.search(SearchRequest(query, "", Retriever.DENSE, 1000, exact=True))
    assert len(hits) == len(fingerprints)
    stored = {h.point_id: (h.text, h.payload) for h in hits}
    read = collection.points(sorted(fingerprints))
    assert [h.point_id for h in read] == sorted(fingerprints)
    assert {h.point_id: (h.text, h.payload) for h in read} == stored
    return {
        x: (fingerprints[x], row.tolist(), stored[x])
        for x, row in zip(sorted(fingerprints), rows, strict=True)
    }


def test_a_finished_collection_is_listed_and_read(store: VectorStore) -> None:
    assert store.collections() == []
    collection = built(store, "b")
    built(store, "a", range(2))
    assert store.collections() == ["a", "b"]
    assert collection.fingerprints() == {point_id(n): point(n).fingerprint for n in range(8)}
    assert collection.ids() == sorted(collection.fingerprints())
    wanted = [point_id(5), point_id(0)]
    expected = np.asarray([point(5).vector, point(0).vector], dtype=np.float32)
    rows = collection.vectors(wanted)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert collection.vectors([]).shape == (0, DIMENSIONS)


def test_an_unknown_point_has_no_vector(store: VectorStore) -> None:
    with pytest.raises(LookupError, match=point_id(99)):
        built(store, "a").vectors([point_id(1), point_id(99)])
    with pytest.raises(LookupError, match=point_id(99)):
        built(store, "b").points([point_id(1), point_id(99)])


def test_nothing_is_read_before_it_is_finished(store: VectorStore) -> None:
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert([point(1)])
        assert store.collections() == []
        with pytest.raises(LookupError, match="no finished collection a"):
            store.open("a")


@pytest.mark.parametrize("exact", [False, True])
def test_dense_search_ranks_by_cosine(store: VectorStore, exact: bool) -> None:
    hits = built(store, "a").search(SearchRequest(axis(3), "", Retriever.DENSE, 3, exact=exact))
    assert [h.point_id for h in hits[:2]] == [point_id(3), point_id(2)]
    assert hits[0].score == pytest.approx(1 / np.sqrt(1.01), abs=1e-5)
    assert hits[0].text == "delta document 3"
    assert hits[0].payload == point(3).payload
    assert len(hits) == 3


def test_bm25_search_needs_no_vector_and_stems(store: VectorStore) -> None:
    collection = built(store, "a")
    hits = collection.search(SearchRequest(None, "the HOTELS", Retriever.BM25, 5))
    assert [h.point_id for h in hits] == [point_id(7)]
    assert hits[0].score > 0


def test_rare_words_weigh_more(store: VectorStore) -> None:
    hits = built(store, "a").search(SearchRequest(None, "document golf", Retriever.BM25, 8))
    assert len(hits) == 8
    assert hits[0].point_id == point_id(6)


def test_bm25_reads_the_sparse_text(store: VectorStore) -> None:
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert([replace(point(1), text="body", sparse_text="Installation body"), point(2)])
        builder.finish()
    hits = store.open("a").search(SearchRequest(None, "installation", Retriever.BM25, 5))
    assert [h.text for h in hits] == ["body"]


def test_hybrid_search_adds_scores_on_a_common_scale(store: VectorStore) -> None:
    collection = built(store, "a")
    query = [0.05, 0.1, 0.2, 0.9, 0.4, 0.3, 0.15, 0.6]
    hits = collection.search(SearchRequest(query, "golf", Retriever.HYBRID, 8))
    by_id = {h.point_id: h.score for h in hits}
    dense = collection.scores(SearchRequest(query, "", Retriever.DENSE, 8))
    spread = 6 * stdev(dense.values())
    expected = {x: 0.5 + (score - mean(dense.values())) / spread for x, score in dense.items()}
    expected[point_id(6)] += 0.5  # the only hit of BM25 stands in the middle of its scale
    assert by_id == pytest.approx(expected, rel=1e-4)
    assert hits[0].point_id == point_id(6)


def test_a_query_of_stop_words_leaves_hybrid_to_the_vector(store: VectorStore) -> None:
    collection = built(store, "a")
    assert collection.search(SearchRequest(None, "the of and", Retriever.BM25, 5)) == []
    hits = collection.search(SearchRequest(axis(4), "the of and", Retriever.HYBRID, 3))
    assert hits[0].point_id == point_id(4)


@pytest.mark.parametrize("retriever", list(Retriever))
@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        (None, set(range(8))),
        (SearchFilter(), set(range(8))),
        (SearchFilter(key_prefix="docs/"), set(range(8))),
        (SearchFilter(key_prefix="docs/part1/"), {1, 3, 5, 7}),
        (SearchFilter(key_prefix="docs/part1/3"), {3}),
        (SearchFilter(key_prefix="part1"), set()),
        (SearchFilter(heading="Guide"), set(range(8))),
        (SearchFilter(heading="Part 0"), {0, 2, 4, 6}),
        (SearchFilter(heading="Part"), set()),
        (SearchFilter(key_prefix="docs/part1/", heading="Part 0"), set()),
    ],
)
def test_filters(
    store: VectorStore, retriever: Retriever, where: SearchFilter | None, numbers: set[int]
) -> None:
    hits = built(store, "a").search(SearchRequest(axis(1), "document", retriever, 20, where))
    assert {h.point_id for h in hits} == {point_id(n) for n in numbers}


@pytest.mark.parametrize("retriever", [Retriever.DENSE, Retriever.HYBRID])
@pytest.mark.parametrize("vector", [None, [1.0] * (DIMENSIONS + 1)])
def test_a_query_vector_must_fit(
    store: VectorStore, retriever: Retriever, vector: list[float] | None
) -> None:
    with pytest.raises(ValueError, match=f"needs a query vector of {DIMENSIONS} dimensions"):
        built(store, "a").search(SearchRequest(vector, "x", retriever, 5))


@pytest.mark.parametrize("retriever", list(Retriever))
def test_an_empty_collection_has_no_hits(store: VectorStore, retriever: Retriever) -> None:
    collection = built(store, "a", range(0))
    assert collection.fingerprints() == {}
    assert collection.search(SearchRequest(axis(0), "alpha", retriever, 5)) == []


def test_a_wave_with_a_bad_point_stores_nothing(store: VectorStore) -> None:
    with store.build("a", DIMENSIONS) as builder:
        with pytest.raises(ValueError, match="2 dimensions; the collection has 8"):
            builder.upsert([point(1), replace(point(2), vector=[0.0, 1.0])])
        assert builder.fingerprints() == {}


def test_an_empty_wave_is_nothing(store: VectorStore) -> None:
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert([])
        builder.delete([])
        assert builder.fingerprints() == {}


@pytest.mark.parametrize(
    "text", ["", "\x00", "日本語 テキスト", "e\u0301cole 🎉 \u202e\ufeff", "x" * 200_000]
)
def test_odd_text_comes_back_as_it_was(store: VectorStore, text: str) -> None:
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert([point(1, text)])
        builder.finish()
    hits = store.open("a").search(SearchRequest(axis(1), text, Retriever.HYBRID, 5))
    assert [h.text for h in hits] == [text]


def test_a_lone_surrogate_is_refused(store: VectorStore) -> None:
    with store.build("a", DIMENSIONS) as builder:
        with pytest.raises(ValueError, match="surrogates not allowed"):
            builder.upsert([point(1), point(2, "\ud800")])
        assert builder.fingerprints() == {}


def test_upserting_again_replaces_everything(store: VectorStore) -> None:
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert([point(1), point(2)])
        builder.upsert([replace(point(5, "new words"), point_id=point_id(1))])
        builder.finish()
    collection = store.open("a")
    assert collection.fingerprints()[point_id(1)] == "f5:new words"
    np.testing.assert_allclose(collection.vectors([point_id(1)])[0], point(5).vector, atol=1e-6)
    assert collection.search(SearchRequest(None, "bravo", Retriever.BM25, 5)) == []
    hits = collection.search(SearchRequest(None, "words", Retriever.BM25, 5))
    assert [h.payload["key"] for h in hits] == ["docs/part1/5.md"]


def test_deleted_points_are_gone_and_unknown_ids_are_passed_over(store: VectorStore) -> None:
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert(point(n) for n in range(4))
        builder.delete([point_id(0), point_id(77)])
        assert set(builder.fingerprints()) == {point_id(n) for n in (1, 2, 3)}
        builder.finish()
    hits = store.open("a").search(SearchRequest(axis(0), "alpha document", Retriever.HYBRID, 10))
    assert {h.point_id for h in hits} == {point_id(n) for n in (1, 2, 3)}


def test_a_clone_with_the_difference_equals_a_fresh_build(store: VectorStore) -> None:
    before = contents(built(store, "old"))
    with store.build("new", DIMENSIONS, clone_from="old") as builder:
        assert set(builder.fingerprints()) == {point_id(n) for n in range(8)}
        builder.delete([point_id(0)])
        builder.upsert([point(3, "changed"), point(9)])
        builder.finish()
    with store.build("fresh", DIMENSIONS) as builder:
        builder.upsert([point(n) for n in (1, 2, 4, 5, 6, 7, 9)] + [point(3, "changed")])
        builder.finish()
    assert contents(store.open("new")) == contents(store.open("fresh"))
    assert contents(store.open("old")) == before


@pytest.mark.parametrize("clone_from", ["absent", "other-dimensions"])
def test_a_clone_of_what_does_not_fit_starts_empty(store: VectorStore, clone_from: str) -> None:
    with store.build("other-dimensions", 2) as builder:
        builder.finish()
    with store.build("a", DIMENSIONS, clone_from=clone_from) as builder:
        assert builder.fingerprints() == {}
        builder.upsert([point(1)])
        builder.finish()
    assert set(store.open("a").fingerprints()) == {point_id(1)}


def test_an_abandoned_build_is_taken_up(store: VectorStore) -> None:
    built(store, "old", range(4))
    with store.build("a", DIMENSIONS, clone_from="old") as builder:
        builder.delete([point_id(0)])
        builder.upsert([point(5)])
    with store.build("a", DIMENSIONS, clone_from="old") as builder:
        assert set(builder.fingerprints()) == {point_id(n) for n in (1, 2, 3, 5)}


def test_an_abandoned_build_of_other_dimensions_begins_anew(store: VectorStore) -> None:
    with store.build("a", 2) as builder:
        builder.upsert([replace(point(1), vector=[0.0, 1.0])])
    with store.build("a", DIMENSIONS) as builder:
        assert builder.fingerprints() == {}


def test_a_finished_collection_is_not_built_again(store: VectorStore) -> None:
    built(store, "a")
    with pytest.raises(ValueError, match="a is finished and never changes"):
        store.build("a", DIMENSIONS)
    assert len(store.open("a").fingerprints()) == 8


def test_dropping(store: VectorStore) -> None:
    built(store, "a")
    with store.build("b", DIMENSIONS) as builder:
        builder.upsert([point(1)])
    for name in ("a", "b", "absent"):
        store.drop(name)
    assert store.collections() == []
    with pytest.raises(LookupError, match="no finished collection a"):
        store.open("a")
    for name in ("a", "b"):
        with store.build(name, DIMENSIONS) as builder:
            assert builder.fingerprints() == {}


def test_an_alias_moves_only_by_switching_and_can_go_back(store: VectorStore) -> None:
    first = Served("one", "minilm", Retriever.DENSE, "record-1")
    second = Served("two", "minilm-tuned", Retriever.HYBRID, "record-2")
    built(store, "one", range(2))
    assert (store.served("corpus"), store.previous("corpus")) == (None, None)
    store.switch("corpus", first)
    assert (store.served("corpus"), store.previous("corpus")) == (first, None)
    built(store, "two", range(3))
    assert store.served("corpus") == first
    store.switch("corpus", second)
    store.switch("corpus", second)
    assert (store.served("corpus"), store.previous("corpus")) == (second, first)
    back = store.previous("corpus")
    assert back is not None
    assert len(store.open(back.collection).fingerprints()) == 2
    store.switch("corpus", back)
    assert (store.served("corpus"), store.previous("corpus")) == (first, second)
    assert store.served("other") is None


def test_an_alias_points_at_finished_collections_only(store: VectorStore) -> None:
    with (
        store.build("one", DIMENSIONS),
        pytest.raises(LookupError, match="no finished collection one"),
    ):
        store.switch("corpus", Served("one", "minilm", Retriever.DENSE, "r"))
    assert store.served("corpus") is None


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.build("../up", 2),
        lambda s: s.build("a", 2, clone_from="../up"),
        lambda s: s.open("../up"),
        lambda s: s.gather("../up", ["a"]),
        lambda s: s.gather("a", ["../up"]),
        lambda s: s.parts("../up"),
        lambda s: s.drop("../up"),
        lambda s: s.served("../up"),
        lambda s: s.previous("../up"),
        lambda s: s.switch("../up", Served("a", "e", Retriever.DENSE, "r")),
    ],
)
def test_names_are_slugs(store: VectorStore, call: Callable[[VectorStore], object]) -> None:
    with pytest.raises(ValueError, match="cannot name a collection"):
        call(store)


def test_an_alias_forgets_what_is_to_go(store: VectorStore) -> None:
    ends = [Served(name, "minilm", Retriever.DENSE, "0" * 64) for name in ("a", "b")]
    for end in ends:
        built(store, end.collection, range(2))
        store.switch("corpus", end)
    store.forget("corpus", "c")
    assert (store.served("corpus"), store.previous("corpus")) == (ends[1], ends[0])
    store.forget("corpus", "a")
    assert (store.served("corpus"), store.previous("corpus")) == (ends[1], None)
    store.forget("corpus", "b")
    assert store.served("corpus") is None
    store.forget("never-switched", "b")
    store.switch("corpus", ends[0])
    assert store.served("corpus") == ends[0]


def test_unfinished_builds_are_listed_until_they_are_dropped(store: VectorStore) -> None:
    built(store, "finished", range(2))
    with store.build("begun", DIMENSIONS) as builder:
        builder.upsert([point(1)])
    assert store.unfinished() == ["begun"]
    assert store.collections() == ["finished"]
    store.drop("begun")
    assert store.unfinished() == []


def gathered(
    store: VectorStore, name: str, numbers: range = range(8), parts: int = 3
) -> Collection:
    """A collection of some points, dealt out to parts."""
    names = [f"{name}-{part}" for part in range(parts)]
    for part, part_name in enumerate(names):
        built(store, part_name, numbers[part::parts])
    store.gather(name, names)
    return store.open(name)


def test_a_gathered_collection_reads_like_a_plain_one(store: VectorStore) -> None:
    plain, collection = built(store, "plain"), gathered(store, "whole")
    assert contents(collection) == contents(plain)
    assert store.collections() == ["plain", "whole", "whole-0", "whole-1", "whole-2"]
    assert store.parts("whole") == ("whole-0", "whole-1", "whole-2")
    assert store.parts("plain") == ("plain",)
    wanted = [point_id(5), point_id(0), point_id(5)]
    np.testing.assert_array_equal(collection.vectors(wanted), plain.vectors(wanted))
    assert collection.points(wanted) == plain.points(wanted)
    assert collection.vectors([]).shape == (0, DIMENSIONS)
    assert collection.points([]) == []
    keys = [hit.payload["key"] for hit in plain.points(wanted)]
    assert collection.values("key", wanted) == plain.values("key", wanted) == keys
    assert collection.values("key", []) == []
    for read in (collection.vectors, collection.points, partial(collection.values, "key")):
        with pytest.raises(LookupError, match=point_id(99)):
            read([point_id(1), point_id(99)])


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("where", [None, SearchFilter(key_prefix="docs/part1/")])
def test_a_dense_search_of_parts_finds_what_one_of_all_points_finds(
    store: VectorStore, where: SearchFilter | None, exact: bool
) -> None:
    plain, collection = built(store, "plain"), gathered(store, "whole")
    query = [0.05, 0.1, 0.2, 0.9, 0.4, 0.3, 0.15, 0.6]
    for limit in (1, 3, 20):
        request = SearchRequest(query, "", Retriever.DENSE, limit, where, exact)
        assert collection.search(request) == plain.search(request)


@pytest.mark.parametrize("retriever", list(Retriever))
def test_scores_are_those_of_a_search(store: VectorStore, retriever: Retriever) -> None:
    query = [0.05, 0.1, 0.2, 0.9, 0.4, 0.3, 0.15, 0.6]
    for collection in (built(store, "plain"), gathered(store, "whole")):
        for limit in (1, 3, 20):
            request = SearchRequest(query, "golf document", retriever, limit)
            hits, scores = collection.search(request), collection.scores(request)
            assert scores == {hit.point_id: hit.score for hit in hits}


def test_bm25_weighs_words_by_their_rarity_in_each_part(store: VectorStore) -> None:
    collection = gathered(store, "whole", parts=2)  # even numbers, odd numbers
    hits = collection.search(SearchRequest(None, "golf document", Retriever.BM25, 8))
    assert hits[0].point_id == point_id(6)
    assert len(hits) == 8
    [alone] = store.open("whole-0").search(SearchRequest(None, "golf document", Retriever.BM25, 1))
    assert hits[0] == alone


@pytest.mark.parametrize("retriever", list(Retriever))
@pytest.mark.parametrize("text", ["golf", "golf document", "document", "the of and"])
def test_what_is_gathered_from_one_part_is_fused_like_the_database_does(
    store: VectorStore, retriever: Retriever, text: str
) -> None:
    plain = built(store, "plain", range(7))
    store.gather("whole", ["plain"])
    collection = store.open("whole")
    query = [0.05, 0.1, 0.2, 0.9, 0.4, 0.3, 0.15, 0.6]
    for limit in (2, 7):
        request = SearchRequest(query, text, retriever, limit)
        ours, theirs = collection.search(request), plain.search(request)
        assert [h.point_id for h in ours] == [h.point_id for h in theirs]
        assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], abs=1e-5)
        assert [(h.text, h.payload) for h in ours] == [(h.text, h.payload) for h in theirs]


def test_an_outlier_is_beyond_the_scale_in_both(store: VectorStore) -> None:
    """Deeper than what enters the fusion, and one hit so far off that a clamp would show."""
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(150, DIMENSIONS)) * 0.05
    rows[:, 0] = 1
    rows[0] = np.eye(DIMENSIONS)[7]
    with store.build("plain", DIMENSIONS) as builder:
        builder.upsert(
            replace(point(n, f"word {n}"), vector=(row / np.linalg.norm(row)).tolist())
            for n, row in enumerate(rows)
        )
        builder.finish()
    store.gather("whole", ["plain"])
    found = [
        store.open(name).search(SearchRequest(axis(7), "word 3 5", Retriever.HYBRID, 5))
        for name in ("whole", "plain")
    ]
    assert found[0][0].score > 1.5
    assert [h.point_id for h in found[0]][:3] == [h.point_id for h in found[1]][:3]
    scores = [[h.score for h in hits] for hits in found]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_hybrid_search_fuses_the_best_of_all_parts(store: VectorStore) -> None:
    plain, collection = built(store, "plain"), gathered(store, "whole", parts=4)
    query = [0.05, 0.1, 0.2, 0.9, 0.4, 0.3, 0.15, 0.6]
    request = SearchRequest(query, "golf", Retriever.HYBRID, 8)  # one hit of BM25, so 0.5 in both
    ours, theirs = collection.search(request), plain.search(request)
    assert {h.point_id: h.score for h in ours} == pytest.approx(
        {h.point_id: h.score for h in theirs}, abs=1e-5
    )


@pytest.mark.parametrize("retriever", [Retriever.DENSE, Retriever.HYBRID])
def test_a_query_vector_must_fit_the_parts(store: VectorStore, retriever: Retriever) -> None:
    with pytest.raises(ValueError, match=f"needs a query vector of {DIMENSIONS} dimensions"):
        gathered(store, "whole").search(SearchRequest(None, "x", retriever, 5))


def test_parts_are_shared_and_outlive_what_consists_of_them(store: VectorStore) -> None:
    gathered(store, "old", parts=2)
    with store.build("new-1", DIMENSIONS, clone_from="old-1") as builder:
        builder.upsert([point(3, "changed")])
        builder.finish()
    store.gather("new", ["old-0", "new-1"])
    store.switch("corpus", Served("new", "minilm", Retriever.DENSE, "r"))
    store.drop("old")
    store.drop("old-1")
    assert store.collections() == ["new", "new-1", "old-0"]
    hits = store.open("new").search(SearchRequest(None, "document changed", Retriever.BM25, 9))
    texts = {h.text for h in hits}
    assert len(texts) == 8
    assert "changed" in texts
    with pytest.raises(LookupError, match="no finished collection old"):
        store.open("old")
    with pytest.raises(LookupError, match="no finished collection old"):
        store.parts("old")


def test_a_collection_whose_part_is_gone_is_not_opened(store: VectorStore) -> None:
    gathered(store, "whole", parts=2)
    store.drop("whole-1")
    for call in (
        lambda: store.open("whole"),
        lambda: store.switch("corpus", Served("whole", "minilm", Retriever.DENSE, "r")),
    ):
        with pytest.raises(LookupError, match="no finished collection whole-1"):
            call()
    assert store.served("corpus") is None
    built(store, "whole-1", range(1, 8, 2))
    assert len(store.open("whole").fingerprints()) == 8


def test_only_finished_plain_collections_are_gathered(store: VectorStore) -> None:
    gathered(store, "whole", parts=2)
    with store.build("begun", DIMENSIONS) as builder:
        builder.upsert([point(1)])
    for parts in (["whole-0", "begun"], ["absent"], ["whole"]):
        with pytest.raises(LookupError):
            store.gather("bad", parts)
    with pytest.raises(ValueError, match="no parts"):
        store.gather("bad", [])
    assert "bad" not in store.collections()


def test_a_gathered_collection_never_changes(store: VectorStore) -> None:
    gathered(store, "whole", parts=2)
    store.gather("whole", ["whole-0", "whole-1"])
    for call in (
        lambda: store.gather("whole", ["whole-0"]),
        lambda: store.gather("whole-0", ["whole-1"]),
        lambda: store.build("whole", DIMENSIONS),
    ):
        with pytest.raises(AlreadyBuiltError, match="is finished"):
            call()
    assert store.unfinished() == []
    assert len(store.open("whole").fingerprints()) == 8


def test_a_clone_of_what_is_gathered_starts_empty(store: VectorStore) -> None:
    gathered(store, "whole", parts=2)
    with store.build("new", DIMENSIONS, clone_from="whole") as builder:
        assert builder.fingerprints() == {}


def test_an_alias_moves_between_gathered_and_plain_collections(store: VectorStore) -> None:
    built(store, "plain")
    gathered(store, "whole", parts=2)
    ends = [Served(name, "minilm", Retriever.DENSE, name) for name in ("plain", "whole")]
    for end in (*ends, *ends):
        store.switch("corpus", end)
        assert store.served("corpus") == end
    assert store.previous("corpus") == ends[0]
    store.forget("corpus", "whole")
    assert store.served("corpus") is None
