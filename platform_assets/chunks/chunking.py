"""Chunking: elements in, token-bounded chunks with stable ids out.

Here: what a chunk is, its identity, and the bound that holds for its final text.
Not here: where text may be cut (pieces.py), which pieces belong together (packing.py), tables and
assets (assets.py).
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import groupby, takewhile
from operator import attrgetter
from typing import Self
from uuid import UUID

from platform_assets.chunks.packing import pack
from platform_assets.chunks.pieces import Piece, cut_into_pieces
from resources.encoding import Tokenizer
from resources.parsing import Element
from resources.settings import UsageError

MIN_MAX_TOKENS = 16
VARIABLES = {
    "max_tokens": "LAKELOOM_CHUNK_MAX_TOKENS",
    "target_tokens": "LAKELOOM_CHUNK_TARGET_TOKENS",
}
"""Field of the configuration -> environment variable."""


@dataclass(frozen=True, slots=True)
class ChunkingConfig:
    """How large chunks are, in tokens of the encoder, special tokens included."""

    max_tokens: int = 256
    """Upper bound; a tokenizer with a lower one wins."""
    target_tokens: int = 232
    """Size a chunk is drawn to; the structure of documents brings the mean to about 190."""

    def __post_init__(self) -> None:
        if not MIN_MAX_TOKENS <= self.target_tokens <= self.max_tokens:
            raise ValueError(
                f"need {MIN_MAX_TOKENS} <= target_tokens <= max_tokens, "
                f"got {self.target_tokens} and {self.max_tokens}"
            )

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """The configuration that LAKELOOM_CHUNK_MAX_TOKENS and _TARGET_TOKENS ask for.

        Raises:
            UsageError: a variable is no number, or out of bounds.
        """
        env = os.environ if env is None else env
        given = {
            name: _number(variable, text)
            for name, variable in VARIABLES.items()
            if (text := env.get(variable))
        }
        try:
            return cls(**given)
        except ValueError as error:
            raise UsageError(f"set {' and '.join(VARIABLES.values())} anew: {error}") from None

    @property
    def digest(self) -> str:
        """sha256 of the configuration as canonical JSON."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def _number(variable: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{variable}={text!r} is no whole number of tokens") from None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of a document's text, in reading order."""

    chunk_id: str
    """UUID made of document, heading path, text, and occurrence among equal ones; no position."""
    position: int
    """Zero-based place in the document."""
    text: str
    """Exactly what is embedded: elements set apart by a blank line, nothing added."""
    token_count: int
    """Tokens of `text`, special tokens included; the largest among the tokenizers."""
    page: int | None
    """Page of the first element."""
    heading_path: tuple[str, ...]
    """Headings that all of the chunk stands under, outermost first."""
    text_digest: str
    """sha256 of `text` in UTF-8, hexadecimal: equal texts are embedded once by it."""


@dataclass(frozen=True, slots=True)
class _Draft:
    pieces: Sequence[Piece]
    text: str
    token_count: int


def chunk_document(
    doc_id: str,
    elements: Sequence[Element],
    tokenizers: Sequence[Tokenizer],
    config: ChunkingConfig,
) -> list[Chunk]:
    """Chunk one document so that every chunk fits every tokenizer and no text is lost.

    Args:
        doc_id: Identity of the document, unique among all corpora that share an index.
        elements: The parsed document; elements of white space alone are passed over.
        tokenizers: One for each distinct base model, at least one.
        config: Sizes.

    Raises:
        ValueError: no tokenizer, or a limit too low for any text.
    """
    if not tokenizers:
        raise ValueError("chunking needs the tokenizer of at least one encoder")
    limit = min([config.max_tokens, *(tokenizer.max_tokens for tokenizer in tokenizers)])
    special = max(tokenizer.count("") for tokenizer in tokenizers)
    budget = limit - special
    if budget < 1:
        raise ValueError(f"a limit of {limit} tokens leaves no room beside {special} special ones")
    pieces = cut_into_pieces(elements, tokenizers, budget)
    runs = pack(pieces, budget, min(config.target_tokens - special, budget))
    return list(_chunks(doc_id, elements, _bounded(runs, elements, tokenizers, limit)))


def _chunks(doc_id: str, elements: Sequence[Element], drafts: Iterator[_Draft]) -> Iterator[Chunk]:
    seen: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for position, draft in enumerate(drafts):
        members = [elements[piece.element] for piece in draft.pieces]
        path = _heading_path(members)
        identity = [doc_id, path, draft.text, seen[draft.text, path]]
        seen[draft.text, path] += 1
        digest = sha256(json.dumps(identity).encode()).digest()
        yield Chunk(
            chunk_id=str(UUID(bytes=digest[:16], version=5)),
            position=position,
            text=draft.text,
            token_count=draft.token_count,
            page=members[0].page,
            heading_path=path,
            text_digest=sha256(draft.text.encode()).hexdigest(),
        )


def _heading_path(members: Sequence[Element]) -> tuple[str, ...]:
    """What the bodies share, so that a title followed by its subsection counts for the latter."""
    bodies = [element.heading_path for element in members if element.type != "title"]
    paths = bodies or [element.heading_path for element in members]
    levels = takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))
    return tuple(level[0] for level in levels)


def _bounded(
    runs: Sequence[Sequence[Piece]],
    elements: Sequence[Element],
    tokenizers: Sequence[Tokenizer],
    limit: int,
) -> Iterator[_Draft]:
    """Count each run's final text and halve those above the limit until all are within it."""
    texts = [_text(run, elements) for run in runs]
    for run, text, count in zip(runs, texts, _token_counts(texts, tokenizers), strict=True):
        if not text:
            continue
        if count <= limit:
            yield _Draft(run, text, count)
        else:
            yield from _bounded(_halves(run, elements), elements, tokenizers, limit)


def _token_counts(texts: Sequence[str], tokenizers: Sequence[Tokenizer]) -> list[int]:
    counts = [0] * len(texts)
    for tokenizer in tokenizers:
        special = tokenizer.count("")
        spans = tokenizer.offsets(texts)
        counts = [max(c, special + len(s)) for c, s in zip(counts, spans, strict=True)]
    return counts


def _text(run: Sequence[Piece], elements: Sequence[Element]) -> str:
    parts = []
    for index, group in groupby(run, attrgetter("element")):
        pieces = list(group)
        part = elements[index].text[pieces[0].start : pieces[-1].end].rstrip()
        parts.append(part.lstrip("\n") if elements[index].type == "code" else part.lstrip())
    return "\n\n".join(parts)


def _halves(run: Sequence[Piece], elements: Sequence[Element]) -> list[Sequence[Piece]]:
    if len(run) > 1:
        middle = len(run) // 2
        return [run[:middle], run[middle:]]
    piece = run[0]
    text = elements[piece.element].text[piece.start : piece.end]
    first, last = len(text) - len(text.lstrip()), len(text.rstrip()) - 1
    if first >= last:
        raise ValueError(f"the encoder's limit is below the tokens of one character, {text!r}")
    middle = (first + last + 1) // 2
    blank = text.rfind(" ", first + 1, middle + 1)
    cut = piece.start + (blank if blank > 0 else middle)
    tokens = piece.tokens // 2
    return [[replace(piece, end=cut, tokens=tokens)], [replace(piece, start=cut, tokens=tokens)]]
