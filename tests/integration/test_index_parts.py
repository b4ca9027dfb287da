"""A large index consists of parts: a change costs its bucket's part, and nothing else differs.

A corpus counts as large from a few chunks on here, so that small ones show it.
"""

import contextlib
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.erase import erase
from platform_assets.commands.materialize import Request, materialize
from platform_assets.commands.restore import as_of
from platform_assets.commands.rollback import rollback
from platform_assets.commands.trace import trace
from platform_assets.evaluation.part_hits import part_hits
from platform_assets.evaluation.refresh import DEPTH
from platform_assets.provenance import Ledger, Record
from platform_assets.queries.refresh import read_queries
from platform_assets.vector_indexes import measuring, parts, refresh
from platform_assets.vector_indexes.parts import WHOLE, is_large, part_of, parts_of
from platform_assets.vector_indexes.publish import drop_unserved
from resources.vector_store import Retriever, SearchRequest, Served
from resources.vector_store.qdrant_server import ServerStore
from resources.vector_store.records import CANDIDATES
from tests.every_byte import holders
from tests.faulty_vectors import FaultyVectors, Forgetful
from tests.spies import Platform, VectorsSpy

pytestmark = pytest.mark.slow

CORPUS = "herbarium"
PLANTS = (
    "arnica", "borage", "comfrey", "dill", "elder", "fennel", "gentian", "hyssop", "iris",
    "juniper", "knapweed", "lavender", "mallow", "nettle", "oregano", "primrose", "quince",
    "rosemary", "sage", "thyme", "valerian", "woodruff", "yarrow", "zinnia",
)  # fmt: skip
TO_SEARCH = "not (key:evaluation_plots or key:promoted_encoder)"


def sheet(plant: str, remark: str = "as before") -> str:
    text = f"# The {plant} of hedges\n\nThe {plant} flowers in summer, {remark}.\n\n"
    return text + f"## Uses of the {plant}\n\nA tea of {plant} was drunk for the cough.\n"


class Herbarium:
    """A corpus whose index is large, with what is known of it."""

    def __init__(self, platform: Platform, corpus: str = CORPUS) -> None:
        self.platform, self.corpus = platform, corpus
        self.vectors, self.calls = platform.state.vectors, platform.calls
        for plant in PLANTS:
            self.write(plant)
        self.materialize()

    def write(self, plant: str, remark: str = "as before") -> None:
        self.platform.write(self.corpus, f"{plant}.md", sheet(plant, remark))

    def materialize(self, select: str = TO_SEARCH) -> dict[str, Any]:
        rows = self.platform.materialize(self.corpus, select=select)
        return {asset: row for (asset, _), row in rows.items()}

    def index(self) -> Record:
        return self.platform.state.ledger.require("vector_index", f"{self.corpus}|minilm")

    def parts(self) -> dict[str, str]:
        return parts_of(self.index().details)

    def part_of(self, doc_id: str) -> str:
        """The part with a document's points."""
        (number,) = self.platform.state.warehouse.slices(CHUNKS, pa.array([doc_id])).to_pylist()
        return part_of(number)

    def served(self) -> Served:
        served = self.vectors.served(self.corpus)
        assert served is not None
        return served

    def points(self) -> set[str]:
        return set(self.vectors.open(self.served().collection).fingerprints())

    def chunk_ids(self, plant: str | None = None) -> set[str]:
        rows = self.platform.rows(CHUNKS, corpus=self.corpus)
        return {row["chunk_id"] for row in rows if plant in (None, row["key"][:-3])}

    def dense(self, text: str) -> list[tuple[str, float]]:
        """Dense hits of the served index, whichever retriever is served."""
        checkpoint = self.platform.state.ledger.require("checkpoints", "minilm")
        vector = self.platform.state.checkpoints.load(checkpoint).encode([text])[0].tolist()
        collection = self.vectors.open(self.served().collection)
        hits = collection.search(SearchRequest(vector, "", Retriever.DENSE, 12, exact=True))
        return [(hit.point_id, hit.score) for hit in hits]

    def traced(self) -> dict[str, str]:
        """Asset -> why its link is broken."""
        links = trace(self.platform.state, self.corpus)["links"]
        return {link["asset"]: link["why"] for link in links if not link["ok"]}


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LARGE", 8)


