"""The gate: what is served changes only for an index that was measured and found good."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from platform_assets.cli import main
from platform_assets.commands.rollback import rollback
from platform_assets.queries.table import QUERIES
from resources.vector_store import Hit, Served
from resources.vector_store.qdrant_edge_shard import load_shard
from tests.faulty_vectors import FaultyVectors, Misled
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "almanac"
BIRDS = (
    "albatross", "bittern", "cormorant", "dunlin", "egret", "fulmar", "gannet", "heron", "ibis",
    "jackdaw", "kittiwake", "lapwing",
)  # fmt: skip


class Almanac:
    """A corpus that is published, and a new edition of it whenever one is asked for."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.vectors = platform, platform.state.vectors
        self.editions = 0
        for bird in BIRDS:
            text = f"# Habits of the {bird} in winter\n\nThe {bird} was seen near the harbour.\n\n"
            text += f"## Nests of the {bird} on cliffs\n\nEggs of the {bird} are spotted.\n"
            platform.write(CORPUS, f"{bird}.md", text)
        self.publish()

    def edit(self) -> str:
        """Upload a document; returns a query for it."""
        self.editions += 1
        query = f"edition {self.editions} of the almanac"
        self.platform.write(CORPUS, "edition.md", f"# Imprint\n\nThis is {query}.\n")
        return query

    def publish(self) -> None:
        self.platform.materialize(CORPUS, select="+key:published_index")

    def run(self, asset: str, **overrides: Any) -> dict[str, Any]:
        """Materialise one asset; returns its row in the report."""
        answer = self.platform.answer(CORPUS, select=f"key:{asset}", **overrides)
        [row] = answer["assets"]
        assert answer["ok"] is (row["failed"] is None)
        return dict(row)

    def lose(self, collection: str, point_id: str) -> None:
        """Put a copy without the point in the place of a finished collection."""
        import qdrant_edge as q

        root = self.platform.state.settings.home / "vectors"
        copy, original = root / "copy", root / "collections" / collection
        shutil.copytree(original, copy)
        shard = load_shard(copy)
        shard.update(q.UpdateOperation.delete_points([point_id]))
        shard.flush()
        shard.close()
        shutil.rmtree(original)
        copy.rename(original)

    def served(self) -> Served:
        served = self.vectors.served(CORPUS)
        assert served is not None
        return served

    def finds(self, query: str) -> bool:
        return query in self.platform.search(CORPUS, query, top=1)[0]["text"]


@pytest.fixture(scope="module")
def almanac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Almanac]:
    with pytest.MonkeyPatch.context() as patch:
        yield Almanac(Platform(tmp_path_factory.mktemp("almanac"), patch))


def test_an_index_with_a_failed_query_is_refused(almanac: Almanac) -> None:
    [victim, *_] = almanac.platform.rows(QUERIES, corpus=CORPUS, split="test")

    def lose_one(text: str) -> list[Hit]:
        if text == victim["text"]:
            raise OSError("a segment cannot be read")
        return []

    before, query = almanac.served(), almanac.edit()
    almanac.platform.materialize(CORPUS, select="+key:vector_index")
    faulty = FaultyVectors(almanac.vectors, lambda real: Misled(real, lose_one))
    evaluated = almanac.run("retrieval_evaluation", vectors=faulty)
    assert "queries failed" in evaluated["failed"]
    refused = almanac.run("published_index")["failed"]
    assert "queries failed" in refused
    assert f"{before.collection} stays served" in refused
    assert almanac.served() == before
    assert not almanac.finds(query)

    almanac.publish()  # what failed is evaluated again, though nothing upstream has changed
    assert almanac.finds(query)


def test_a_significantly_worse_index_is_refused(almanac: Almanac) -> None:
    stray = Hit("0", 1.0, "", {"doc_id": "no such document"})
    before, query = almanac.served(), almanac.edit()
    almanac.platform.materialize(CORPUS, select="+key:vector_index")
    faulty = FaultyVectors(almanac.vectors, lambda real: Misled(real, lambda _: [stray]))
    evaluated = almanac.run("retrieval_evaluation", vectors=faulty)
    assert evaluated["failed"] is None
    assert any("Quality fell" in warning for warning in evaluated["warnings"])
    assert "Quality fell" in almanac.run("published_index")["failed"]
    assert almanac.served() == before
    assert not almanac.finds(query)

    query = almanac.edit()
    almanac.publish()
    assert almanac.finds(query)


def test_an_index_of_other_chunks_is_refused(
    almanac: Almanac, capsys: pytest.CaptureFixture[str]
) -> None:
    before = almanac.served()
    almanac.edit()
    almanac.platform.materialize(CORPUS, select="+key:retrieval_evaluation")
    assert almanac.served() == before, "only published_index moves the alias"
    record = almanac.platform.state.ledger.require("vector_index", f"{CORPUS}|minilm")
    name = record.details["collection"]
    [lost, *_] = almanac.vectors.open(name).fingerprints()
    almanac.lose(name, lost)

    assert "ids_are_live_chunks: " in almanac.run("vector_index")["failed"]
    capsys.readouterr()
    command = ["materialize", "--corpus", CORPUS, "--encoder", "minilm", "--json"]
    with pytest.raises(SystemExit) as end:
        main([*command, "--select", "key:published_index"])
    assert end.value.code == 1
    [row] = json.loads(capsys.readouterr().out)["assets"]
    assert f"{name} is not published" in row["failed"]
    assert "1 live chunks are missing" in row["failed"]
    assert almanac.served() == before

    query = almanac.edit()
    almanac.publish()  # a clone of the damaged collection, mended
    assert almanac.finds(query)
    assert lost in almanac.vectors.open(almanac.served().collection).fingerprints()


def test_a_rollback_holds_until_something_new_is_uploaded(almanac: Almanac) -> None:
    old, first = almanac.served(), almanac.edit()
    almanac.publish()
    new = almanac.served()
    assert new.collection != old.collection
    assert almanac.vectors.previous(CORPUS) == old
    assert almanac.finds(first)

    assert rollback(almanac.platform.state, CORPUS)["served"] == old.collection
    assert almanac.served() == old
    assert not almanac.finds(first)
    almanac.publish()
    assert almanac.platform.calls.none()
    assert almanac.served() == old

    second = almanac.edit()
    almanac.publish()
    assert almanac.finds(second)
    assert almanac.vectors.previous(CORPUS) == old
