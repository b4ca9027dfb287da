"""Document-level ranking metrics of one query, in TREC form.

Here: from ranked documents and graded judgements to numbers in [0, 1].
Not here: means, intervals and tests over queries (significance.py), retrieval itself.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Judgements = Mapping[str, int]
"""Document id -> grade; a grade of 0 or less, or no entry, means not relevant."""


def collapse(hits: Sequence[tuple[str, float]]) -> list[str]:
    """Documents ranked by their best chunk.

    Args:
        hits: (document id, score) of each chunk, higher scores better.

    Returns:
        Each document once, best first; equal scores keep the order of `hits`.
    """
    best: dict[str, float] = {}
    for document, score in hits:
        best[document] = max(score, best.get(document, score))
    return sorted(best, key=best.__getitem__, reverse=True)


def ndcg(ranked: Sequence[str], judged: Judgements, k: int = 10) -> float:
    """Normalised discounted cumulative gain of the first `k` documents.

    The gain is the grade itself and the discount 1 / log2(rank + 1), as in trec_eval's `ndcg_cut`
    (Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques").

    Raises:
        ValueError: no judged document is relevant, a document is ranked twice, or k < 1.
    """
    gains = _gains(ranked, judged, k)
    ideal = sorted(_relevant(judged).values(), reverse=True)
    return _discounted(gains) / _discounted(np.asarray(ideal[:k], dtype=np.float64))


def recall(ranked: Sequence[str], judged: Judgements, k: int) -> float:
    """Share of the relevant documents that are among the first `k`.

    Raises:
        ValueError: as `ndcg`.
    """
    return float(recall_curve(ranked, judged, k)[-1])


def recall_curve(
    ranked: Sequence[str], judged: Judgements, depth: int = 100
) -> NDArray[np.float64]:
    """Recall at 1, 2, ... `depth`; shape (depth,).

    Raises:
        ValueError: as `ndcg`.
    """
    found: NDArray[np.int64] = np.cumsum(_gains(ranked, judged, depth) > 0)
    return np.pad(found, (0, depth - len(found)), mode="edge") / len(_relevant(judged))


def reciprocal_rank(ranked: Sequence[str], judged: Judgements, k: int = 10) -> float:
    """1 / rank of the first relevant document among the first `k`, 0 if there is none.

    Raises:
        ValueError: as `ndcg`.
    """
    hits = np.flatnonzero(_gains(ranked, judged, k) > 0)
    return 1.0 / float(hits[0] + 1) if hits.size else 0.0


def _relevant(judged: Judgements) -> dict[str, int]:
    relevant = {document: grade for document, grade in judged.items() if grade > 0}
    if not relevant:
        raise ValueError("No judged document is relevant: leave this query out of the evaluation.")
    return relevant


def _gains(ranked: Sequence[str], judged: Judgements, k: int) -> NDArray[np.float64]:
    """Gain at each of the first `k` ranks; at least one entry, so that a curve has an end."""
    if k < 1:
        raise ValueError(f"The cut-off k must be at least 1, not {k}.")
    top = ranked[:k]
    if len(set(top)) < len(top):
        raise ValueError("A document is ranked twice: collapse chunks to documents first.")
    relevant = _relevant(judged)
    return np.asarray([relevant.get(document, 0) for document in top] or [0], dtype=np.float64)


def _discounted(gains: NDArray[np.float64]) -> float:
    return float(np.sum(gains / np.log2(np.arange(2, len(gains) + 2))))
