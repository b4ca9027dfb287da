"""Work is proportional to the change: every call is counted, nothing is timed."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.chunks import assets as chunks
from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.state import open_instance
from platform_assets.commands.status import status
from platform_assets.definitions import build_defs
from platform_assets.documents import assets as documents
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.embeddings import assets as embeddings
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.provenance import PREFIX
from platform_assets.raw_objects import assets as raw_objects
from platform_assets.raw_objects.table import document_id
from platform_assets.vector_indexes import assets as vector_indexes
from resources.encoding.openvino import OpenVinoBackend
from resources.vector_store import Served
from resources.warehouse import TableSpec, iceberg_files
from sensors.listings import requested, told
from tests.buckets import bucket_of
from tests.spies import Platform

TOPICS = {
    "whales.md": ("Whales of the Arctic Ocean", "The bowhead whale lives for two hundred years."),
    "volcanoes.md": ("Volcanoes of Southern Iceland", "Hekla erupts about every ten years."),
    "bread.md": ("Baking Bread With Sourdough", "A starter is fed with flour and water."),
    "clocks.html": ("Mechanical Clocks and Watches", "An escapement lets one tooth pass a beat."),
    "bridges.txt": ("Suspension Bridges Over Rivers", "Cables carry the deck to the towers."),
    "maps.md": ("Maps Drawn By Early Sailors", "A portolan shows the harbours of a coast."),
}


def document(key: str) -> str:
    title, sentence = TOPICS[key]
    body = "\n\n".join(
        f"{sentence} Section {part} of {title.lower()} goes on with remark {part}."
        for part in range(8)
    )
    if key.endswith(".html"):
        return f"<html><body><h1>{title}</h1><p>{body}</p></body></html>"
    return f"# {title}\n\n{body}\n" if key.endswith(".md") else f"{title}\n\n{body}\n"


TO_SEARCH = "not (key:evaluation_plots or key:promoted_encoder)"
"""What decides on search; drawing plots takes most of a small corpus's time."""


class Facts:
    """A corpus of six documents on the shared platform."""

    def __init__(self, platform: Platform, corpus: str) -> None:
        self.platform, self.corpus, self.calls = platform, corpus, platform.calls
        for key in TOPICS:
            self.write(key, document(key))
        self.materialize()

    def write(self, key: str, data: bytes | str) -> None:
        self.platform.write(self.corpus, key, data)

    def delete(self, key: str) -> None:
        self.platform.state.lake.delete(f"{self.corpus}/{key}")

    def materialize(self, select: str | None = TO_SEARCH) -> dict[str, dict[str, Any]]:
        rows = self.platform.materialize(self.corpus, select=select)
        return {asset: row for (asset, _), row in rows.items()}

    def search(self, query: str, top: int = 5) -> list[dict[str, Any]]:
        return self.platform.search(self.corpus, query, top)

    def rows(self, table: TableSpec) -> list[dict[str, Any]]:
        return self.platform.rows(table, corpus=self.corpus)

    def records(self) -> set[str]:
        """Keys of the provenance records of the whole platform."""
        return {item.key for item in self.platform.state.lake.objects(f"{PREFIX}/records/")}

    def stale(self) -> list[str]:
        found: list[str] = status(self.platform.state)["corpora"][self.corpus]["stale"]
        return found

    def embedded(self) -> list[str]:
        """Chunk texts that were encoded, queries left out."""
        return sorted(text for text in self.calls.encoded if text in self.texts())

    def served(self) -> Served | None:
        return self.platform.state.vectors.served(self.corpus)

    def texts(self) -> set[str]:
        return {row["text"] for row in self.rows(CHUNKS)}

    def points(self) -> set[str]:
        served = self.served()
        assert served is not None
        return set(self.platform.state.vectors.open(served.collection).fingerprints())


@pytest.fixture
def facts(shared_platform: Platform, request: pytest.FixtureRequest) -> Facts:
    return Facts(shared_platform, request.node.name.removeprefix("test_")[:60].strip("_"))


