"""What must hold of a corpus's chunks before anybody reads them.

Here: the examinations that the asset makes before it publishes and that checks repeat afterwards.
Not here: either of those (assets.py, checks.py).
"""

from collections.abc import Collection

import pyarrow.compute as pc

from platform_assets.checking import Verdict
from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS
from resources.warehouse import Warehouse


def faults(
    warehouse: Warehouse,
    corpus: str,
    limit: int,
    chunks: str | None,
    documents: str | None,
    buckets: Collection[int] | None,
) -> list[str]:
    """Why the chunks of a snapshot may not be read; empty if they may.

    Args:
        warehouse: Where the tables are.
        corpus: Whose chunks.
        limit: Tokens that every encoder reads.
        chunks: Snapshot of the chunks, which may be on a branch.
        documents: Snapshot of the documents they were made from.
        buckets: Those that are looked at; None is all.
    """
    verdicts = (
        length(warehouse, corpus, limit, chunks, buckets),
        coverage(warehouse, corpus, chunks, documents, buckets),
    )
    return [verdict.fault for verdict in verdicts if verdict.fault]


def length(
    warehouse: Warehouse,
    corpus: str,
    limit: int,
    snapshot: str | None = None,
    buckets: Collection[int] | None = None,
) -> Verdict:
    """No chunk is longer than any encoder reads."""
    scope = {"corpus": corpus}
    rows = warehouse.scan(CHUNKS, scope, ["token_count"], snapshot=snapshot, buckets=buckets)
    longest = pc.max(rows.column("token_count")).as_py() or 0
    fault = f"a chunk has {longest} tokens, the limit is {limit}" if longest > limit else None
    return Verdict(fault, {"longest": longest, "limit": limit})


def coverage(
    warehouse: Warehouse,
    corpus: str,
    chunks: str | None = None,
    documents: str | None = None,
    buckets: Collection[int] | None = None,
) -> Verdict:
    """Chunks belong to the documents there are, all of them, and their ids are unique."""
    scope = {"corpus": corpus}
    rows = warehouse.scan(CHUNKS, scope, ["doc_id", "chunk_id"], snapshot=chunks, buckets=buckets)
    parsed = warehouse.scan(DOCUMENTS, scope, ["doc_id"], snapshot=documents, buckets=buckets)
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