@pytest.fixture(scope="module")
def herbarium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Herbarium]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "LARGE", 8)
        yield Herbarium(Platform(tmp_path_factory.mktemp("herbarium"), patch))


def test_a_part_of_a_large_index_has_the_points_of_its_buckets(herbarium: Herbarium) -> None:
    found, served = herbarium.parts(), herbarium.served()
    assert len(found) > 8
    for row in herbarium.platform.rows(CHUNKS, corpus=CORPUS):
        points = herbarium.vectors.open(found[herbarium.part_of(row["doc_id"])]).ids()
        assert row["chunk_id"] in points
    assert herbarium.vectors.parts(served.collection) == tuple(found.values())
    assert herbarium.points() == herbarium.chunk_ids()
    assert not herbarium.traced()


def test_one_changed_document_builds_one_part(herbarium: Herbarium) -> None:
    before, old = herbarium.parts(), herbarium.chunk_ids()
    herbarium.write("fennel", "paler than before")
    rows = herbarium.materialize()
    after, new = herbarium.parts(), herbarium.chunk_ids()
    assert after.keys() == before.keys()
    [place] = [each for each in after if after[each] != before[each]]
    assert set(herbarium.calls.upserted) == new - old
    assert set(herbarium.calls.deleted) == old - new
    assert rows["vector_index"]["rows"] == len(new)
    assert rows["vector_index"]["added"] == len(new - old)
    assert rows["vector_index"]["removed"] == len(old - new)
    assert herbarium.points() == new
    assert not herbarium.traced()
    previous = herbarium.vectors.previous(CORPUS)
    assert previous is not None
    kept = {*before.values(), *after.values(), previous.collection, herbarium.served().collection}
    assert set(herbarium.vectors.collections()) == kept
    herbarium.write("fennel", "paler than ever")
    herbarium.materialize()
    assert before[place] not in herbarium.vectors.collections(), "no kept index consists of it"


def test_an_evaluation_finds_what_a_search_of_the_whole_index_finds(herbarium: Herbarium) -> None:
    state, index = herbarium.platform.state, herbarium.index()
    queries = [query.text for query in read_queries(state.warehouse, CORPUS, "test")]
    encoded = state.checkpoints.load(state.ledger.require("checkpoints", "minilm")).encode(queries)
    whole = herbarium.vectors.open(index.details["collection"])
    for depth in (3, DEPTH):  # fewer than a part has, and more than all have
        where = (state.warehouse, herbarium.vectors, state.lake)
        hits = part_hits(index, *where, queries, encoded, depth)
        for retriever in Retriever:
            for position, text in enumerate(queries):
                found = whole.search(
                    SearchRequest(encoded[position].tolist(), text, retriever, depth)
                )
                if retriever is Retriever.HYBRID and depth < CANDIDATES:
                    continue  # fuses longer lists
                wanted = [(hit.payload["doc_id"], pytest.approx(hit.score)) for hit in found]
                assert sorted(hits.ranking(retriever, position)) == sorted(wanted)
    assert queries


