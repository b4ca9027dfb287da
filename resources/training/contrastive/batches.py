"""Batches made ready while the device computes: texts chosen, tokenised and ordered by length.

Here: the thread that is one step ahead, and how texts are dealt to processes and passes.
Not here: which pairs a step has (resources/training/pairs.py).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from resources.training.folders import transformer_folder
from resources.training.pairs import Batch, Pairs

Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One step's texts as this process needs them."""

    number: int
    rows: tuple[int, ...]
    """Rows of the pairs file."""
    batch: Batch
    share: tuple[Tokens, ...]
    """The texts this process encodes, longest last."""
    places: NDArray[np.int64]
    """Shape (processes, texts a process): place of each text among queries and candidates.

    -1 fills the last column where texts do not come out even.
    """


class Batches:
    """Prepares the batch of each step, the next one ahead of time."""

    def __init__(
        self, pairs: Pairs, plan: NDArray[np.int64], tokens: "TokenIds", rank: int, processes: int
    ) -> None:
        self._pairs, self._plan, self._tokens = pairs, plan, tokens
        self._rank, self._processes = rank, processes
        self._thread = ThreadPoolExecutor(1, "batches")
        self._ahead: tuple[int, Future[Prepared]] | None = None

    def of(self, step: int) -> Prepared:
        """The batch of a step, counted from 0."""
        number, future = self._ahead or (-1, None)
        found = future.result() if future and number == step else self._prepare(step)
        self._ahead = None
        if step + 1 < len(self._plan):
            self._ahead = (step + 1, self._thread.submit(self._prepare, step + 1))
        return found

    def _prepare(self, step: int) -> Prepared:
        rows = self._plan[step].tolist()
        batch = self._pairs.batch(rows)
        ids = self._tokens.of([*batch.queries, *batch.candidates])
        places = dealt([len(each) for each in ids], self._processes)
        share = tuple(ids[place] for place in places[self._rank] if place >= 0)
        return Prepared(step, tuple(rows), batch, share, places)


class TokenIds:
    """The base model's tokenizer, cutting texts to a length."""

    def __init__(self, model: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(transformer_folder(model) / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def of(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of each text, special tokens included."""
        return [each.ids for each in self._tokenizer.encode_batch(list(texts))]


def dealt(lengths: Sequence[int], processes: int) -> NDArray[np.int64]:
    """Places of the texts that each process encodes, shape (processes, texts a process).

    Dealt by length, one after the other, so that all have about the same to do.
    """
    order = np.argsort(np.array(lengths), kind="stable").astype(np.int64)
    places = np.full(-(-len(order) // processes) * processes, -1, dtype=np.int64)
    places[: len(order)] = order
    return places.reshape(-1, processes).T


def passes(lengths: Sequence[int], texts: int, tokens: int) -> Iterator[slice]:
    """Cut texts, sorted by length, into passes through the model.

    Args:
        lengths: Tokens of each text, ascending.
        texts: Most texts in a pass.
        tokens: Most tokens in a pass, padding included; a longer text is a pass by itself.
    """
    start = 0
    for end in range(1, len(lengths) + 1):
        over = end == len(lengths) or (end + 1 - start) * lengths[end] > tokens
        if over or end - start == texts:
            yield slice(start, end)
            start = end
