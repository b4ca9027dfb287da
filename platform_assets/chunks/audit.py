"""What must hold of a corpus's chunks before anybody reads them.

Here: the examinations that the asset makes before it publishes and that checks repeat afterwards.
Not here: either of those (assets.py, checks.py).
"""

from collections.abc import Collection

import pyarrow.compute as pc

from platform_assets.checking import Verdict
from platform_assets.slices import Source
from resources.warehouse import Warehouse

Looked = Collection[int] | None
"""Slices that are looked at; None is all."""


def faults(
    warehouse: Warehouse, chunks: Source, documents: Source, limit: int, slices: Looked
) -> list[str]:
    """Why chunks may not be read; empty if they may.

    Args:
        warehouse: Where the tables are.
        chunks: The chunks, which may be on a branch.
        documents: What they were made from.
        limit: Tokens that every encoder reads.
        slices: Where to look.
    """
    verdicts = (
        length(warehouse, chunks, limit, slices),
        coverage(warehouse, chunks, documents, slices),
    )
    return [verdict.fault for verdict in verdicts if verdict.fault]


def length(warehouse: Warehouse, chunks: Source, limit: int, slices: Looked) -> Verdict:
    """No chunk is longer than any encoder reads."""
    rows = chunks.scan(warehouse, ["token_count"], slices)
    longest = pc.max(rows.column("token_count")).as_py() or 0
    fault = f"a chunk has {longest} tokens, the limit is {limit}" if longest > limit else None
    return Verdict(fault, {"longest": longest, "limit": limit})


def coverage(warehouse: Warehouse, chunks: Source, documents: Source, slices: Looked) -> Verdict:
    """Chunks belong to the documents there are, all of them, and their ids are unique."""
    rows = chunks.scan(warehouse, ["doc_id", "chunk_id"], slices)
    parsed = documents.scan(warehouse, ["doc_id"], slices)
    have, wanted = (set(table.column("doc_id").to_pylist()) for table in (rows, parsed))
    doubled = rows.num_rows - pc.count_distinct(rows.column("chunk_id")).as_py()
    figures = {"documents": len(wanted), "chunks": rows.num_rows}
    if have == wanted and not doubled:
        return Verdict(None, figures)
    fault = (
        f"{len(wanted - have)} documents have no chunk, {len(have - wanted)} are gone but "
        f"have some, {doubled} ids stand twice"
    )
    return Verdict(fault, figures)
