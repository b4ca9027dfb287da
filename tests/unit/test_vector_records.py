"""Names, waves, alias files and hole-keeping copies, without a database."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from resources.vector_store import Hit, Point, Retriever, Served
from resources.vector_store import records as r
from resources.vector_store.alias_files import Alias, AliasFiles
from resources.vector_store.sparse_copy import copy_tree

POINT_ID = str(UUID(int=7))


def point(point_id: str = POINT_ID, vector: tuple[float, ...] = (1.0, 0.0)) -> Point:
    return Point(point_id, "f", vector, "text", "text", {})


@pytest.mark.parametrize("name", ["a", "packages-minilm_1.2", "_x", "0" * 200])
def test_slugs_are_names(name: str) -> None:
    assert r.check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "ä", "a b", "-a", "a\n", "0" * 201])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a collection"):
        r.check_name(name)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (point("not-a-uuid"), "not a UUID in canonical form"),
        (point("{" + POINT_ID + "}"), "not a UUID in canonical form"),
        (point(vector=(1.0,)), "has a vector of 1 dimensions; the collection has 2"),
        (point(vector=(1.0, float("nan"))), "NaN or infinity"),
    ],
)
def test_a_wave_with_a_bad_point_is_refused(bad: Point, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        r.check_wave(iter([point(), bad]), 2)


def test_equal_scores_come_in_the_order_of_ids() -> None:
    hits = [Hit("b", 1.0, "", {}), Hit("c", 2.0, "", {}), Hit("a", 1.0, "", {})]
    assert [h.point_id for h in r.by_score(hits)] == ["c", "a", "b"]


def test_an_alias_remembers_one_step_and_survives_in_its_file(tmp_path: Path) -> None:
    files = AliasFiles(tmp_path / "aliases")
    first = Served("a", "minilm", Retriever.HYBRID, "r1")
    second = Served("b", "minilm", Retriever.DENSE, "r2")
    assert files.read("corpus") == Alias()
    for target in (first, second, second):
        files.write("corpus", files.read("corpus").switched(target))
    assert AliasFiles(tmp_path / "aliases").read("corpus") == Alias(second, first)
    assert [p.name for p in (tmp_path / "aliases").iterdir()] == ["corpus.json"]


def test_a_copy_keeps_bytes_and_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "sub" / ".atomicwriteX").mkdir(parents=True)
    (source / "empty").touch()
    (source / "full").write_bytes(os.urandom(3_000_000))
    with (source / "sub" / "holes").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(b"middle")
    copy_tree(source, target)
    for name in ("empty", "full", "sub/holes"):
        assert (target / name).read_bytes() == (source / name).read_bytes()
    assert (target / "sub" / "holes").stat().st_blocks * 512 < 1_000_000
    assert not (target / "sub" / ".atomicwriteX").exists()
