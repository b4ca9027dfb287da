"""Pieces: the smallest runs of text that a chunk is packed from, and what a cut before each costs.

Here: sentences, lines and, in overlong ones, runs of words, with their token counts.
Not here: which pieces form a chunk (packing.py), what a chunk is (chunking.py).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from zlib import crc32

from resources.encoding import Tokenizer
from resources.parsing import Element

SECTION, PARAGRAPH, SENTENCE, MIDSENTENCE, ORPHAN = -0.25, 0.5, 0.8, 1.4, 3.0
"""Prices of a cut, where a chunk half as large as wanted costs 0.25; ORPHAN parts a title from
what it heads."""
JITTER = 0.2
"""Mean discount on a price, drawn by a hash of the text: exponential, so that in every window one
cut is clearly the cheapest and an edited text falls back into step there."""
SEED_CHARS = 24
"""How much of the text after a cut makes its price: an edit further on leaves it alone."""
LONG_WORD_CHARS = 48
MAX_CHARS_PER_TOKEN = 16
"""A token may stand for any length of text (an unknown word); no chunk may."""
MAX_KNOWN_WORDS = 200_000

_WORD = re.compile(r"\s*\S+")
_PROSE_END = re.compile(
    r"(?<=[.!?\u2026])[\"')\]\u201d\u2019]{0,3}\s++(?![a-z])|(?<=[\u3002\uff01\uff1f])|\n\s*\n"
)
_LINE_END = re.compile(r"\n+")
_LINEWISE = frozenset({"code", "table"})


@dataclass(frozen=True, slots=True)
class Piece:
    """`elements[element].text[start:end]`: about `tokens` long, and `price` to cut before it."""

    element: int
    start: int
    end: int
    tokens: int
    price: float


@dataclass(frozen=True, slots=True)
class _Span:
    element: int
    start: int
    end: int
    price: float
    words: list[str]


def cut_into_pieces(
    elements: Sequence[Element], tokenizers: Sequence[Tokenizer], budget: int
) -> list[Piece]:
    """Cut elements into pieces of at most about a quarter of `budget` tokens, in reading order.

    Each distinct word is tokenised once; a piece's count is the sum over its words,
    the largest among the tokenizers. That is an estimate for tokenizers that look across white
    space, so whoever joins pieces counts the result again.
    """
    spans = list(_spans(elements))
    counts = _word_counts({word for span in spans for word in span.words}, tokenizers)
    longest = max(budget // 4, 1)
    pieces: list[Piece] = []
    for span in spans:
        tokens = sum(map(counts.__getitem__, span.words))
        if tokens <= longest:
            pieces.append(Piece(span.element, span.start, span.end, tokens, span.price))
        else:
            pieces.extend(_runs(span, counts, longest))
    return pieces


def _spans(elements: Sequence[Element]) -> Iterator[_Span]:
    before: Element | None = None
    for index, element in enumerate(elements):
        if not element.text.strip():
            continue
        price = _price_between(before, element)
        for start, end, next_price in _sentences(element):
            text = element.text[start:end].rstrip()
            if text:
                words = _WORD.findall(text)
                yield _Span(index, start, start + len(text), price - _discount(text), words)
                price = next_price
        before = element


def _price_between(before: Element | None, after: Element) -> float:
    if before is None:
        return SECTION
    if (
        before.type == "title"
        and after.heading_path[: len(before.heading_path)] == before.heading_path
    ):
        return ORPHAN
    return PARAGRAPH if before.heading_path == after.heading_path else SECTION


def _discount(text: str) -> float:
    return -JITTER * log((crc32(text[:SEED_CHARS].encode()) + 1) / 2**32)


def _sentences(element: Element) -> Iterator[tuple[int, int, float]]:
    """Spans that cover the text, each with the price of the cut after it."""
    start = 0
    for gap in (_LINE_END if element.type in _LINEWISE else _PROSE_END).finditer(element.text):
        yield start, gap.end(), PARAGRAPH if gap.group().count("\n") > 1 else SENTENCE
        start = gap.end()
    yield start, len(element.text), SENTENCE


def _word_counts(words: set[str], tokenizers: Sequence[Tokenizer]) -> dict[str, int]:
    counts = {word: len(word) // MAX_CHARS_PER_TOKEN for word in words}
    for tokenizer in tokenizers:
        known = _known_counts(tokenizer.digest)
        new = [word for word in words if word not in known]
        found = dict(zip(new, map(len, tokenizer.offsets(new)), strict=True))
        counts = {
            word: max(n, known[word] if word in known else found[word])
            for word, n in counts.items()
        }
        if len(known) < MAX_KNOWN_WORDS:
            known.update((w, n) for w, n in found.items() if len(w) <= LONG_WORD_CHARS)
    return counts


@lru_cache(maxsize=4)
def _known_counts(_tokenizer_digest: str) -> dict[str, int]:
    """Counts of words met in earlier documents: most words of a document are not new."""
    return {}


def _runs(span: _Span, counts: dict[str, int], longest: int) -> Iterator[Piece]:
    """Cut an overlong span where its words say so, so that an edit moves only the cuts near it."""
    start = end = span.start
    tokens, price = 0, span.price
    for word, count in _short_words(span.words, counts):
        if tokens and (tokens + count > longest or crc32(word.encode()) % 16 == 0):
            yield Piece(span.element, start, end, tokens, price)
            start, tokens, price = end, 0, MIDSENTENCE - _discount(word)
        end += len(word)
        tokens += count
    if end > start:
        yield Piece(span.element, start, end, tokens, price)


def _short_words(words: list[str], counts: dict[str, int]) -> Iterator[tuple[str, int]]:
    for word in words:
        if len(word) <= LONG_WORD_CHARS:
            yield word, counts[word]
            continue
        per_char = counts[word] / len(word)
        for start in range(0, len(word), LONG_WORD_CHARS):
            part = word[start : start + LONG_WORD_CHARS]
            yield part, round(per_char * len(part)) or 1
