"""Training pairs: for each training query a positive chunk and mined hard negatives.

Here: which chunks an encoder is trained on, decided from rankings that are handed in.
Not here: making the rankings (an encoder and BM25 do), the training (resources/training).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray

from platform_assets.queries import Query, split_of
from resources.encoding import Vectors

_BLOCK_VALUES = 8_000_000
"""Scores held at a time: 32 MB of float32."""
_DEPTH = 100
"""How far down the dense ranking negatives are looked for."""


@dataclass(frozen=True, slots=True)
class ChunkText:
    """A chunk as mining sees it."""

    chunk_id: str
    key: str
    """Key of its document, relative to the corpus."""
    text: str


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """What the encoder learns from one query."""

    query_id: str
    query: str
    positive: ChunkText
    negatives: tuple[ChunkText, ...]
    """Hardest first; fewer than asked where the corpus has no more."""


def held_out(queries: Sequence[Query], keys: Iterable[str]) -> frozenset[str]:
    """Keys of the documents that training must not see.

    Those judged relevant to some test query; with derived queries every document of the test
    part, since which of them own a query changes with the corpus.

    Args:
        queries: All queries of the corpus.
        keys: Keys of all its documents.
    """
    derived = any(query.origin == "derived" for query in queries)
    judged = {key for query in queries if query.split == "test" for key in query.judgements}
    return frozenset(judged | {key for key in keys if derived and split_of(key) == "test"})


def mine(
    queries: Sequence[Query],
    query_vectors: Vectors,
    chunks: Sequence[ChunkText],
    chunk_vectors: Vectors,
    lexical: Mapping[str, Sequence[str]],
    *,
    tests: AbstractSet[str],
    negatives: int = 4,
    margin: float = 0.95,
) -> list[TrainingPair]:
    """Choose a positive and hard negatives for each training query.

    The positive is the chunk of the query's judged documents that the base encoder ranks best.
    Negatives are taken in turn from the base encoder's ranking and from BM25's, from documents
    not judged relevant. A chunk that scores more than `margin` of the positive's score is taken
    for an unjudged answer and skipped (positive-aware mining, Moreira et al. 2024, NV-Retriever),
    and so is one with the text of a judged document. No chunk of a test document, and no chunk
    with the same text as one, is ever used; a query left without a positive gives no pair.

    Args:
        queries: Training queries.
        query_vectors: Shape (queries, dimensions), rows of L2 norm 1, by the base encoder.
        chunks: The corpus's chunks, or those worth scoring; equal texts are sought among these.
        chunk_vectors: Shape (chunks, dimensions), likewise.
        lexical: Query id -> chunk ids, best first, by BM25; a query without any may be missing.
        tests: Keys of the documents judged for test queries (`held_out` of all queries).
        negatives: Most negatives a query gets.
        margin: Share of the positive's score at which a negative becomes suspect.

    Raises:
        ValueError: a query is not for training, or the vectors do not match queries and chunks.
    """
    if foreign := [query.query_id for query in queries if query.split != "train"]:
        raise ValueError(f"Only training queries may be mined, not {foreign[0]!r}.")
    if len(query_vectors) != len(queries) or len(chunk_vectors) != len(chunks):
        raise ValueError("Mining needs one vector for each query and each chunk.")
    pool = _Pool(chunks, tests)
    pairs = []
    for query, scores in zip(queries, _scores(query_vectors, chunk_vectors), strict=True):
        relevant = pool.relevant(query)
        if relevant.size:
            ranked = lexical.get(query.query_id, ())
            pairs.append(pool.pair(query, scores, relevant, ranked, negatives, margin))
    return pairs


def _scores(queries: Vectors, chunks: Vectors) -> Iterator[Vectors]:
    """Cosine of each query with every chunk, a block of queries at a time."""
    step = max(1, _BLOCK_VALUES // max(1, len(chunks)))
    for start in range(0, len(queries), step):
        yield from queries[start : start + step] @ chunks.T


class _Pool:
    """The chunks that training may see, and where each document's lie."""

    def __init__(self, chunks: Sequence[ChunkText], tests: AbstractSet[str]) -> None:
        hidden = {chunk.text for chunk in chunks if chunk.key in tests}
        self._chunks = chunks
        self._allowed = np.array([chunk.text not in hidden for chunk in chunks], dtype=bool)
        self._rows: dict[str, list[int]] = {}
        for row in np.flatnonzero(self._allowed).tolist():
            self._rows.setdefault(chunks[row].key, []).append(row)
        self._row_of = {chunk.chunk_id: row for row, chunk in enumerate(chunks)}

    def relevant(self, query: Query) -> NDArray[np.intp]:
        """Rows of the query's judged documents, in order."""
        rows = chain.from_iterable(self._rows.get(key, ()) for key in query.judgements)
        return np.array(sorted(rows), dtype=np.intp)

    def pair(
        self,
        query: Query,
        scores: Vectors,
        relevant: NDArray[np.intp],
        ranked: Sequence[str],
        negatives: int,
        margin: float,
    ) -> TrainingPair:
        positive = int(relevant[np.argmax(scores[relevant])])
        ceiling = scores[positive] - (1 - margin) * abs(scores[positive])
        usable = self._allowed & (scores < ceiling)
        usable[relevant] = False
        taken = {self._chunks[row].text for row in relevant}
        chosen: list[ChunkText] = []
        for row in _in_turn(_best(scores, usable), [self._row_of[name] for name in ranked]):
            chunk = self._chunks[row]
            if len(chosen) == negatives:
                break
            if usable[row] and chunk.text not in taken:
                taken.add(chunk.text)
                chosen.append(chunk)
        return TrainingPair(query.query_id, query.text, self._chunks[positive], tuple(chosen))


def _best(scores: Vectors, usable: NDArray[np.bool_]) -> list[int]:
    """The usable rows that score highest, best first, the smaller row first among equals."""
    rows = np.flatnonzero(usable)
    if rows.size > _DEPTH:
        floor = np.partition(scores[rows], -_DEPTH)[-_DEPTH]
        rows = rows[scores[rows] >= floor]
    order: list[int] = rows[np.argsort(-scores[rows], kind="stable")][:_DEPTH].tolist()
    return order


def _in_turn(first: Sequence[int], second: Sequence[int]) -> Iterator[int]:
    turns = chain.from_iterable(zip_longest(first, second))
    return (row for row in turns if row is not None)
