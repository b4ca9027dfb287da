"""Samples of a corpus's documents, for what need not look at all of them.

Here: which documents. Not here: what is asked of them.
"""

import pyarrow as pa
import pyarrow.compute as pc

from resources.warehouse import Warehouse

LOOK = 24
"""Ids looked at for each one wanted: a few more than there are buckets."""


def of_few_buckets(warehouse: Warehouse, doc_ids: pa.ChunkedArray, most: int) -> list[str]:
    """At most `most` documents, from as few buckets of the tables as hold so many.

    Reading those reads these buckets' files. Ids are digests, so the smallest of a bucket are as
    good as chosen by chance, and one document more or less changes at most one of the sample,
    whatever the corpus's size.
    """
    known = doc_ids.unique()
    if len(known) <= most:
        return _strings(known)
    table, looked_at = pa.table({"id": known}), min(len(known), LOOK * most)
    smallest = pc.take(table, pc.select_k_unstable(table, looked_at, [("id", "ascending")]))
    candidates = _strings(smallest.column("id"))
    return sorted(candidates, key=lambda doc_id: (warehouse.bucket(doc_id), doc_id))[:most]


def _strings(column: pa.Array | pa.ChunkedArray) -> list[str]:
    values: list[str] = column.to_pylist()
    return values
