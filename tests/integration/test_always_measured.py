"""Whatever a corpus holds, there is something to measure it with, and it is published."""

from collections.abc import Iterator
from typing import Any

import pytest

from platform_assets.queries.table import QUERIES
from resources.vector_store import Served
from tests.spies import Platform

pytestmark = pytest.mark.slow

GUIDE = "# Keeping of bees in town\n\nA hive stands on the roof.\n"
JUDGED = b"query-id\tcorpus-id\tscore\n1\tguide.md\t1\n"
CORPORA = {
    "note": {"hello.txt": "Call Bob tomorrow."},
    "table": {"data.csv": "city,harbour\nBergen,Vaagen\n"},
    "word": {"word.txt": "Harbour"},
    "copies": {"one.md": GUIDE, "two.md": GUIDE},
    "broken": {"guide.md": GUIDE, "queries.jsonl": '{"_id": "1"\n', "qrels.tsv": JUDGED},
    "strangers": {
        "hives.md": GUIDE,
        "queries.jsonl": '{"_id": "1", "text": "bees"}\n',
        "qrels.tsv": JUDGED,
    },
    "learning": {
        "guide.md": GUIDE,
        "queries.jsonl": '{"_id": "1", "text": "bees"}\n',
        "qrels/train.tsv": JUDGED,
    },
    "wordless": {"dots.txt": "... !!! ..."},
}
SOUGHT = {"note": "call Bob", "table": "Bergen", "word": "harbour", "wordless": "!"}


class Published:
    """All these corpora, taken through the graph together."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        for corpus, files in CORPORA.items():
            for key, data in files.items():
                platform.write(corpus, key, data)
        self.rows = platform.materialize(*CORPORA, select="+key:published_index")

    def served(self, corpus: str) -> Served | None:
        return self.platform.state.vectors.served(corpus)

    def queries(self, corpus: str) -> list[dict[str, Any]]:
        return self.platform.rows(QUERIES, corpus=corpus)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    with pytest.MonkeyPatch.context() as patch:
        yield Published(Platform(tmp_path_factory.mktemp("measured"), patch))


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_corpus_is_searchable(published: Published, corpus: str) -> None:
    hits = published.platform.search(corpus, SOUGHT.get(corpus, "bees in town"))
    assert hits[0]["key"] in CORPORA[corpus]


@pytest.mark.parametrize("corpus", [name for name in CORPORA if name != "wordless"])
def test_and_was_measured_before(published: Published, corpus: str) -> None:
    assert published.rows["retrieval_evaluation", f"{corpus}|minilm"]["rows"] > 0
    assert "test" in {row["split"] for row in published.queries(corpus)}


def test_copies_of_a_document_are_all_relevant(published: Published) -> None:
    [query] = published.queries("copies")
    assert query["text"] == "Keeping of bees in town"
    assert sorted(judged["key"] for judged in query["judgements"]) == ["one.md", "two.md"]


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ("broken", "uploaded_queries_were_used: broken: queries.jsonl, line 1: expected"),
        ("strangers", "no uploaded query is judged relevant to a document of the corpus"),
        ("learning", "add qrels/test.tsv"),
        ("wordless", "something_can_be_measured: wordless: no document has a word"),
        ("note", None),
    ],
)
def test_what_could_not_be_used_is_warned_of(
    published: Published, corpus: str, said: str | None
) -> None:
    warnings = published.rows["queries", corpus]["warnings"]
    assert [said in warning for warning in warnings] == [True] if said else not warnings


def test_unmeasured_goes_only_where_nothing_measured_is_served(published: Published) -> None:
    platform, before = published.platform, published.served("note")
    platform.write("wordless", "more.txt", "?!")
    platform.materialize("wordless", select="+key:published_index")
    assert len(platform.search("wordless", "?")) == 2

    platform.write("note", "hello.txt", "...")
    answer = platform.answer("note", select="+key:published_index")
    assert not answer["ok"]
    assert published.served("note") == before
