"""A corpus of cheap synthetic documents that is never stored, and an encoder that costs nothing.

Here: the lake that makes documents up while they are read, and the stub of an encoding backend.
Not here: the benchmarks that use them.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from resources.encoding import Vectors
from resources.object_store import ObjectInfo

VOCABULARY = 4_000
WORDS = 60
"""Words of a document: one chunk."""
DIMENSIONS = 384
TOPICS = 12
"""Dimensions in which the stub's vectors really lie: those of real texts are few, too."""
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class GeneratedLake:
    """A lake with one corpus of made-up documents; whatever else there is lies in a real one."""

    real: Any
    corpus: str
    size: int
    changed: int | None = None
    """Number of a document that was overwritten."""
    edition: int = 1
    """How often it was."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """A listing in which no document is made up, so that it costs what a listing costs."""
        if prefix != f"{self.corpus}/":
            yield from self.real.objects(prefix)
            return
        for number in range(self.size):
            yield self._info(number)

    def head(self, key: str) -> ObjectInfo:
        """What the listing says of a document."""
        if not key.startswith(f"{self.corpus}/"):
            found: ObjectInfo = self.real.head(key)
            return found
        return self._info(int(Path(key).stem))

    def key(self, number: int) -> str:
        """Key of a document within the corpus."""
        return f"{number // 1000:04d}/{number:07d}.md"

    def _edition(self, number: int) -> int:
        return self.edition if number == self.changed else 0

    def _info(self, number: int) -> ObjectInfo:
        etag = f"{number:x}-{self._edition(number)}"
        modified = _START + timedelta(seconds=number)
        return ObjectInfo(f"{self.corpus}/{self.key(number)}", 500, etag, modified)

    def get(self, key: str, version: str | None = None) -> bytes:
        """The bytes of a document, the same each time."""
        if not key.startswith(f"{self.corpus}/"):
            data: bytes = self.real.get(key, version)
            return data
        number = int(Path(key).stem)
        return text_of(number, self._edition(number)).encode()

    def sha256(self, key: str) -> str:
        """Digest of those bytes."""
        if not key.startswith(f"{self.corpus}/"):
            digest: str = self.real.sha256(key)
            return digest
        return hashlib.sha256(self.get(key)).hexdigest()


def text_of(number: int, edition: int = 0) -> str:
    """A short Markdown document with a title of its own."""
    chosen = np.random.default_rng(number).integers(0, VOCABULARY, WORDS).tolist()
    words = [f"word{each}" for each in chosen]
    more = f" It was edited, {edition} in all." if edition else ""
    return f"# Report number {number} of {words[0]} and {words[1]}\n\n{' '.join(words)}.{more}\n"


class StubEncoder:
    """Bags of words, projected: similar texts get similar vectors, at no cost."""

    digest = hashlib.sha256(b"stub encoder of the benchmarks").hexdigest()
    dimensions = DIMENSIONS
    tokenizer = None

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._codes = random.standard_normal((VOCABULARY + 1, TOPICS)).astype(np.float32)
        self._space = random.standard_normal((TOPICS, DIMENSIONS)).astype(np.float32)

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> Vectors:
        """Vectors of length 1, shape (len(texts), DIMENSIONS)."""
        means = np.stack([self._codes[_numbers(text)].mean(axis=0) for text in texts])
        vectors = means @ self._space
        if progress:
            progress(len(texts))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class StubBackend:
    """Loads the stub, whatever the checkpoint."""

    def digest(self, _: Path) -> str:
        """That of the stub."""
        return StubEncoder.digest

    def load(self, _: Path) -> StubEncoder:
        """The stub."""
        return StubEncoder()


def _numbers(text: str) -> list[int]:
    known = (word.strip(".") for word in text.split())
    found = [int(word[4:]) for word in known if word.startswith("word")]
    return found or [VOCABULARY]
