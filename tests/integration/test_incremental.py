"""Work is proportional to the change: every call is counted, nothing is timed."""

from pathlib import Path

import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
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


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    platform = Platform(tmp_path, monkeypatch)
    for key in TOPICS:
        platform.write("facts", key, document(key))
    platform.materialize("facts")
    return platform


def texts(platform: Platform) -> set[str]:
    return {row["text"] for row in platform.rows(CHUNKS, corpus="facts")}


def points(platform: Platform) -> set[str]:
    served = platform.state.vectors.served("facts")
    assert served is not None
    return set(platform.state.vectors.open(served.collection).fingerprints())


def test_a_second_run_does_nothing(platform: Platform) -> None:
    rows = platform.materialize("facts")
    assert platform.calls.none()
    assert all(not any(row["work"].values()) for row in rows.values())
    assert all(row["added"] == row["changed"] == row["removed"] == 0 for row in rows.values())
    assert {asset for asset, _ in rows} >= {"raw_objects", "embeddings", "published_index"}


def test_an_edit_parses_one_document_and_embeds_what_changed(platform: Platform) -> None:
    before, old_points = texts(platform), points(platform)
    edited = document("whales.md").replace("remark 3", "a new remark on krill")
    platform.write("facts", "whales.md", edited)
    rows = platform.materialize("facts")
    new = texts(platform) - before
    assert platform.calls.parsed == ["whales.md"]
    assert 1 <= len(new) <= 3
    assert sorted(text for text in platform.calls.encoded if text in texts(platform)) == sorted(new)
    assert len(platform.calls.upserted) == len(new)
    assert set(platform.calls.upserted) == points(platform) - old_points
    assert set(platform.calls.deleted) == old_points - points(platform)
    assert rows["embeddings", "facts|minilm"]["work"]["embedded"] == len(new)
    assert rows["documents", "facts"]["changed"] == 1
    assert "krill" in platform.search("facts", "whale and krill")[0]["text"]


def test_an_added_document_is_all_that_is_worked_on(platform: Platform) -> None:
    before = texts(platform)
    platform.write("facts", "tea.md", "# Green Tea From Uji\n\nMatcha is ground in stone mills.\n")
    rows = platform.materialize("facts")
    assert platform.calls.parsed == ["tea.md"]
    assert rows["documents", "facts"]["added"] == 1
    assert rows["embeddings", "facts|minilm"]["work"]["embedded"] == len(texts(platform) - before)
    assert platform.search("facts", "matcha ground in mills")[0]["key"] == "tea.md"


def test_a_deleted_document_is_gone_everywhere_in_the_same_pass(platform: Platform) -> None:
    assert platform.search("facts", "sourdough starter")[0]["key"] == "bread.md"
    platform.state.lake.delete("facts/bread.md")
    rows = platform.materialize("facts")
    assert platform.calls.parsed == []
    assert platform.calls.upserted == []
    assert rows["embeddings", "facts|minilm"]["work"]["embedded"] == 0
    for table in (DOCUMENTS, CHUNKS):
        assert "bread.md" not in {row["key"] for row in platform.rows(table, corpus="facts")}
    ids = {row["chunk_id"] for row in platform.rows(CHUNKS, corpus="facts")}
    assert {row["chunk_id"] for row in platform.rows(EMBEDDINGS, corpus="facts")} == ids
    assert points(platform) == ids
    assert "bread.md" not in {hit["key"] for hit in platform.search("facts", "sourdough", 50)}


def test_a_renamed_document_costs_no_embedding(platform: Platform) -> None:
    platform.state.lake.delete("facts/maps.md")
    platform.write("facts", "charts.md", document("maps.md"))
    rows = platform.materialize("facts")
    assert platform.calls.parsed == ["charts.md"]
    assert rows["embeddings", "facts|minilm"]["work"]["embedded"] == 0
    assert not set(platform.calls.encoded) & texts(platform)
    assert platform.search("facts", "portolan harbours")[0]["key"] == "charts.md"


def test_a_touched_document_changes_the_manifest_alone(platform: Platform) -> None:
    collection = platform.state.vectors.served("facts")
    platform.write("facts", "maps.md", document("maps.md"))
    rows = platform.materialize("facts")
    assert platform.calls.commits == ["raw_objects"]
    assert not platform.calls.parsed
    assert not platform.calls.encoded
    assert not platform.calls.upserted
    assert rows["raw_objects", "facts"]["changed"] == 1
    assert platform.state.vectors.served("facts") == collection


def test_an_update_of_one_document_rewrites_one_bucket(platform: Platform) -> None:
    iceberg = platform.state.warehouse._table(CHUNKS)
    files = {task.file.file_path for task in iceberg.scan().plan_files()}
    platform.write("facts", "whales.md", document("whales.md").replace("remark 3", "something new"))
    platform.materialize("facts")
    iceberg = platform.state.warehouse._table(CHUNKS)
    kept = {task.file.file_path for task in iceberg.scan().plan_files()}
    rewritten = files - kept
    assert len({path.split("doc_id_bucket=")[1].split("/")[0] for path in rewritten}) == 1
    assert len(files) > 1


def test_a_good_document_that_turns_bad_leaves_the_search(platform: Platform) -> None:
    platform.write("facts", "clocks.html", b"\x00\x01\x02\xff\xfe garbage \x00" * 50)
    rows = platform.materialize("facts")
    rejected = platform.rows(REJECTED_DOCUMENTS, corpus="facts")
    assert [row["key"] for row in rejected] == ["clocks.html"]
    assert rejected[0]["reason"]
    assert rejected[0]["message"]
    assert len(rejected[0]["sha256"]) == 64
    assert "clocks.html" not in {hit["key"] for hit in platform.search("facts", "escapement", 50)}
    warnings = rows["documents", "facts"]["warnings"]
    assert any("1 documents were rejected" in warning for warning in warnings)
    platform.materialize("facts")
    assert platform.calls.parsed == []


def test_another_chunking_redoes_chunks_and_what_follows(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = texts(platform)
    monkeypatch.setenv("LAKELOOM_CHUNK_MAX_TOKENS", "64")
    monkeypatch.setenv("LAKELOOM_CHUNK_TARGET_TOKENS", "48")
    rows = platform.materialize("facts")
    assert platform.calls.parsed == []
    assert not {"raw_objects", "documents"} & set(platform.calls.commits)
    assert texts(platform) != before
    assert rows["chunks", "facts"]["added"] > 0
    assert points(platform) == {row["chunk_id"] for row in platform.rows(CHUNKS, corpus="facts")}
