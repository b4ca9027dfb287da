"""Texts as blocks of token ids: documents one after the other, cut to equal length.

Here: pure code over numbers and the file that holds the texts. Not here: tensors (loop.py).
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

SCHEMA = pa.schema([("text", pa.string()), ("held_out", pa.bool_())])
"""Columns of the file of a job: one row a document."""

Blocks = NDArray[np.int64]


def read_texts(path: Path, *, held_out: bool) -> list[str]:
    """Texts to train on, or those held out, sorted, so that the order of rows changes nothing."""
    rows = pq.read_table(path, schema=SCHEMA)
    wanted = pc.equal(rows.column("held_out"), held_out)
    return sorted(rows.filter(wanted).column("text").to_pylist())


def pack(
    texts: Iterable[str], tokenize: Callable[[str], Sequence[int]], end: int, size: int
) -> Blocks:
    """Join texts, each followed by `end`, and cut them; what is left of the last block is dropped.

    Returns:
        Token ids, shape (blocks, size).
    """
    ids = np.fromiter((i for text in texts for i in (*tokenize(text), end)), dtype=np.int64)
    count = len(ids) // size
    return ids[: count * size].reshape(count, size)


def spread(blocks: Blocks, most: int) -> Blocks:
    """At most `most` blocks, evenly from all of them."""
    chosen = np.linspace(0, len(blocks) - 1, min(most, len(blocks))).round().astype(np.int64)
    return blocks[chosen]


def check_shares(blocks: int, batch_size: int, processes: int) -> None:
    """See that a step has a block for each process.

    Raises:
        ValueError: it has fewer.
    """
    if (least := min(batch_size, blocks)) < processes:
        raise ValueError(
            f"a step has {least} blocks, fewer than the {processes} processes: ask for fewer "
            "processes, add documents, or raise `batch_size` in the recipe"
        )
