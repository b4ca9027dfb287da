"""Passages: a document's text as hashes of its windows, enough to find it again anywhere.

Here: which windows of a text are kept, and finding them in any bytes. The hash is rolling (Karp and
Rabin 1987), so the cost of a search does not grow with the number of passages, and the text itself
need not be kept while an erasure is under way.
Not here: which bytes are searched (search.py), what form text takes in them (forms.py).
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
WINDOW = 32
"""Bytes of a passage of running text."""
SHORT = 16
"""Bytes of a passage of a title or heading, which may become a query by itself."""
LIMIT = 4_096
"""Most passages of one size; they are spread over the text."""
PLAIN = 8
"""Distinct bytes that a window must have to say anything."""
BLOCK = 1 << 16
"""Bytes hashed at a time, so that the numbers stay in the processor's cache."""
_FACTOR = 0x9E3779B97F4A7C15
_BITS = 16


@dataclass(frozen=True, slots=True)
class _Table:
    """Sorted hashes, and the quick look that rules most bytes out."""

    hashes: Hashes
    prefixes: NDArray[np.bool_]

    @classmethod
    def of(cls, hashes: Hashes) -> "_Table":
        prefixes = np.zeros(1 << _BITS, dtype=np.bool_)
        prefixes[hashes >> np.uint64(64 - _BITS)] = True
        return cls(np.unique(hashes), prefixes)

    def matches(self, found: Hashes) -> Hashes:
        likely: Hashes = found[self.prefixes[found >> np.uint64(64 - _BITS)]]
        return likely[np.isin(likely, self.hashes)] if likely.size else likely


@dataclass(frozen=True)
class Passages:
    """Hashes of windows of a text, by window size (bytes)."""

    by_size: Mapping[int, Hashes]

    @classmethod
    def of(cls, running: Iterable[str], headings: Iterable[str] = ()) -> "Passages":
        """Passages of texts, as they stand and as JSON would write them."""
        long, short = _forms(running), _forms(headings)
        sampled = {WINDOW: _sample([*long, *short], WINDOW), SHORT: _sample(short, SHORT)}
        return cls(sampled)

    @classmethod
    def of_bytes(cls, data: bytes) -> "Passages":
        """Passages of what holds no text that anybody could read."""
        return cls({WINDOW: _sample([data], WINDOW), SHORT: _sample([], SHORT)})

    def __len__(self) -> int:
        return sum(hashes.size for hashes in self.by_size.values())

    def __or__(self, other: "Passages") -> "Passages":
        merged = {size: np.union1d(self.by_size[size], other.by_size[size]) for size in _SIZES}
        return Passages(merged)

    def found(self, data: bytes | memoryview) -> "Passages":
        """Those that stand in some bytes."""
        found: dict[int, list[Hashes]] = {size: [] for size in _SIZES}
        raw = np.frombuffer(data, dtype=np.uint8)
        for start in range(0, raw.size, BLOCK):
            block = raw[start : start + BLOCK + WINDOW - 1]
            if not block.any():  # a hole in a sparse file
                continue
            for size, hashes in _hashes(block).items():
                found[size].append(self._tables[size].matches(hashes))
        merged = {size: np.unique(np.concatenate([_NONE, *found[size]])) for size in _SIZES}
        return Passages(merged)

    def without(self, other: "Passages") -> "Passages":
        """Those that are not in `other`."""
        kept = {size: np.setdiff1d(self.by_size[size], other.by_size[size]) for size in _SIZES}
        return Passages(kept)

    def to_json(self) -> str:
        """Plain text for the lake."""
        coded = {
            str(size): base64.b64encode(hashes.astype("<u8").tobytes()).decode()
            for size, hashes in self.by_size.items()
        }
        return json.dumps(coded)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Passages":
        """The inverse of `to_json`."""
        coded: dict[str, str] = json.loads(text)
        return cls(
            {
                int(size): np.frombuffer(base64.b64decode(code), "<u8").astype(np.uint64)
                for size, code in coded.items()
            }
        )

    @cached_property
    def _tables(self) -> dict[int, _Table]:
        return {size: _Table.of(hashes) for size, hashes in self.by_size.items()}


_SIZES = (SHORT, WINDOW)
_NONE = np.empty(0, dtype=np.uint64)


def _hashes(block: NDArray[np.uint8]) -> dict[int, Hashes]:
    """Hash of the window at each place of a block, by size: windows are doubled until they fit."""
    hashes, factor, width = block.astype(np.uint64) + np.uint64(1), _FACTOR, 1
    found: dict[int, Hashes] = {}
    while width < WINDOW and hashes.size > width:
        hashes = hashes[:-width] * np.uint64(factor) + hashes[width:]
        factor, width = factor * factor % 2**64, 2 * width
        if width in _SIZES:
            found[width] = hashes
    return found


def _forms(texts: Iterable[str]) -> list[bytes]:
    written = ((text, json.dumps(text)[1:-1]) for text in texts)
    return [form.encode() for forms in written for form in dict.fromkeys(forms)]


def _sample(texts: Iterable[bytes], size: int) -> Hashes:
    """Hashes of windows spread over some texts; those of few distinct bytes are left out."""
    whole = [text for text in texts if len(text) >= size]
    step = max(1, sum(len(text) - size + 1 for text in whole) // LIMIT)
    hashes = [_NONE]
    for text in whole:
        raw = np.frombuffer(text, dtype=np.uint8)
        for start in range(0, len(raw), BLOCK):
            block = raw[start : start + BLOCK + size - 1]
            every = _hashes(block).get(size, _NONE)[::step]
            telling = [
                len(set(block[at : at + size].tolist())) >= PLAIN for at in _starts(every, step)
            ]
            hashes.append(every[np.array(telling, dtype=np.bool_)])
    return np.unique(np.concatenate(hashes))


def _starts(hashes: Hashes, step: int) -> range:
    return range(0, hashes.size * step, step)
