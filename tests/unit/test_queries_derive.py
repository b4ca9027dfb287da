"""Judgements read from files beside a corpus, and known-item queries where there are none."""

import json
from collections import Counter
from collections.abc import Mapping

import pytest

from platform_assets.queries import Query, split_of
from platform_assets.queries.derive import derived_queries, sentences
from platform_assets.queries.uploaded import is_evaluation_file, uploaded_queries
from resources.parsing import Element, ParsedDocument

HEADER = "query-id\tcorpus-id\tscore\n"


def queries_file(texts: Mapping[str, str]) -> bytes:
    return "".join(json.dumps({"_id": k, "text": v}) + "\n" for k, v in texts.items()).encode()


def by_id(queries: tuple[Query, ...]) -> dict[str, Query]:
    return {query.query_id: query for query in queries}


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        ("queries.jsonl", True),
        ("qrels.tsv", True),
        ("qrels/test.tsv", True),
        ("en.queries.jsonl", True),
        ("en.qrels.tsv", True),
        ("notes/queries.jsonl", False),
        ("notes/qrels/test.tsv", False),
        ("myqueries.jsonl", False),
        ("qrels/test.csv", False),
        ("corpus.jsonl", False),
    ],
)
def test_evaluation_files_are_told_from_documents(key: str, is_one: bool) -> None:
    assert is_evaluation_file(key) is is_one


def test_split_is_the_name_of_the_file_and_test_wins() -> None:
    files = {
        "queries.jsonl": queries_file({"1": "first", "2": "second", "3": "third"}),
        "qrels/train.tsv": (HEADER + "1\ta.md\t1\n3\ta.md\t1\n").encode(),
        "qrels/dev.tsv": (HEADER + "2\ta.md\t1\n").encode(),
        "qrels/test.tsv": (HEADER + "3\tb.md\t2\n").encode(),
    }
    found = by_id(uploaded_queries(files, ["a.md", "b.md"]).queries)
    assert {key: query.split for key, query in found.items()} == {
        "1": "train",
        "2": "train",
        "3": "test",
    }
    assert found["3"].judgements == {"a.md": 1, "b.md": 2}
    del files["qrels/test.tsv"]
    assert by_id(uploaded_queries(files, ["a.md"]).queries)["2"].split == "test"


def test_one_unnamed_file_is_split_by_document() -> None:
    keys = [f"doc{number}.html" for number in range(40)]
    files = {
        "en.queries.jsonl": queries_file({key: f"about {key}" for key in [*keys, "both"]}),
        "en.qrels.tsv": (
            HEADER
            + "".join(f"{key}\t{key}\t1\n" for key in keys)
            + "".join(f"both\t{key}\t1\n" for key in keys)
        ).encode(),
    }
    found = by_id(uploaded_queries(files, keys).queries)
    assert {key: found[f"en.{key}"].split for key in keys} == {key: split_of(key) for key in keys}
    assert Counter(query.split for query in found.values()).keys() == {"train", "test"}
    assert found["en.both"].split == "test"  # some of its documents are test documents


def test_judged_ids_name_keys_with_or_without_folder_and_extension() -> None:
    keys = ["a/one.html", "b/two.md", "b/three.md", "c/three.md", "c/three.old.md"]
    ids = ["a/one.html", "b/two", "two", "c/three", "three", "three.old", "nowhere"]
    files = {
        "queries.jsonl": queries_file({name: f"text of {name}" for name in [*ids, "never judged"]}),
        "qrels.tsv": (
            HEADER + "".join(f"{name}\t{name}\t1\n" for name in ids) + "ghost\tb/two\t1\n"
        ).encode(),
    }
    found = uploaded_queries(files, keys)
    assert {query.query_id: list(query.judgements) for query in found.queries} == {
        "a/one.html": ["a/one.html"],
        "b/two": ["b/two.md"],
        "two": ["b/two.md"],
        "c/three": ["c/three.md"],
        "three.old": ["c/three.old.md"],
    }
    assert found.unknown_documents == ("nowhere", "three")  # "three" fits two documents
    assert found.unknown_queries == ("ghost",)
    assert found.unjudged == 3


def test_a_grade_of_zero_is_no_judgement() -> None:
    files = {
        "queries.jsonl": queries_file({"1": "first"}),
        "qrels.tsv": (HEADER + "1\ta.md\t0\n").encode(),
    }
    assert uploaded_queries(files, ["a.md"]).queries == ()


