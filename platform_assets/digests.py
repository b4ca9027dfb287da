"""Digests of rows, of slices and of partitions.

Here: what `digest` of a row is and how data versions are made of them.
Not here: reading and writing rows (tables.py).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.provenance import canonical
from resources.warehouse import TableSpec, Warehouse

BATCH = 65_536
"""Rows that are looked at together."""


class Leaf(NamedTuple):
    """A slice's rows in short."""

    rows: int
    digest: str


def leaves(warehouse: Warehouse, table: TableSpec, rows: pa.Table) -> dict[int, Leaf]:
    """Size and digest of each slice of some rows, which have the group, the key and `digest`."""
    numbers = warehouse.slices(table, rows.column(table.group))
    ordered = _ordered(rows.append_column("slice", numbers), ["slice", table.key, "digest"])
    counts = pc.value_counts(ordered.column("slice"))
    found, start = {}, 0
    for number, count in zip(counts.field("values"), counts.field("counts"), strict=True):
        part = ordered.slice(start, count.as_py())
        found[number.as_py()] = Leaf(part.num_rows, _digest(part.select([table.key, "digest"])))
        start += part.num_rows
    return found


def digest_of_leaves(found: Mapping[int, Leaf]) -> str:
    """Digest of a partition from those of its slices."""
    return digest_of_rows((str(number), leaf.digest) for number, leaf in sorted(found.items()))


def digest_of(rows: pa.Table, key: str) -> str:
    """Digest of the keys and digests of rows: `digest_of_rows`, many at a time."""
    return _digest(_ordered(rows, [key, "digest"]))


def _ordered(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    return rows.select(columns).sort_by([(name, "ascending") for name in columns])


def _digest(ordered: pa.Table) -> str:
    digest = hashlib.sha256()
    for batch in ordered.to_batches(BATCH):
        lines = pc.binary_join_element_wise(*batch.columns, "\x1f")
        digest.update("\x1e".join([*lines.to_pylist(), ""]).encode())
    return digest.hexdigest()


def digest_of_rows(pairs: Iterable[tuple[str, str]]) -> str:
    """Digest of (key, row digest) pairs that come in key order."""
    digest = hashlib.sha256()
    for key, row_digest in pairs:
        digest.update(f"{key}\x1f{row_digest}\x1e".encode())
    return digest.hexdigest()


def row_digests(rows: pa.Table, content: Sequence[str]) -> list[str]:
    """sha256 of each row's content columns; vectors by their float32 bytes, the rest as JSON."""
    columns = [_encoded(rows.column(name)) for name in content]
    digests = []
    for values in zip(*columns, strict=True):
        digest = hashlib.sha256()
        for value in values:
            digest.update(len(value).to_bytes(8, "big") + value)
        digests.append(digest.hexdigest())
    return digests


def _encoded(column: pa.ChunkedArray) -> list[bytes]:
    if not (pa.types.is_list(column.type) and pa.types.is_floating(column.type.value_type)):
        return [canonical(value).encode() for value in column.to_pylist()]
    lists = column.combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    ends = np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False))
    return [part.tobytes() for part in np.split(values, ends[:-1])] if len(lists) else []
