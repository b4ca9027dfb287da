"""Packing: which neighbouring pieces form a chunk.

Here: the cheapest way to cut a row of pieces. Not here: text and tokens (pieces.py, chunking.py).
"""

from collections.abc import Sequence
from itertools import accumulate

from platform_assets.chunks.pieces import Piece

MAX_PIECES = 64
"""Most pieces in a chunk; it keeps packing linear in the text, whatever the text."""


def pack(pieces: Sequence[Piece], budget: int, target: int) -> list[Sequence[Piece]]:
    """Cut `pieces` into runs of at most `budget` tokens at the least total cost.

    A chunk costs the square of its relative distance from `target`, and the price of the cut
    before it. The cheapest path through the whole document is taken, as in optimum-fit line
    breaking (Knuth and Plass, "Breaking paragraphs into lines", 1981). Prices depend on nearby
    text only, and paths that start apart soon share a cheap cut, so an edit leaves the cuts further
    off as they were. A piece above `budget` stands alone.
    """
    ends = [0, *accumulate(piece.tokens for piece in pieces)]
    costs = [(tokens / target - 1) ** 2 for tokens in range(budget + 1)]
    best, origin = [0.0], [0]
    for end in range(1, len(ends)):
        lowest, chosen = best[-1], end - 1
        for start in range(end - 1, max(-1, end - 1 - MAX_PIECES), -1):
            tokens = ends[end] - ends[start]
            if tokens > budget:
                break
            cost = best[start] + costs[tokens]
            if cost < lowest or start == end - 1:
                lowest, chosen = cost, start
        best.append(lowest + (pieces[end].price if end < len(pieces) else 0.0))
        origin.append(chosen)
    return _walk_back(pieces, origin)


def _walk_back(pieces: Sequence[Piece], origin: Sequence[int]) -> list[Sequence[Piece]]:
    runs: list[Sequence[Piece]] = []
    end = len(pieces)
    while end:
        runs.append(pieces[origin[end] : end])
        end = origin[end]
    return runs[::-1]
