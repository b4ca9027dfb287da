"""Samples of a corpus's documents, for what need not look at all of them.

Here: which documents. Not here: what is asked of them.
"""

import pyarrow as pa

from platform_assets.slices import Source
from resources.warehouse import Warehouse


def of_few_slices(warehouse: Warehouse, documents: Source, most: int) -> list[str]:
    """Ids of at most `most` documents, from as few slices of a table as hold so many.

    No other slices are read. Ids are digests and buckets hashes, so these are as good as chosen
    by chance, and one document more or less changes at most one of the sample.

    Args:
        warehouse: Where the table is.
        documents: A table that has the documents, `doc_id` its group.
        most: Most documents.
    """
    left = sorted(documents.states(warehouse))
    found: list[pa.ChunkedArray] = []
    taken, count = 1, 0
    while left and count < most:
        now, left = left[:taken], left[taken:]
        ids = documents.scan(warehouse, ["doc_id"], now).column("doc_id").unique()
        found.append(ids)
        taken, count = 2 * taken, count + len(ids)
    ids = pa.concat_arrays(found) if found else pa.array([], pa.string())
    places = warehouse.slices(documents.table, ids)
    ordered = pa.table({"slice": places, "id": ids}).sort_by(
        [("slice", "ascending"), ("id", "ascending")]
    )
    chosen: list[str] = ordered.column("id").slice(0, most).to_pylist()
    return chosen
