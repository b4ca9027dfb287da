"""The BM25 baseline that every encoder is measured against.

Here: an in-memory index over chunk texts, built anew for each evaluation.
Not here: the sparse vectors that the vector database serves (resources/vector_store).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


class Bm25Index:
    """BM25 in Lucene's form (k1 = 1.5, b = 0.75) through bm25s (Lù 2024), English stop words out.

    Words are stemmed (Porter 2 by PyStemmer), as the strongest plain baseline does.
    """

    def __init__(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Index texts.

        Args:
            ids: Unique id of each text.
            texts: What is searched, in the order of `ids`.

        Raises:
            ValueError: there is no text, or `ids` does not match `texts`.
        """
        import bm25s

        if not texts:
            raise ValueError("There is no text to index: materialise the corpus's chunks first.")
        if len(set(ids)) < len(texts) or len(ids) != len(texts):
            raise ValueError(f"{len(texts)} texts need as many distinct ids, not {len(ids)}.")
        # Sorted, so that the order given changes nothing: ties fall to the smaller id.
        self._ids, ordered = zip(*sorted(zip(ids, texts, strict=True)), strict=True)
        tokens = bm25s.tokenize(
            list(ordered), stopwords="en", stemmer=_stemmer(), show_progress=False
        )
        tokens.vocab.setdefault("", len(tokens.vocab))  # bm25s needs a word, texts may have none
        self._index = bm25s.BM25(method="lucene")
        with np.errstate(invalid="ignore"):  # texts of stop words alone have a mean length of 0
            self._index.index(tokens, show_progress=False)

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        """The `k` best texts of each query that share a word with it.

        Returns:
            One list a query of (id, score), best first; empty for a query of unknown words.
        """
        import bm25s

        words = bm25s.tokenize(
            list(queries),
            stopwords="en",
            stemmer=_stemmer(),
            return_ids=False,
            show_progress=False,
        )
        return [self._top(query, k) for query in words]

    def _top(self, words: list[str], k: int) -> list[tuple[str, float]]:
        scores = self._index.get_scores_from_ids(self._index.get_tokens_ids(words))
        return [(self._ids[row], float(scores[row])) for row in _best(scores, k)]


def _stemmer() -> Callable[[list[str]], list[str]]:
    from Stemmer import Stemmer

    stem: Callable[[list[str]], list[str]] = Stemmer("english").stemWords
    return stem


def _best(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Rows of the `k` highest positive scores; the smaller row first among equals."""
    floor = np.partition(scores, -k)[-k] if k < scores.size else scores.min()
    rows = np.flatnonzero((scores >= floor) & (scores > 0))
    return rows[np.argsort(-scores[rows], kind="stable")][:k]