@pytest.mark.parametrize(
    ("key", "data", "message"),
    [
        ("queries.jsonl", b'{"_id": "1", "text": "x"}\n{"_id": "2"}\n', "queries.jsonl, line 2"),
        ("queries.jsonl", b"\nno json\n", "queries.jsonl, line 2"),
        ("queries.jsonl", b'{"_id": "1", "text": " "}\n', "queries.jsonl, line 1"),
        ("queries.jsonl", b'["1", "x"]\n', "queries.jsonl, line 1"),
        ("queries.jsonl", b'{"_id": "1", "text": "x"}\n' * 2, "queries.jsonl, line 2"),
        ("queries.jsonl", b"\xff\xfe\n", "queries.jsonl, line 1: not UTF-8"),
        ("qrels.tsv", b"1\ta.md\t1\n1 a.md 1\n", "qrels.tsv, line 2"),
        ("qrels.tsv", b"1\ta.md\thigh\n", "qrels.tsv, line 1"),
    ],
)
def test_a_malformed_line_is_named(key: str, data: bytes, message: str) -> None:
    files = {
        "queries.jsonl": queries_file({"1": "first"}),
        "qrels.tsv": b"1\ta.md\t1\n",
        key: data,
    }
    with pytest.raises(ValueError, match=message):
        uploaded_queries(files, ["a.md"])


@pytest.mark.parametrize("missing", ["en.queries.jsonl", "en.qrels.tsv"])
def test_queries_and_judgements_go_together(missing: str) -> None:
    files = {"en.queries.jsonl": queries_file({"1": "first"}), "en.qrels.tsv": HEADER.encode()}
    del files[missing]
    with pytest.raises(ValueError, match=f"upload {missing}"):
        uploaded_queries(files, ["a.md"])


def page(title: str, *headings: tuple[str, ...]) -> ParsedDocument:
    elements = [Element("title", path[-1], None, path) for path in headings]
    body = Element("paragraph", "Text below.", None, headings[-1] if headings else ())
    return ParsedDocument(title, "text/html", "test", (*elements, body))


def texts(documents: Mapping[str, ParsedDocument]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for query in derived_queries(documents.items()).queries:
        assert query.origin == "derived"
        for key in query.judgements:
            found.setdefault(key, set()).add(query.text)
    return found


def test_headings_get_those_above_until_they_have_three_words() -> None:
    documents = {"a.html": page("", ("Harbour", "Cranes of steel"), ("Harbour", "Big", "Ships"))}
    assert texts(documents) == {"a.html": {"Cranes of steel", "Harbour Big Ships"}}


def test_generic_short_long_and_shared_headings_are_no_queries() -> None:
    documents = {
        "a.html": page("Shared page title", ("Long guide to it", "Introduction"), ("Short",)),
        "b.html": page("SHARED  page title!", (" ".join(["word"] * 40),), ("Table of contents",)),
        "c.html": page("The only distinctive one"),
    }
    assert texts(documents) == {"c.html": {"The only distinctive one"}}


def test_characters_count_as_words_where_there_are_no_spaces() -> None:
    assert texts({"a.html": page("数据湖指南"), "b.html": page("介绍")}) == {
        "a.html": {"数据湖指南"}
    }


def many(count: int) -> dict[str, ParsedDocument]:
    parts = ("First part", "Second part")
    return {
        f"{number}.html": page(f"Title of {number}", *((f"{part} {number}",) for part in parts))
        for number in range(count)
    }


def test_caps_and_split_by_document() -> None:
    queries = derived_queries(many(60).items(), per_document=2, total=50).queries
    assert len(queries) == 50
    assert max(Counter(key for query in queries for key in query.judgements).values()) == 2
    assert all(split_of(key) == query.split for query in queries for key in query.judgements)
    assert {query.split for query in queries} == {"train", "test"}


def test_order_does_not_matter_and_a_new_document_replaces_few() -> None:
    documents = many(60)
    queries = derived_queries(documents.items(), total=50).queries
    assert derived_queries(reversed(documents.items()), total=50).queries == queries
    more = derived_queries(many(61).items(), total=50).queries
    assert len(set(by_id(more)) - set(by_id(queries))) <= 2


def test_there_is_always_something_to_test_with() -> None:
    trained = next(key for key in many(60) if split_of(key) == "train")
    queries = derived_queries([(trained, many(60)[trained])]).queries
    assert {query.split for query in queries} == {"test"}


def test_plain_text_is_asked_for_by_its_sentences() -> None:
    def document(*paragraphs: str) -> ParsedDocument:
        elements = tuple(Element("paragraph", text, None, ()) for text in paragraphs)
        return ParsedDocument("a.txt", "text/plain", "text", elements)

    corpus = [
        ("a.txt", document("Too short. The bowhead whale lives for more than two hundred years.")),
        ("b.txt", document("Every corpus repeats this very same sentence somewhere in it.")),
        ("c.txt", document("Every corpus repeats this very same sentence somewhere in it.")),
    ]
    assert derived_queries(corpus).queries == ()
    found = derived_queries(corpus, candidates=sentences).queries
    assert [(query.text, dict(query.judgements)) for query in found] == [
        ("The bowhead whale lives for more than two hundred years.", {"a.txt": 1})
    ]