def test_an_evaluation_opens_the_changed_part_alone(
    herbarium: Herbarium, monkeypatch: pytest.MonkeyPatch
) -> None:
    herbarium.materialize()
    herbarium.write("sage", "bluer than before")
    herbarium.materialize("+key:vector_index")
    before = set(herbarium.parts().values())
    herbarium.write("sage", "bluer than ever")
    herbarium.materialize("+key:vector_index")
    [changed] = set(herbarium.parts().values()) - before
    opened: list[str] = []
    store = type(herbarium.vectors)
    real = store.open
    monkeypatch.setattr(store, "open", lambda self, name: opened.append(name) or real(self, name))
    herbarium.materialize("key:queries or key:retrieval_evaluation")
    assert set(opened) == {changed}
    folder = f"_lakeloom/part_hits/{CORPUS}|minilm/"
    assert len(list(herbarium.platform.state.lake.objects(folder))) == len(herbarium.parts())


def test_a_bucket_that_has_not_changed_is_neither_read_nor_measured_again(
    herbarium: Herbarium, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned: list[Any] = []
    measured: list[int] = []
    warehouse, real = herbarium.platform.state.warehouse, measuring.approximate_recall
    scan = type(warehouse).scan

    def counted_scan(self: Any, table: Any, *rest: Any, **options: Any) -> Any:
        caller = inspect.stack()[1].filename
        if table is CHUNKS and caller in (refresh.__file__, measuring.__file__):
            scanned.append(options.get("slices"))
        return scan(self, table, *rest, **options)

    def counted_recall(collection: Any, *rest: Any) -> float:
        measured.append(len(collection.ids()))
        return real(collection, *rest)

    monkeypatch.setattr(measuring, "approximate_recall", counted_recall)
    herbarium.write("sage", "grey")
    with monkeypatch.context() as patch:
        patch.setattr(type(warehouse), "scan", counted_scan)
        herbarium.materialize(select="+key:vector_index")
    rows = herbarium.platform.rows(CHUNKS)
    place = herbarium.part_of(next(r["doc_id"] for r in rows if r["key"] == "sage.md"))
    (compared, upserted, checked) = scanned
    assert {part_of(each) for each in compared} == {place}
    assert (upserted, checked) == (None, compared)
    assert len(measured) == 1
    herbarium.materialize()
    assert len(measured) == 1, "the gate takes the figures of the check"
    herbarium.materialize()
    assert herbarium.calls.none()
    assert len(measured) == 1


def test_lost_notes_cost_a_look_and_no_work(herbarium: Herbarium) -> None:
    shutil.rmtree(herbarium.platform.state.settings.home / "lake" / "_lakeloom" / "settled")
    before = herbarium.index()
    rows = herbarium.materialize(select="key:vector_index")
    assert herbarium.index() == before
    assert not any(rows["vector_index"]["work"].values())


def test_dense_hits_are_those_of_one_collection(
    herbarium: Herbarium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And back: both crossings of the bound build the index anew from the tables."""
    texts = ("a tea for the cough", "grey leaves in a hedge", "flowers in summer")
    large, points = [herbarium.dense(text) for text in texts], herbarium.points()
    chunks, before = len(points), set(herbarium.parts().values())
    monkeypatch.setattr(parts, "LARGE", 2 * chunks + 2)  # half of it is more than there are
    herbarium.materialize()
    assert set(herbarium.parts()) == {WHOLE}
    assert len(herbarium.calls.upserted) == chunks
    assert not herbarium.traced()
    small = [herbarium.dense(text) for text in texts]
    for ours, theirs in zip(small, large, strict=True):
        assert [x for x, _ in ours] == [x for x, _ in theirs]
        assert [s for _, s in ours] == pytest.approx([s for _, s in theirs], abs=1e-6)
    monkeypatch.setattr(parts, "LARGE", chunks - 1)
    herbarium.write("zinnia", "red")
    herbarium.materialize()
    assert len(herbarium.parts()) > 8
    [changed] = {part for part in herbarium.parts().values() if part not in before}
    points = set(herbarium.vectors.open(changed).fingerprints())
    assert set(herbarium.calls.upserted) == points, "the last parts are those of the index before"
    assert not herbarium.traced()
    assert herbarium.points() == herbarium.chunk_ids()


def test_the_bound_does_not_flap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LARGE", 100)

    def record(**details: str) -> Record:
        return Record(
            "vector_index", "c|e", None, "", 1, "1", details={"collection": "x"} | details
        )

    plain, parted = record(), record(parts="{}")
    assert [is_large(n, plain) for n in (50, 100, 101)] == [False, False, True]
    assert [is_large(n, None) for n in (100, 101)] == [False, True]
    assert [is_large(n, parted) for n in (49, 50, 100, 101)] == [False, True, True, True]


def test_a_deleted_document_may_take_its_part_along(herbarium: Herbarium) -> None:
    rows = herbarium.platform.rows(CHUNKS, corpus=CORPUS)
    homes: dict[str, set[str]] = {}
    for row in rows:
        homes.setdefault(herbarium.part_of(row["doc_id"]), set()).add(row["key"])
    place, keys = min(homes.items(), key=lambda home: len(home[1]))
    for key in keys:
        herbarium.platform.state.lake.delete(f"{CORPUS}/{key}")
    gone = {row["chunk_id"] for row in rows if row["key"] in keys}
    report = herbarium.materialize()["vector_index"]
    assert place not in herbarium.parts()
    assert (report["added"], report["removed"]) == (0, len(gone))
    assert herbarium.calls.upserted == []
    assert herbarium.points() == herbarium.chunk_ids()
    assert not herbarium.traced()
    for key in keys:
        herbarium.write(key.removesuffix(".md"))
    herbarium.materialize()
    assert place in herbarium.parts()


def test_a_rollback_serves_the_parts_of_then(herbarium: Herbarium) -> None:
    before, points = herbarium.served(), herbarium.points()
    herbarium.write("thyme", "creeping")
    herbarium.materialize()
    now, later = herbarium.served(), herbarium.points()
    assert now != before
    rollback(herbarium.platform.state, CORPUS)
    assert (herbarium.served(), herbarium.points()) == (before, points)
    rollback(herbarium.platform.state, CORPUS)
    assert (herbarium.served(), herbarium.points()) == (now, later)
    assert not herbarium.traced()


def test_a_past_state_is_restored_part_by_part(herbarium: Herbarium) -> None:
    then, points = herbarium.served(), herbarium.points()
    for remark in ("blue", "violet"):
        herbarium.write("iris", remark)
        herbarium.materialize()
    state = herbarium.platform.state
    assert then.collection not in herbarium.vectors.collections()
    with pytest.raises(LookupError, match="restore it first"):
        rollback(state, CORPUS, then.record[:12])
    request = as_of(state, Request([CORPUS], ["minilm"]), then.record[:12])
    answer = materialize(state, request, herbarium.platform.lines.append)
    [row] = answer["assets"]
    assert (row["asset"], row["failed"], row["warnings"]) == ("restored_index", None, [])
    assert row["work"]["upserted"] == len(points - herbarium.points())
    assert row["rows"] == len(points)
    rollback(state, CORPUS, then.record[:12])
    assert herbarium.points() == points
    rollback(state, CORPUS)


def test_parts_that_nothing_kept_consists_of_are_dropped(herbarium: Herbarium) -> None:
    stray = f"{CORPUS}.minilm.{'0' * 16}"
    with herbarium.vectors.build(stray, 384) as builder:
        builder.finish()
    kept = set(herbarium.vectors.collections()) - {stray}
    assert drop_unserved(CORPUS, herbarium.vectors, []) != []
    left = set(herbarium.vectors.collections())
    assert stray not in left
    ends = (herbarium.vectors.served(CORPUS), herbarium.vectors.previous(CORPUS))
    for end in ends:
        assert end is not None
        assert {end.collection, *herbarium.vectors.parts(end.collection)} <= left <= kept
    assert not herbarium.traced()


def test_an_altered_part_is_found(herbarium: Herbarium) -> None:
    """By tracing, and by the checks of the job that looks at everything."""
    root = herbarium.platform.state.settings.home / "vectors" / "collections"
    (one, other) = list(herbarium.parts().values())[:2]
    shutil.move(root / one, root / "aside")
    try:
        assert "no finished collection" in herbarium.traced()["vector_index"]
        measure = measuring.Measuring(
            herbarium.platform.state.lake, herbarium.platform.state.warehouse, herbarium.vectors
        )
        assert "is gone" in str(measure.id_fault(herbarium.index()))
        shutil.copytree(root / other, root / one)
        assert "was altered" in herbarium.traced()["vector_index"]
        afresh = measuring.Measuring(measure.lake, measure.warehouse, measure.vectors, afresh=True)
        assert "live chunks are missing" in str(afresh.id_fault(herbarium.index()))
    finally:
        shutil.rmtree(root / one)
        shutil.move(root / "aside", root / one)
    assert not herbarium.traced()


def test_what_is_bad_is_not_noted_and_what_is_gone_is_forgotten(herbarium: Herbarium) -> None:
    state, index = herbarium.platform.state, herbarium.index()
    faulty: Any = FaultyVectors(herbarium.vectors, lambda real: Forgetful(real, 1))
    places = (state.lake, state.warehouse)
    known = measuring.Measuring(*places, faulty)
    assert known.recall(index) == 1.0, "as it was measured before"
    afresh = measuring.Measuring(*places, faulty, afresh=True)
    assert afresh.recall(index) < measuring.RECALL_FLOOR
    assert known.recall(index) < measuring.RECALL_FLOOR, "its good figures went with that"
    assert measuring.Measuring(*places, herbarium.vectors).recall(index) == 1.0
    assert known.recall(index) == 1.0


def test_a_part_that_is_built_again_is_measured_again(
    herbarium: Herbarium, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    real = measuring.approximate_recall

    def counted(collection: Any, *rest: Any) -> float:
        measured.append(len(collection.fingerprints()))
        return real(collection, *rest)

    monkeypatch.setattr(measuring, "approximate_recall", counted)
    lost = herbarium.parts().popitem()[1]
    points = herbarium.vectors.open(lost).fingerprints()
    herbarium.vectors.drop(lost)
    herbarium.materialize(select="key:vector_index")
    assert herbarium.vectors.open(lost).fingerprints() == points
    assert set(herbarium.calls.upserted) == set(points)
    assert measured == [len(points)]


def test_parts_that_another_run_drops_are_built_again(
    herbarium: Herbarium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another encoder's publication, between a part and the gathering."""
    store = type(herbarium.vectors)
    gather, dropped = store.gather, []

    def interfered(self: Any, name: str, parts: Any) -> None:
        if not dropped:
            dropped.extend(drop_unserved(CORPUS, self, [herbarium.index().details["collection"]]))
        gather(self, name, parts)

    monkeypatch.setattr(store, "gather", interfered)
    herbarium.write("borage", "bluer")
    herbarium.materialize()
    assert len(dropped) == 1
    assert herbarium.points() == herbarium.chunk_ids()


def test_an_index_dropped_before_it_is_recorded_is_built_again(
    herbarium: Herbarium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another encoder's publication, to which nothing says yet that it is needed."""
    commit, dropped = Ledger.commit, []

    def late(ledger: Ledger, record: Record) -> Record:
        if record.asset == "vector_index" and not dropped:
            dropped.extend(drop_unserved(herbarium.corpus, herbarium.vectors, []))
        return commit(ledger, record)

    monkeypatch.setattr(Ledger, "commit", late)
    herbarium.write("hyssop", "in blue")
    herbarium.materialize()
    assert dropped
    assert herbarium.points() == herbarium.chunk_ids()


def test_an_erased_document_is_in_no_part(platform: Platform) -> None:
    mark = "Quillon Vantreight Ossory"
    home, state, vectors = platform.state.settings.home, platform.state, platform.state.vectors
    for plant in PLANTS:
        platform.write(CORPUS, f"{plant}.md", sheet(plant))
    platform.write(CORPUS, "secret.md", sheet("moly", f"as {mark} wrote in a letter"))
    platform.materialize(CORPUS, select=TO_SEARCH)
    platform.write(CORPUS, "dill.md", sheet("dill", "yellow"))
    platform.materialize(CORPUS, select=TO_SEARCH)
    before = set(vectors.collections())
    assert any("vectors/collections/" in path for path in holders(home, [mark])["raw"])
    platform.calls.clear()
    answer = erase(
        state, CORPUS, "secret.md", "asked for", platform.lines.append, platform._spies()
    )
    assert answer["ok"]
    assert not any(holders(home, [mark]).values())
    assert not before & set(vectors.collections())
    ids = {row["chunk_id"] for row in platform.rows(CHUNKS, corpus=CORPUS)}
    assert set(platform.calls.upserted) == ids, "no part is cloned: a clone keeps what was deleted"
    served = vectors.served(CORPUS)
    assert served is not None
    assert len(vectors.parts(served.collection)) > 8
    assert set(vectors.open(served.collection).fingerprints()) == ids


@pytest.mark.parametrize("stop", [1, 3])
def test_killed_between_parts_a_run_goes_on_with_the_rest(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Cut off as by a kill: finished parts stay, and nothing consists of them yet."""
    store = platform.state.vectors
    finished = 0
    real = store.build

    def build(name: str, *rest: Any, **options: Any) -> Any:
        nonlocal finished
        if finished == stop:
            raise KeyboardInterrupt
        finished += 1
        return real(name, *rest, **options)

    for plant in PLANTS:
        platform.write(CORPUS, f"{plant}.md", sheet(plant))
    platform.materialize(CORPUS, select="+key:embeddings")
    with monkeypatch.context() as patch:
        patch.setattr(store, "build", build)
        with contextlib.suppress(KeyboardInterrupt):
            platform.answer(CORPUS, select="key:vector_index")
    assert len(store.collections()) == stop
    done = {x for name in store.collections() for x in store.open(name).fingerprints()}
    platform.materialize(CORPUS, select=TO_SEARCH)
    ids = {row["chunk_id"] for row in platform.rows(CHUNKS, corpus=CORPUS)}
    assert set(platform.calls.upserted) == ids - done
    served = store.served(CORPUS)
    assert served is not None
    assert set(store.open(served.collection).fingerprints()) == ids


@pytest.mark.filterwarnings("ignore:.*[Ll]ocal")
def test_one_part_is_built_by_the_servers_adapter_on_local_mode(
    platform: Platform, tmp_path: Path
) -> None:
    from qdrant_client import QdrantClient

    client = QdrantClient(path=str(tmp_path / "server"))
    store = ServerStore(client)
    vectors = VectorsSpy(store, platform.calls)
    for plant in PLANTS:
        platform.write(CORPUS, f"{plant}.md", sheet(plant))
    platform.materialize(CORPUS, select="+key:published_index", vectors=vectors)
    before = store.served(CORPUS)
    platform.write(CORPUS, "dill.md", sheet("dill", "yellow"))
    platform.materialize(CORPUS, select="+key:published_index", vectors=vectors)
    after = store.served(CORPUS)
    assert before is not None
    assert after is not None
    old, new = store.parts(before.collection), store.parts(after.collection)
    assert len(set(new) - set(old)) == 1
    assert len(new) > 8
    ids = {row["chunk_id"] for row in platform.rows(CHUNKS, corpus=CORPUS)}
    points = store.open(after.collection).fingerprints().keys()
    assert points == ids
    assert (
        set(platform.calls.upserted) == points - store.open(before.collection).fingerprints().keys()
    )
    assert set(store.collections()) == {*old, *new, before.collection, after.collection}
    client.close()