def test_a_second_run_does_nothing(facts: Facts) -> None:
    facts.materialize(select=None)
    facts.platform.write("neighbours", "blank.pdf", b"")
    facts.platform.materialize("neighbours", select="+key:documents")  # commits a rejection
    before = facts.records()
    rows = facts.materialize(select=None)
    assert facts.calls.none()
    assert facts.records() == before
    assert all(not any(row["work"].values()) for row in rows.values())
    assert all(row["added"] == row["changed"] == row["removed"] == 0 for row in rows.values())
    assert rows.keys() >= {"raw_objects", "embeddings", "published_index"}


def test_an_edit_parses_one_document_and_embeds_what_changed(facts: Facts) -> None:
    before, old_points = facts.texts(), facts.points()
    edited = document("whales.md").replace("remark 3", "a new remark on krill")
    facts.write("whales.md", edited)
    rows = facts.materialize()
    new = facts.texts() - before
    assert facts.calls.parsed == ["whales.md"]
    assert 1 <= len(new) <= 3
    assert sorted(text for text in facts.calls.encoded if text in facts.texts()) == sorted(new)
    assert len(facts.calls.upserted) == len(new)
    assert set(facts.calls.upserted) == facts.points() - old_points
    assert set(facts.calls.deleted) == old_points - facts.points()
    assert rows["embeddings"]["work"]["embedded"] == len(new)
    assert rows["documents"]["changed"] == 1
    assert "krill" in facts.search("whale and krill")[0]["text"]


def test_an_added_document_is_all_that_is_worked_on(facts: Facts) -> None:
    before = facts.texts()
    facts.write("tea.md", "# Green Tea From Uji\n\nMatcha is ground in stone mills.\n")
    rows = facts.materialize()
    assert facts.calls.parsed == ["tea.md"]
    assert rows["documents"]["added"] == 1
    assert rows["embeddings"]["work"]["embedded"] == len(facts.texts() - before)
    assert facts.search("matcha ground in mills")[0]["key"] == "tea.md"


def test_a_deleted_document_is_gone_everywhere_in_the_same_pass(facts: Facts) -> None:
    assert facts.search("sourdough starter")[0]["key"] == "bread.md"
    facts.delete("bread.md")
    rows = facts.materialize()
    assert facts.calls.parsed == []
    assert facts.calls.upserted == []
    assert rows["embeddings"]["work"]["embedded"] == 0
    for table in (DOCUMENTS, CHUNKS):
        assert "bread.md" not in {row["key"] for row in facts.rows(table)}
    ids = {row["chunk_id"] for row in facts.rows(CHUNKS)}
    assert {row["chunk_id"] for row in facts.rows(EMBEDDINGS)} == ids
    assert facts.points() == ids
    assert "bread.md" not in {hit["key"] for hit in facts.search("sourdough", 50)}


def test_a_renamed_document_costs_no_embedding(facts: Facts) -> None:
    facts.delete("maps.md")
    facts.write("charts.md", document("maps.md"))
    rows = facts.materialize()
    assert facts.calls.parsed == ["charts.md"]
    assert rows["embeddings"]["work"]["embedded"] == 0
    assert not set(facts.calls.encoded) & facts.texts()
    assert facts.search("portolan harbours")[0]["key"] == "charts.md"


def test_a_touched_document_changes_the_manifest_alone(facts: Facts) -> None:
    collection = facts.served()
    facts.write("maps.md", document("maps.md"))
    rows = facts.materialize()
    assert facts.calls.commits == ["raw_objects"]
    assert not facts.calls.parsed
    assert not facts.calls.encoded
    assert not facts.calls.upserted
    assert rows["raw_objects"]["changed"] == 1
    assert facts.served() == collection


def test_an_update_of_one_document_rewrites_one_bucket(facts: Facts) -> None:
    iceberg = facts.platform.state.warehouse._table(CHUNKS)
    files = {task.file.file_path for task in iceberg.scan().plan_files()}
    facts.write("whales.md", document("whales.md").replace("remark 3", "something new"))
    facts.materialize()
    iceberg = facts.platform.state.warehouse._table(CHUNKS)
    kept = {task.file.file_path for task in iceberg.scan().plan_files()}
    rewritten = files - kept
    assert len({path.split("doc_id_bucket=")[1].split("/")[0] for path in rewritten}) == 1
    assert len(files) > 1


