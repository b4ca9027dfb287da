"""What is done of a sample where a corpus is large: here what counts as large is small."""

import pyarrow as pa
import pytest

from platform_assets.embeddings import vectors
from platform_assets.evaluation import figures, refresh
from platform_assets.evaluation.refresh import BASELINE, qualities
from platform_assets.queries import pairs, split_of
from platform_assets.queries import refresh as queries
from platform_assets.queries.table import QUERIES, TRAINING_PAIRS
from platform_assets.raw_objects import checks as objects
from platform_assets.raw_objects.table import RAW_OBJECTS, document_id
from platform_assets.vector_indexes import measuring
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "large"
DOCUMENTS = 160
SAMPLE = 10


@pytest.fixture
def large(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    for module, name, value in (
        (refresh, "MOST_IN_MEMORY", SAMPLE),
        (queries, "MOST_ASKED", SAMPLE),
        (pairs, "MOST_MINED", SAMPLE),
        (figures, "MOST_MAPPED", SAMPLE),
        (measuring, "MOST_VECTORS", SAMPLE),
        (objects, "MOST_LISTED_AGAIN", SAMPLE),
        (vectors, "ALWAYS_LOOKED_THROUGH", 0),
        (vectors, "ROWS_A_TEXT", 1),
    ):
        monkeypatch.setattr(module, name, value)
    for number in range(DOCUMENTS):
        title = f"Report number {number} of the harbour board"
        platform.write(CORPUS, f"{number:03}.md", f"# {title}\n\nBerth {number} was dredged.\n")
    platform.write(CORPUS, "copy.md", "# Report number 7 of the harbour board\n\nAnother.\n")
    return platform


def test_a_large_corpus_is_asked_measured_and_published(large: Platform) -> None:
    rows = large.materialize(CORPUS)
    asked = large.rows(QUERIES, corpus=CORPUS)
    assert 0 < len(asked) <= SAMPLE
    keys = {judged["key"] for query in asked for judged in query["judgements"]}
    ids = pa.array([document_id(CORPUS, key) for key in sorted(keys)])
    slices = set(large.state.warehouse.slices(RAW_OBJECTS, ids).to_pylist())
    there = sorted(large.state.warehouse.states(RAW_OBJECTS, {"corpus": CORPUS}))
    assert slices <= set(there[: len(there) // 2]), "no others are read"
    found = qualities(large.state.warehouse, CORPUS, "minilm")
    assert found[BASELINE].ndcg_10.keys() == found["dense"].ndcg_10.keys()
    assert min(found[BASELINE].ndcg_10.values()) > 0.9  # the title stands in the document
    for pair in large.rows(TRAINING_PAIRS, corpus=CORPUS):
        assert {split_of(key) for key in (pair["positive_key"], *pair["negative_keys"])} == {
            "train"
        }
    assert rows["published_index", CORPUS]["rows"] == 1
    again = large.materialize(CORPUS)
    assert not any(count for row in again.values() for count in row["work"].values())
    assert large.search(CORPUS, "report number 31 of the harbour board")
    large.write(
        CORPUS, "moved.md", "# Report number 3 of the harbour board\n\nBerth 3 was dredged.\n"
    )
    few = large.materialize(
        CORPUS, select="key:raw_objects or key:documents or key:chunks or key:embeddings"
    )
    assert few["embeddings", f"{CORPUS}|minilm"]["work"]["embedded"] == 1  # it was not sought
    copied = min(keys)
    large.write(CORPUS, "twin.md", large.state.lake.get(f"{CORPUS}/{copied}"))
    large.materialize(CORPUS, select="key:raw_objects or key:documents or key:queries")
    judged = [
        {each["key"] for each in query["judgements"]}
        for query in large.rows(QUERIES, corpus=CORPUS)
    ]
    assert {copied, "twin.md"} in judged, "wherever in the corpus the copy is"
