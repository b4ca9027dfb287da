"""Samples of a corpus's documents, for what need not look at all of them.

Here: which documents. Not here: what is asked of them.
"""

import pyarrow as pa
import pyarrow.compute as pc

from resources.warehouse import Warehouse

LOOK = 24
"""Ids looked at for each one wanted: a few more than there are buckets."""


def of_one_bucket(warehouse: Warehouse, doc_ids: pa.ChunkedArray, most: int) -> list[str]:
    """At most `most` documents; where there are more, some that lie in one bucket of the tables.

    Reading those reads one bucket's files. Ids are digests, so the smallest are as good as chosen
    by chance, and one document more or less changes one of them.
    """
    known = doc_ids.unique()
    if len(known) <= most:
        return _strings(known)
    smallest = pa.table({"id": known})
    smallest = pc.take(smallest, pc.select_k_unstable(smallest, LOOK * most, [("id", "ascending")]))
    candidates = _strings(smallest.column("id"))
    return [doc_id for doc_id in candidates if warehouse.bucket(doc_id) == 0][:most]


def _strings(column: pa.Array | pa.ChunkedArray) -> list[str]:
    values: list[str] = column.to_pylist()
    return values