def test_a_good_document_that_turns_bad_leaves_the_search(facts: Facts) -> None:
    facts.write("clocks.html", b"\x00\x01\x02\xff\xfe garbage \x00" * 50)
    rows = facts.materialize()
    rejected = facts.rows(REJECTED_DOCUMENTS)
    assert [row["key"] for row in rejected] == ["clocks.html"]
    assert rejected[0]["reason"]
    assert rejected[0]["message"]
    assert len(rejected[0]["sha256"]) == 64
    assert "clocks.html" not in {hit["key"] for hit in facts.search("escapement", 50)}
    warnings = rows["documents"]["warnings"]
    assert any("1 documents were rejected" in warning for warning in warnings)
    facts.materialize()
    assert facts.calls.parsed == []


def test_another_chunking_redoes_chunks_and_what_follows(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts.texts()
    monkeypatch.setenv("LAKELOOM_CHUNK_MAX_TOKENS", "64")
    monkeypatch.setenv("LAKELOOM_CHUNK_TARGET_TOKENS", "48")
    rows = facts.materialize()
    assert facts.calls.parsed == []
    assert not {"raw_objects", "documents"} & set(facts.calls.commits)
    assert facts.texts() != before
    assert rows["chunks"]["added"] > 0
    assert facts.points() == {row["chunk_id"] for row in facts.rows(CHUNKS)}


class Versions:
    """Raises the code versions of assets, one after the other."""

    def __init__(self, facts: Facts, patch: pytest.MonkeyPatch) -> None:
        self._facts, self._patch = facts, patch

    def raise_that_of(self, asset: str, module: ModuleType, partition: str = "") -> None:
        """Materialise with a new version; the next run does nothing."""
        self._patch.setattr(module, "CODE_VERSION", "raised")
        facts = self._facts
        facts.materialize()
        calls = vars(facts.calls).copy()
        record = facts.platform.state.ledger.require(asset, facts.corpus + partition)
        assert record.code_version == "raised"
        facts.materialize()
        assert facts.calls.none()
        vars(facts.calls).update(calls)


@pytest.fixture
def versions(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> Versions:
    return Versions(facts, monkeypatch)


def test_another_version_of_the_parsing_parses_anew_and_embeds_nothing(
    facts: Facts, versions: Versions
) -> None:
    versions.raise_that_of("documents", documents)
    assert sorted(facts.calls.parsed) == sorted(TOPICS)
    assert not facts.calls.encoded
    assert not facts.calls.upserted
    assert set(facts.calls.commits) == {"documents"}
    versions.raise_that_of("raw_objects", raw_objects)
    assert facts.calls.commits == ["raw_objects"]


def test_another_version_of_the_chunking_chunks_anew_and_embeds_nothing(
    facts: Facts, versions: Versions
) -> None:
    versions.raise_that_of("chunks", chunks)
    assert set(facts.calls.commits) == {"chunks"}
    assert not facts.calls.encoded
    assert not facts.calls.upserted


def test_another_version_of_the_embedding_embeds_and_indexes_anew(
    facts: Facts, versions: Versions
) -> None:
    versions.raise_that_of("embeddings", embeddings, "|minilm")
    assert facts.embedded() == sorted(facts.texts())
    assert set(facts.calls.upserted) == facts.points()
    assert not {"raw_objects", "documents", "chunks", "queries"} & set(facts.calls.commits)


def test_another_version_of_the_index_upserts_every_point_and_embeds_nothing(
    facts: Facts, versions: Versions
) -> None:
    before = facts.served()
    versions.raise_that_of("vector_index", vector_indexes, "|minilm")
    assert set(facts.calls.upserted) == facts.points()
    assert not facts.embedded()
    assert facts.served() != before


def test_status_names_what_was_uploaded_since(facts: Facts) -> None:
    manifest, parsed = f"raw_objects [{facts.corpus}]", f"documents [{facts.corpus}]"
    assert facts.stale() == []
    facts.write("tea.md", "# Green Tea From Uji\n\nMatcha is ground in stone mills.\n")
    assert facts.stale() == [manifest]
    facts.materialize(select="key:raw_objects")
    assert manifest not in facts.stale()
    assert parsed in facts.stale()
    facts.materialize()
    assert facts.stale() == []
    facts.delete("tea.md")
    assert facts.stale() == [manifest]


class OtherBackend(OpenVinoBackend):
    """Another encoder digest, whatever the processor computes in."""

    def digest(self, model_dir: Path) -> str:
        return super().digest(model_dir)[::-1]


def test_another_encoder_redoes_its_own_partitions_alone(facts: Facts) -> None:
    state = facts.platform.state
    store = CheckpointStore(state.lake, state.settings.cache / "checkpoints", OtherBackend())
    facts.platform.materialize(facts.corpus, encoders=["minilm-tuned"], select=TO_SEARCH)
    tuned = state.ledger.require("embeddings", f"{facts.corpus}|minilm-tuned")
    before = state.ledger.require("embeddings", f"{facts.corpus}|minilm")
    try:
        rows = facts.platform.materialize(facts.corpus, select=TO_SEARCH, checkpoint_store=store)
        after = state.ledger.require("embeddings", f"{facts.corpus}|minilm")
        assert not {"raw_objects", "documents", "chunks", "queries"} & set(facts.calls.commits)
        assert rows["embeddings", f"{facts.corpus}|minilm"]["work"]["embedded"] > 0
        assert set(facts.calls.upserted) == facts.points()
        assert after.digest != before.digest
        assert state.ledger.require("embeddings", f"{facts.corpus}|minilm-tuned") == tuned
    finally:
        facts.materialize()  # the other tests share the encoder


def test_an_edit_reads_its_own_bucket(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of documents and chunks; the manifest is compared whole, by what listings say.

    The first chunks of an empty warehouse are noted by the run after theirs.
    """
    facts.materialize("key:raw_objects or key:documents or key:chunks")
    read: dict[str, set[int]] = {}
    plain = iceberg_files._plain

    def watched(planned: Any, tasks: Any, schema: Any) -> Any:
        for task in tasks:
            name = task.file.file_path.split("/data/")[0].rsplit("/", 1)[-1]
            read.setdefault(name, set()).add(task.file.partition[1])
        return plain(planned, tasks, schema)

    monkeypatch.setattr(iceberg_files, "_plain", watched)
    facts.materialize("key:raw_objects or key:documents or key:chunks")
    assert set(read) == {"raw_objects"}
    read.clear()
    facts.write("maps.md", document("maps.md") + "\n\nA lighthouse guides them home.\n")
    facts.materialize("key:raw_objects or key:documents or key:chunks")
    bucket = bucket_of(facts.platform.state.warehouse, CHUNKS, document_id(facts.corpus, "maps.md"))
    assert read["documents"] == read["chunks"] == {bucket}
    assert len(facts.rows(DOCUMENTS)) == len(TOPICS)


def test_the_run_of_a_notice_takes_the_named_object_alone(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the event sensor requests it for a corpus too large to be listed for each notice."""
    monkeypatch.setattr("sensors.listings.LARGE", 1)
    facts.write("whales.md", document("whales.md").replace("remark 3", "a remark on krill"))
    facts.write("bread.md", document("bread.md").replace("remark 3", "a remark on rye"))
    instance = open_instance(facts.platform.state.settings)
    named = {facts.corpus: ["whales.md"]}
    (request,), _ = requested(instance, told(instance, named, {}), named)
    done = (
        build_defs()
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            request.run_config,
            instance,
            partition_key=request.partition_key,
            asset_selection=request.asset_selection,
        )
    )
    assert done.success
    assert any("krill" in text for text in facts.texts())
    assert not any("rye" in text for text in facts.texts())
    facts.materialize()
    assert facts.calls.parsed == ["bread.md"]
