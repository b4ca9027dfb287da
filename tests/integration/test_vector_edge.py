"""What only the embedded engine must show: crashes, several processes, the approximate index."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from resources.vector_store import (
    AlreadyBuiltError,
    Point,
    Retriever,
    SearchFilter,
    SearchRequest,
    qdrant_edge_build,
)
from resources.vector_store import records as r
from resources.vector_store.qdrant_edge import EdgeStore
from resources.vector_store.qdrant_edge_build import FINGERPRINTS

DIMENSIONS = 32
WAVE = 100
SEED = 20_240_501

OLD = dict.fromkeys(range(1000), 0)
NEW = {n: int(n % 3 == 0) for n in range(1300) if n % 10}
"""Point number -> version: a third of the old points changed, a tenth went, 270 came."""


def vector_of(number: int, version: int) -> list[float]:
    row = np.random.default_rng([SEED, number, version]).normal(size=DIMENSIONS)
    return (row / np.linalg.norm(row)).astype(np.float32).tolist()  # type: ignore[no-any-return]


def point(number: int, version: int) -> Point:
    text = f"text {number} common word{version}"
    payload: dict[str, str | int | list[str] | None] = {
        "doc_id": f"d{number}",
        "key": f"k{number % 7}/{number}",
        "page": version,
    }
    point_id = str(UUID(int=number + 1))
    return Point(point_id, f"{number}-{version}", vector_of(number, version), text, text, payload)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def reconcile(store: EdgeStore, name: str, wanted: dict[int, int], clone: str | None) -> None:
    """Bring a collection to the wanted points in waves, saying how many, then each."""
    fresh = {p.point_id: p for p in (point(n, v) for n, v in wanted.items())}
    with store.build(name, DIMENSIONS, clone) as builder:
        there = builder.fingerprints()
        builder.delete([x for x in there if x not in fresh])
        todo = [p for p in fresh.values() if there.get(p.point_id) != p.fingerprint]
        say(str(len(todo)))
        for start in range(0, len(todo), WAVE):
            builder.upsert(todo[start : start + WAVE])
            say("wave")
        builder.finish()


def contents(store: EdgeStore, name: str) -> tuple[object, ...]:
    """All a reader can see: fingerprints, vectors, texts and payloads, BM25 scores."""
    collection = store.open(name)
    fingerprints = collection.fingerprints()
    query, everything = [1.0] * DIMENSIONS, len(fingerprints) + 1
    dense = collection.search(SearchRequest(query, "", Retriever.DENSE, everything, exact=True))
    sparse = collection.search(SearchRequest(None, "common word1", Retriever.BM25, everything))
    return (
        fingerprints,
        collection.vectors(sorted(fingerprints)).tobytes(),
        {h.point_id: (h.text, h.payload) for h in dense},
        {h.point_id: round(h.score, 4) for h in sparse},
    )


def run_in_process(code: str, root: Path) -> "subprocess.Popen[str]":
    """Run code with this module as `t` and the store as `store`."""
    here = str(Path(__file__).parent)
    start = f"import sys; sys.path.insert(0, {here!r}); import test_vector_edge as t; "
    start += f"from pathlib import Path; store = t.EdgeStore(Path({str(root)!r}))\n"
    return subprocess.Popen(
        [sys.executable, "-c", start + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def store(tmp_path: Path) -> EdgeStore:
    return EdgeStore(tmp_path)


@pytest.mark.slow
def test_a_build_killed_again_and_again_equals_an_undisturbed_one(
    store: EdgeStore, tmp_path: Path
) -> None:
    reconcile(store, "old", OLD, None)
    reconcile(store, "undisturbed", NEW, "old")
    todo = []
    for waves_before_kill in (2, 1, 2, 0):
        build = run_in_process("t.reconcile(store, 'killed', t.NEW, 'old')", tmp_path)
        assert build.stdout is not None
        todo.append(int(build.stdout.readline()))
        for _ in range(waves_before_kill):
            assert build.stdout.readline() == "wave\n"
        build.kill()
        build.communicate()
        assert build.returncode == -signal.SIGKILL
        assert "killed" not in store.collections()
    assert todo[1] <= todo[0] - 2 * WAVE
    assert todo[2] <= todo[1] - WAVE
    assert todo[3] <= todo[2] - 2 * WAVE
    reconcile(store, "killed", NEW, "old")
    assert contents(store, "killed") == contents(store, "undisturbed")
    assert not list((tmp_path / "building").iterdir())


def test_a_wave_cut_off_by_a_crash_is_taken_back(store: EdgeStore, tmp_path: Path) -> None:
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert(point(n, 0) for n in range(4))
    broken = [point(n, 0).point_id for n in (1, 2, 50)]
    (tmp_path / "building" / "a" / "wave.json").write_text(json.dumps(broken))
    with store.build("a", DIMENSIONS) as builder:
        assert set(builder.fingerprints()) == {point(n, 0).point_id for n in (0, 3)}
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert([point(1, 0)])
        assert len(builder.fingerprints()) == 3


def test_a_damaged_build_begins_anew_from_the_clone(store: EdgeStore, tmp_path: Path) -> None:
    reconcile(store, "old", dict.fromkeys(range(5), 0), None)
    with store.build("a", DIMENSIONS, "old") as builder:
        builder.upsert([point(7, 0)])
    for segment in (tmp_path / "building" / "a" / "shard" / "segments").glob("*/segment.json"):
        segment.write_text("{")
    with store.build("a", DIMENSIONS, "old") as builder:
        assert set(builder.fingerprints()) == {point(n, 0).point_id for n in range(5)}


def test_what_is_noted_of_a_collection_is_what_it_holds(store: EdgeStore, tmp_path: Path) -> None:
    reconcile(store, "old", OLD, None)
    reconcile(store, "new", NEW, "old")
    for name in ("old", "new"):
        noted = json.loads((tmp_path / "collections" / name / FINGERPRINTS).read_text())
        assert noted == {"collection": name, "points": store.open(name).fingerprints()}


def test_a_clone_knows_its_points_without_reading_them(
    store: EdgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconcile(store, "old", OLD, None)
    monkeypatch.delattr(qdrant_edge_build, "fingerprints")
    reconcile(store, "new", NEW, "old")
    assert store.open("new").fingerprints() == {
        p.point_id: p.fingerprint for p in (point(n, v) for n, v in NEW.items())
    }


POINTS = {str(UUID(int=number + 1)): "another" for number in OLD}


@pytest.mark.parametrize(
    "note",
    [
        "",
        "null",
        json.dumps(sorted(POINTS)),
        json.dumps(POINTS),
        '{"collection": "old", "points": {"a": "b"}}',
        '{"collection": "old", "points": 1}',
        json.dumps({"collection": "older", "points": POINTS}),
    ],
)
def test_a_note_that_cannot_be_right_is_not_believed(
    store: EdgeStore, tmp_path: Path, note: str
) -> None:
    """Damaged, of fewer points, or copied by a version that knows of no notes."""
    reconcile(store, "old", OLD, None)
    (tmp_path / "collections" / "old" / FINGERPRINTS).write_text(note)
    with store.build("new", DIMENSIONS, "old") as builder:
        assert builder.fingerprints() == store.open("old").fingerprints()


def test_a_build_that_was_cut_off_does_not_believe_its_clones_note(store: EdgeStore) -> None:
    """It has the points of the wave that was finished."""
    reconcile(store, "old", OLD, None)
    changed = point(5, 1)
    with store.build("new", DIMENSIONS, "old") as builder:
        builder.upsert([changed])
    with store.build("new", DIMENSIONS, "old") as builder:
        assert builder.fingerprints()[changed.point_id] == changed.fingerprint


def test_a_damaged_collection_says_so(store: EdgeStore, tmp_path: Path) -> None:
    reconcile(store, "a", {1: 0}, None)
    for segment in (tmp_path / "collections" / "a" / "segments").glob("*/segment.json"):
        segment.write_text("{")
    with pytest.raises(RuntimeError, match="is damaged, drop it and build it anew"):
        store.open("a")


def test_one_builder_at_a_time(
    store: EdgeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.vector_store.qdrant_edge_build.PATIENCE_SECONDS", 0)
    code = "b = store.build('a', t.DIMENSIONS)\nt.say('ready')\ninput()"
    other = run_in_process(code, tmp_path)
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    with pytest.raises(RuntimeError, match="a is being built by another run"):
        store.build("a", DIMENSIONS)
    with pytest.raises(RuntimeError, match="a is being built by another run"):
        store.drop("a")
    with store.build("b", DIMENSIONS) as builder:
        builder.finish()
    other.kill()
    other.communicate()
    with store.build("a", DIMENSIONS) as builder:
        builder.finish()
    assert store.collections() == ["a", "b"]


def test_a_second_builder_waits_for_the_first(store: EdgeStore, tmp_path: Path) -> None:
    code = "b = store.build('a', t.DIMENSIONS)\nt.say('ready')\nimport time\ntime.sleep(0.5)\n"
    other = run_in_process(f"{code}b.finish()", tmp_path)
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    with pytest.raises(AlreadyBuiltError, match="a is finished"):
        store.build("a", DIMENSIONS)
    other.communicate()
    assert list((tmp_path / "building").iterdir()) == []


def test_a_build_that_cannot_begin_lets_the_next_one(store: EdgeStore, tmp_path: Path) -> None:
    reconcile(store, "old", {1: 0}, None)
    for segment in (tmp_path / "collections" / "old" / "segments").glob("*/segment.json"):
        segment.write_text("{")
    with pytest.raises(RuntimeError, match="is damaged") as error:
        store.build("a", DIMENSIONS, "old")
    assert error.tb is not None
    with store.build("a", DIMENSIONS) as builder:
        assert builder.fingerprints() == {}


@pytest.mark.slow
def test_other_processes_read_while_this_one_reads_and_builds(
    store: EdgeStore, tmp_path: Path
) -> None:
    reconcile(store, "old", OLD, None)
    here, before = store.open("old"), contents(store, "old")
    code = (
        "for line in sys.stdin:\n"
        "    c = store.open('old')\n"
        "    asked = t.SearchRequest(t.vector_of(5, 0), 'text 5', t.Retriever.HYBRID, 3)\n"
        "    found = c.search(asked)\n"
        "    t.say(f'{found[0].point_id} {len(c.fingerprints())}')\n"
    )
    readers = [run_in_process(code, tmp_path) for _ in range(2)]

    def ask_both() -> None:
        for reader in readers:
            assert reader.stdin is not None
            reader.stdin.write("\n")
            reader.stdin.flush()
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline().split() == [point(5, 0).point_id, str(len(OLD))]

    with store.build("new", DIMENSIONS, "old") as builder:
        for number in range(5):
            builder.upsert([point(number, 1)])
            ask_both()
            hits = here.search(SearchRequest(vector_of(5, 0), "text 5", Retriever.HYBRID, 3))
            assert hits[0].point_id == point(5, 0).point_id
        builder.finish()
    store.drop("new")
    ask_both()
    for reader in readers:
        reader.communicate()
        assert reader.returncode == 0
    assert contents(store, "old") == before


def test_opening_and_searching_change_no_byte(store: EdgeStore, tmp_path: Path) -> None:
    reconcile(store, "a", dict.fromkeys(range(50), 0), None)

    def files() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in (tmp_path / "collections").rglob("*") if p.is_file()}

    before = files()
    contents(store, "a")
    assert files() == before


def test_a_reader_keeps_a_dropped_collection(store: EdgeStore) -> None:
    reconcile(store, "a", dict.fromkeys(range(50), 0), None)
    collection = store.open("a")
    store.drop("a")
    assert len(collection.search(SearchRequest(None, "common", Retriever.BM25, 100))) == 50


def test_the_approximate_index_finds_what_exact_search_finds(
    store: EdgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(r, "EXACT_BELOW_KB", 64)
    rng = np.random.default_rng(SEED)
    rows = clustered(rng, 3000)
    with store.build("a", DIMENSIONS) as builder:
        builder.upsert(with_vectors(rows[:-100]))
        builder.finish()
    collection = store.open("a")
    assert collection._shard.info().indexed_vectors_count > 0
    found = exact = 0
    for query in rows[-100:]:
        nearest = collection.search(SearchRequest(query, "", Retriever.DENSE, 10, exact=True))
        approximate = collection.search(SearchRequest(query, "", Retriever.DENSE, 10))
        found += len({h.point_id for h in nearest} & {h.point_id for h in approximate})
        exact += len(nearest)
        filtered = collection.search(
            SearchRequest(query, "", Retriever.DENSE, 10, SearchFilter(key_prefix="k3/"))
        )
        assert len(filtered) == 10
        assert all(str(h.payload["key"]).startswith("k3/") for h in filtered)
    assert exact == 1000
    assert found / exact >= 0.98


def clustered(rng: np.random.Generator, count: int) -> list[list[float]]:
    centres = rng.normal(size=(30, DIMENSIONS))
    rows = centres[rng.integers(0, 30, count)] + rng.normal(size=(count, DIMENSIONS))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tolist()  # type: ignore[no-any-return]


def with_vectors(rows: list[list[float]]) -> Iterable[Point]:
    for number, row in enumerate(rows):
        payload: dict[str, str | int | list[str] | None] = {"key": f"k{number % 7}/{number}"}
        yield Point(str(UUID(int=number + 1)), "f", row, "t", "t", payload)


def test_parts_stay_open_while_what_consists_of_them_is_read(
    store: EdgeStore, tmp_path: Path
) -> None:
    for name, numbers in (("a", range(5)), ("b", range(5, 9)), ("c", range(9, 12))):
        reconcile(store, name, dict.fromkeys(numbers, 0), None)
    store.gather("ab", ["a", "b"])
    store.gather("bc", ["b", "c"])
    EdgeStore(tmp_path).gather("cc", ["c"])  # as another process would
    assert EdgeStore(tmp_path).parts("ab") == ("a", "b")
    assert len(store.open("cc").fingerprints()) == 3
    store.open("ab")
    part = store.open("b")
    store.open("bc")
    assert store.open("b") is part
    store.open("ab")
    assert store.open("b") is part
