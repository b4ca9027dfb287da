"""Training pairs as a worker reads them: their order, the batches of each step, the candidates.

Here: pure code over texts and numbers, the same for every engine.
Not here: tensors and the training loop (worker.py), the mining of negatives (platform_assets).
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

COLUMNS = ("query", "positive", "negatives")


@dataclass(frozen=True, slots=True)
class Batch:
    """The texts of one step; candidates are distinct and shared by all its queries."""

    queries: list[str]
    candidates: list[str]
    labels: NDArray[np.int64]
    """Shape (queries,): place of each query's positive among the candidates."""
    masked: NDArray[np.bool_]
    """Shape (queries, candidates): candidates that answer the query too, so no negatives of it."""


class Pairs:
    """All pairs of a job, sorted by text so that the order of rows in the file changes nothing."""

    def __init__(self, table: pa.Table) -> None:
        """Take a table with the columns query, positive (string) and negatives (list of string).

        Raises:
            ValueError: a column is missing, or there is no pair.
        """
        missing = [name for name in COLUMNS if name not in table.column_names]
        if missing:
            raise ValueError(f"training pairs lack the column {', '.join(missing)}")
        if table.num_rows == 0:
            raise ValueError("there is no training pair: nothing can be learned from no text")
        order = [("query", "ascending"), ("positive", "ascending")]
        self._order = pc.sort_indices(table, sort_keys=order)
        self._table = table.select(COLUMNS).take(self._order)
        self._positives: defaultdict[str, set[str]] = defaultdict(set)
        for batch in self._table.select(["query", "positive"]).to_batches():
            for row in batch.to_pylist():
                self._positives[row["query"]].add(row["positive"])

    @classmethod
    def read(cls, path: Path) -> "Pairs":
        """Read a Parquet file; raises ValueError like the constructor."""
        return cls(pq.read_table(path))

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def digest(self) -> str:
        """Digest (sha256, hex) of all texts."""
        digest = hashlib.sha256()
        for batch in self._table.to_batches():
            for row in batch.to_pylist():
                digest.update(json.dumps(row, sort_keys=True).encode())
        return digest.hexdigest()

    def lines(self, rows: Sequence[int]) -> list[int]:
        """Where some rows stand in the file, counted from 0, ascending."""
        return sorted(self._order.take(pa.array(rows)).to_pylist())

    def batch(self, rows: Sequence[int]) -> Batch:
        """Queries and candidates of some rows."""
        return assemble(self._table.take(pa.array(rows)).to_pylist(), self._positives)


def assemble(rows: Sequence[Mapping[str, object]], positives: Mapping[str, set[str]]) -> Batch:
    """Make a batch: each query against its positive, all other positives and all negatives.

    Args:
        rows: query, positive and negatives of each pair.
        positives: Every known positive of each query, those outside the batch included.
    """
    queries = [str(row["query"]) for row in rows]
    found: dict[str, int] = {}
    for row in rows:
        found.setdefault(str(row["positive"]), len(found))
    labels = np.array([found[str(row["positive"])] for row in rows], dtype=np.int64)
    for row in rows:
        negatives = row["negatives"]
        assert isinstance(negatives, list)
        for text in negatives:
            found.setdefault(text, len(found))
    masked = np.zeros((len(queries), len(found)), dtype=bool)
    for place, query in enumerate(queries):
        masked[place, [found[text] for text in positives[query] if text in found]] = True
    masked[np.arange(len(queries)), labels] = False
    return Batch(queries, list(found), labels, masked)


def plan(pairs: int, batch_size: int, steps: int, seed: int) -> NDArray[np.int64]:
    """Rows of every step, shape (steps, min(batch_size, pairs)); one shuffle for each epoch.

    A pure function of its arguments: a resumed training sees the batches it would have seen.
    """
    size = min(batch_size, pairs)
    epochs = -(-steps * size // pairs)
    shuffles = [np.random.default_rng([seed, epoch]).permutation(pairs) for epoch in range(epochs)]
    return np.concatenate(shuffles)[: steps * size].reshape(steps, size).astype(np.int64)
