"""The demo corpora are real, judged, and fair: no query can be found by its own words alone."""

import csv
import json
import os
import re
import sys
from html import unescape
from pathlib import Path

import pytest

from platform_assets.queries import split_of
from platform_assets.queries.uploaded import is_evaluation_file, uploaded_queries
from platform_assets.raw_objects.demo import write_packages, write_stdlib
from platform_assets.raw_objects.judged import Draft, write_judged
from platform_assets.raw_objects.verbatim import plain, stands_in, without

WRITERS = {"packages": write_packages, "stdlib": write_stdlib}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module", params=sorted(WRITERS))
def corpus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp(request.param)
    count = WRITERS[request.param](folder)
    files = files_of(folder)
    assert count == sum(not is_evaluation_file(key) for key in files)
    return request.param, files


def words_of(text: str) -> str:
    """Words of a document as a reader sees them, found without the code under test."""
    visible = unescape(re.sub(r"<[^<>]*>", " ", text))
    return f" {' '.join(re.findall(r'[a-z0-9]+', visible.casefold()))} "


@pytest.mark.slow
def test_at_least_150_judged_queries_of_known_documents(
    corpus: tuple[str, dict[str, bytes]],
) -> None:
    _, files = corpus
    documents = {key for key in files if not is_evaluation_file(key)}
    evaluation = {key: data for key, data in files.items() if is_evaluation_file(key)}
    found = uploaded_queries(evaluation, documents)
    assert len(found.queries) >= 150
    assert (found.unknown_documents, found.unknown_queries, found.unjudged) == ((), (), 0)
    assert len({query.text for query in found.queries}) == len(found.queries)


@pytest.mark.slow
def test_no_query_stands_in_its_document(corpus: tuple[str, dict[str, bytes]]) -> None:
    _, files = corpus
    texts = {
        row["_id"]: row["text"] for row in map(json.loads, files["queries.jsonl"].splitlines())
    }
    seen = {key: words_of(data.decode()) for key, data in files.items()}
    for split in ("train", "test"):
        lines = files[f"qrels/{split}.tsv"].decode().splitlines()
        for row in csv.DictReader(lines, delimiter="\t"):
            assert words_of(texts[row["query-id"]]) not in seen[row["corpus-id"]]


@pytest.mark.slow
def test_split_is_by_document_and_about_half(corpus: tuple[str, dict[str, bytes]]) -> None:
    _, files = corpus
    parts = {}
    for split in ("train", "test"):
        lines = files[f"qrels/{split}.tsv"].decode().splitlines()
        parts[split] = [row["corpus-id"] for row in csv.DictReader(lines, delimiter="\t")]
        assert {split_of(key) for key in parts[split]} == {split}
    assert not set(parts["train"]) & set(parts["test"])
    assert min(map(len, parts.values())) > 0.35 * sum(map(len, parts.values()))


@pytest.mark.slow
def test_pages_tell_nothing_of_this_machine(corpus: tuple[str, dict[str, bytes]]) -> None:
    _, files = corpus
    pages = "\n".join(data.decode() for data in files.values())
    assert 'href="file:' not in pages
    assert sys.executable not in pages
    assert str(Path(os.__file__).parent) not in pages
    assert not re.search(r"&nbsp;at&nbsp;0x[0-9a-f]{6}", pages)


@pytest.mark.slow
def test_same_environment_gives_same_bytes(
    corpus: tuple[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, files = corpus
    monkeypatch.setenv("LAKELOOM_TEST_SECRET", "walks-into-no-page")
    WRITERS[name](tmp_path)
    assert files_of(tmp_path) == files


LONG = "Words that fill a page with talk of other things and with nothing that is asked for. " * 4


@pytest.mark.parametrize(
    "text",
    [
        "# tool\n\nA **fast** [parser](https://x.org) for\nlogs. More of it.",
        "tool: A fast parser, for logs!\n====\n\nMore of it.",
        "<p>A&nbsp;fast <a href='x'>parser</a> for&nbsp;logs.<br>\nMore of it.</p>",
        "Tool is a fast parser for all. Really, a fast parser for. More of it.",
    ],
)
def test_sentence_is_cut_whatever_its_markup(text: str) -> None:
    sentence = "A fast parser for logs"
    assert stands_in(sentence, plain(text))
    left = without(text, [sentence])
    assert "parser" not in left
    assert "More of it." in left
    assert re.findall("<[^<>]*>", left) == re.findall("<[^<>]*>", text)


def test_sentence_that_is_not_there_changes_nothing() -> None:
    assert without(LONG, ["An entirely different set of words here"]) == LONG


def written(folder: Path) -> tuple[set[str], set[str]]:
    files = files_of(folder)
    queries = [json.loads(line)["text"] for line in files["queries.jsonl"].splitlines()]
    return {key for key in files if not is_evaluation_file(key)}, set(queries)


def test_shared_sentences_are_not_asked(tmp_path: Path) -> None:
    drafts = [
        Draft("a.md", LONG + "a", ("The next generation HTTP client.", "One that is only mine")),
        Draft("b.md", LONG + "b", ("The next *generation* http client",)),
        Draft("c.md", LONG + "c. Sorting of very large files.", ()),
        Draft(
            "d.md", LONG + "d", ("Sorting of very large files", "Too short", "At the very start")
        ),
        Draft("e.md", "At the very start. " + LONG, ()),
    ]
    assert write_judged(drafts, tmp_path) == 5
    assert written(tmp_path)[1] == {"One that is only mine"}


def test_short_long_and_repeated_documents_are_left_out(tmp_path: Path) -> None:
    drafts = [
        Draft("empty.md", "UNKNOWN", ("A summary of four words",)),
        Draft("huge.md", LONG * 100, ()),
        Draft("two.md", LONG + "<b>", ()),
        Draft("one.md", LONG, ()),
    ]
    assert write_judged(drafts, tmp_path) == 1
    assert written(tmp_path)[0] == {"one.md"}


def test_writing_again_touches_only_what_differs(tmp_path: Path) -> None:
    write_judged([Draft("a.md", LONG + "a", ()), Draft("b.md", LONG + "b", ())], tmp_path)
    for path in tmp_path.glob("*.md"):
        os.utime(path, (1, 1))
    write_judged([Draft("a.md", LONG + "a", ()), Draft("c.md", LONG + "c", ())], tmp_path)
    assert written(tmp_path)[0] == {"a.md", "c.md"}
    assert (tmp_path / "a.md").stat().st_mtime == 1


def test_someone_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "queries.jsonl").write_text("")
    with pytest.raises(ValueError, match="empty folder"):
        write_judged([Draft("a.md", LONG, ())], tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
