"""Known-item queries for a corpus that came without judgements.

Here: queries made of titles and headings, each judged relevant to the document it came from.
Such a query stands verbatim in its document: known-item search (Azzopardi et al. 2007) asks
whether someone who remembers a heading finds the page again. It tells two indexes of one corpus
apart; it says nothing of how well questions in other words are answered. What no title, heading
or sentence tells apart is asked for by its first words.
Not here: judgements that people uploaded (uploaded.py).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import nsmallest

from platform_assets.queries import Query, QuerySet, Split, digest, query_id, split_of
from resources.parsing import ParsedDocument

# A word; in scripts written without spaces, a character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W_]+")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_SENTENCES_A_DOCUMENT = 8
_FEWEST_IN_SENTENCE = 6
_FEWEST_WORDS = 3
_MOST_WORDS = 24
_GENERIC = frozenset(
    re.split(
        r",\s+",
        """abstract, acknowledgements, acknowledgments, api reference, appendix, authors,
        background, change log, changelog, changes, code of conduct, conclusion, conclusions,
        contact, contents, contributing, contribution, contributors, copyright, credits,
        dependencies, description, development, discussion, documentation, example, examples,
        faq, features, further reading, getting started, glossary, help, history, how it
        works, how to contribute, how to use, index, install, installation, installing,
        introduction, issues, licence, license, links, more information, motivation, notes,
        overview, preface, quick start, quickstart, references, related work, release notes,
        requirements, results, running tests, running the tests, see also, summary, support,
        table of contents, testing, tests, todo, tutorial, untitled, usage, what s new""",
    )
)


Candidates = Callable[[ParsedDocument], Iterable[str]]
"""What of a document could be asked for."""


def derived_queries(
    documents: Iterable[tuple[str, ParsedDocument]],
    per_document: int = 2,
    total: int = 400,
    candidates: Candidates | None = None,
) -> QuerySet:
    """Make known-item queries from the titles and headings of a corpus.

    A query is a title, or a heading with as many of those above it as make three words. Generic
    ones and those of two documents are left out. Which are kept under the caps is decided by a
    stable hash, so that adding a document replaces few queries. The split is by document; where
    chance leaves no document for testing, every query is for testing, since measuring comes first.

    Args:
        documents: Key and content of every document, read once.
        per_document: Most queries made from one document.
        total: Most queries in all.
        candidates: Where queries come from; `headings` by default, `sentences` for a corpus of
            plain text.
    """
    found = [
        (key, text)
        for key, parsed in documents
        for text in {_normal(text): text for text in (candidates or headings)(parsed)}.values()
    ]
    owners = Counter(_normal(text) for _, text in found)
    unique = sorted(
        ((key, text) for key, text in found if owners[_normal(text)] == 1),
        key=lambda item: query_id(*item),
    )
    taken: Counter[str] = Counter()
    queries = []
    for key, text in unique:
        taken[key] += 1
        if taken[key] <= per_document:
            queries.append(Query(query_id(key, text), text, split_of(key), {key: 1}, "derived"))
    return QuerySet(with_test(queries[:total]))


def opening_queries(documents: Iterable[tuple[str, ParsedDocument]], total: int = 400) -> QuerySet:
    """The last resort: documents by their first words, each relevant where several begin alike.

    A document without a single word gives none. Such a query is for training only if all its
    documents are.

    Args:
        documents: Key and content of every document, of which the beginning is enough.
        total: Most queries in all.
    """
    owners: dict[str, dict[str, str]] = defaultdict(dict)
    for key, parsed in documents:
        if text := _opening(parsed):
            owners[_normal(text)][key] = text
    queries = []
    for texts in owners.values():
        split: Split = "test" if any(split_of(key) == "test" for key in texts) else "train"
        name, judgements = min(texts.items()), dict.fromkeys(sorted(texts), 1)
        queries.append(Query(query_id(*name), name[1], split, judgements, "derived"))
    queries.sort(key=lambda query: query.query_id)
    return QuerySet(with_test(queries[:total]))


def sentences(parsed: ParsedDocument) -> list[str]:
    """A few sentences of a document's paragraphs, chosen by a stable hash."""
    found = (
        " ".join(sentence.split())
        for element in parsed.elements
        if element.type == "paragraph"
        for sentence in _SENTENCE.findall(element.text)
    )
    asked = (text for text in found if len(_WORD.findall(text)) >= _FEWEST_IN_SENTENCE)
    short = (text for text in asked if len(_WORD.findall(text)) <= _MOST_WORDS)
    return nsmallest(_SENTENCES_A_DOCUMENT, short, key=digest)


def headings(parsed: ParsedDocument) -> Iterator[str]:
    """The title and headings of a document, with enough of those above to be distinctive."""
    paths = {element.heading_path for element in parsed.elements if element.type == "title"}
    for path in sorted({(parsed.title,), *paths} - {()}):
        if _normal(path[-1]) not in _GENERIC and (text := _shortest(path)):
            yield text


def with_test(queries: Sequence[Query]) -> tuple[Query, ...]:
    """The queries, all of them for testing if none was: measuring comes first."""
    if any(query.split == "test" for query in queries):
        return tuple(queries)
    return tuple(replace(query, split="test") for query in queries)


def _shortest(path: tuple[str, ...]) -> str | None:
    """The last heading, with as many before it as make enough words; None if none do."""
    for start in reversed(range(len(path))):
        text = " ".join(" ".join(path[start:]).split())
        words = len(_WORD.findall(text))
        if words >= _FEWEST_WORDS:
            return text if words <= _MOST_WORDS else None
    return None


def _normal(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _opening(parsed: ParsedDocument) -> str | None:
    """The first words of a document; None if it has none."""
    text = " ".join(word for element in parsed.elements for word in element.text.split())
    words = [match.end() for match in _WORD.finditer(text)][:_MOST_WORDS]
    return text[: words[-1]] if words else None
